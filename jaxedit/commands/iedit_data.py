"""`jaxedit iedit-data`: a data set of weakly supervised pairs from captioned pictures."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import pathlib
import shutil
import time
from collections.abc import Mapping
from typing import Any

from jaxedit.commands import command, counting, network
from jaxedit.errors import UserError
from jaxedit.host import atomic, locks, manifests
from jaxedit.weights import shipped

# Rules that change what is collected; the others come in later.
_OF_COLLECTION = ("words", "captioner", "min_side", "max_aspect", "duplicates", "append", "remove",
                  "towers")
# Those that count where the pairs are given.
_OF_GIVEN = ("area", "eval", "test", "shown", "segmenter")
_SHIPPED = ("world-towers", "world-segmenter")
_SIDE = 512  # of the pictures of pairs, where no run says another


def add(commands) -> None:
    """Adds the parser of `jaxedit iedit-data`."""
    parser = command.add(
        commands, "iedit-data", build, "make pairs for text-guided editing from captioned pictures",
        "SOURCE is a folder of pictures with captions: name.txt beside name.jpg, metadata.jsonl\n"
        "with file_name and text, captions.csv, or captions.jsonl; or a data source such as\n"
        "scenes:world:64. For each picture one word of its caption is exchanged, and the nearest\n"
        "other picture to both becomes its pseudo-target. A build that was killed goes on when\n"
        "the same command is started again. OUTPUT is read as array_record:OUTPUT; its page.html\n"
        "shows samples.\n\n"
        "  jaxedit iedit-data photos/ --output pairs/ --towers clip-vit-large-patch14/ \\\n"
        "      --segmenter clipseg-rd64-refined/\n"
        "  jaxedit iedit-data scenes:world:64 --output pairs/\n"
        "  jaxedit iedit-data scenes:world:64 --output pairs/ --run runs/iedit-segmenter \\\n"
        "      --set words=world\n"
        "  jaxedit iedit-data --pairs mine.jsonl --output pairs/ --segmenter clipseg-rd64-refined/",
    )
    parser.add_argument("source", metavar="SOURCE", nargs="?",
                        help="a folder of pictures with captions, or a data source")
    command.add_output(parser, "a new folder", "DIR")
    parser.add_argument("--pairs", type=pathlib.Path, metavar="FILE",
                        help="your own before/after pairs in the place of SOURCE: JSON lines or "
                        "CSV with source, target, edit_prompt and, where known, caption, removed, "
                        "added, mask_source, mask_target")
    parser.add_argument("--run", type=pathlib.Path, metavar="DIRECTORY",
                        help="a run that trained towers and segmenter (configs/iedit.py:segmenter)")
    parser.add_argument("--towers", type=pathlib.Path, metavar="FOLDER",
                        help="a CLIP as published, which compares pictures and texts")
    parser.add_argument("--segmenter", type=pathlib.Path, metavar="FOLDER",
                        help="a CLIPSeg as published, which finds what a word names")
    parser.add_argument("--size", type=int, metavar="PIXELS",
                        help=f"side of the stored pictures (default: the run's, else {_SIDE})")
    parser.add_argument("--split", choices=("train", "eval", "all"), default="all",
                        help="a part of SOURCE alone (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="of the words that are drawn for the prompts (default: 0)")
    parser.add_argument("--set", action="append", default=[], metavar="RULE=VALUE", dest="rules",
                        help="a rule, such as words=mine.json, captioner=MODULE:FUNCTION, "
                        "append=0.1, cos_img=(0.5,0.9) or area=(0.02,0.6); may be given again. An "
                        "unknown one lists those there are")
    network.add_trust_of_run(parser)
    counting.only(parser, "--split --seed --towers", lambda a: a.pairs is None,
                  "is about finding pairs in SOURCE; those of --pairs are given. Leave it out.")


def build(arguments: argparse.Namespace) -> int:
    """`jaxedit iedit-data`."""
    command.need_output(arguments)
    from jaxedit.report import wording
    from jaxedit.run import sharding

    output = arguments.output.resolve()
    atomic.check_new(arguments.output)
    atomic.check_place(output.parent)
    if (arguments.source is None) == (arguments.pairs is None):
        raise UserError("Give a SOURCE of captioned pictures, or --pairs FILE: one of the two.")
    ships = _is_ours(arguments)
    if ships:
        command.tell(f"using the weights {' and '.join(map(repr, _SHIPPED))}, which come with "
                     "jaxedit and know the pictures of scenes:world alone")
    else:
        _check_networks(arguments)
    config, start = _configured(arguments, ships)
    source = _source(arguments)
    sharding.enable_compilation_cache()
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    facts = _stages(output, config, source, start)
    if line := source.report():
        command.tell(line)
    command.tell(f"written: {arguments.output} ({facts['pairs']} pairs, in "
                 f"{wording.duration(time.monotonic() - started)}); look at "
                 f"{arguments.output / 'page.html'}")
    return 0


def _is_ours(arguments: argparse.Namespace) -> bool:
    """Whether nothing is named that looks, and the pictures are those that our weights know."""
    named = arguments.run or arguments.towers or arguments.segmenter
    return not named and (arguments.source or "").startswith("scenes:world")


def _check_networks(arguments: argparse.Namespace) -> None:
    given = {"--towers": arguments.towers, "--segmenter": arguments.segmenter}
    needed = ["--segmenter"] if arguments.pairs else list(given)
    missing = [name for name in needed if given[name] is None and arguments.run is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} of what? Pairs are found by a CLIP and masked by a CLIPSeg: "
            "name their folders, or --run DIRECTORY of a run that trained both, as "
            "`python -m jaxedit.main --config=configs/iedit.py:segmenter` does."
        )
    for name, folder in given.items():
        if folder is not None and not folder.is_dir():
            raise UserError(f"{name} {folder} is no folder.")


def _configured(arguments: argparse.Namespace, ships: bool) -> tuple[Any, Any]:
    """Returns the configuration of all stages, and the state that they start from.

    `ships` takes the weights that come with the package.
    """
    import numpy as np
    from ml_collections import ConfigDict

    from jaxedit import bounds, method
    from jaxedit import config as config_lib
    from jaxedit.host.names import did_you_mean
    from jaxedit.methods.iedit import pair_rules
    from jaxedit.run import readers
    from jaxedit.state import State

    config = ConfigDict({"method": "iedit", "part": "pairs", "image_size": _SIDE,
                         "train": {"seed": arguments.seed}, "pairs": pair_rules.DEFAULTS,
                         "layers": {"convolution": "auto"}})
    start = State(step=np.int32(0))
    if ships:
        towers, segmenter = (shipped.get(name) for name in _SHIPPED)
        start = start.replace(frozen={
            "clip": shipped.load(towers)["params"]["clip"],
            "segmenter": shipped.load(segmenter)["params"]["segmenter"],
        })
        own = config_lib.from_json(json.dumps(segmenter.card["config"]))
        for key in ("image_size", "towers", "segmenter", "pairs"):
            config[key] = own[key]
        with config.unlocked(), config.ignore_type():
            config.pairs.update(  # as configs/iedit.py:pairs
                words="world", min_side=64, duplicates=-1, cos_img=(0.0, 0.98), cos_text=0.0
            )
    if arguments.run is not None:
        stage = _trained(arguments.run)
        own, _, state = readers.load_run(
            arguments.run, stage=stage, trust_code=arguments.trust_run_code
        )
        frozen = {"clip": state.frozen["clip"],
                  "segmenter": (state.ema or state.params)["segmenter"]}
        start = start.replace(frozen=frozen)
        for key in ("image_size", "towers", "segmenter", "pairs"):
            config[key] = own[key]
    with config.unlocked(), config.ignore_type():
        config.image_size = arguments.size or config.image_size
        for name in ("towers", "segmenter"):
            if (folder := getattr(arguments, name)) is not None:
                config.pairs[name] = str(folder)
        if arguments.pairs is not None:
            config.pairs.matches = ""
    for rule in arguments.rules:
        key, equals, value = rule.partition("=")
        if not equals or key not in config.pairs:
            wrong = f"there is no rule {key!r}" if equals else "write RULE=VALUE"
            raise UserError(f"--set {rule}: {wrong}. Rules: "
                            f"{', '.join(config.pairs)}.{did_you_mean(key, config.pairs)}")
        if arguments.pairs is not None and key not in _OF_GIVEN:
            raise UserError(f"--set {rule} is about finding pairs, and those of --pairs are given. "
                            f"Leave it out; what counts is {', '.join(_OF_GIVEN)}.")
        config_lib.override(config, f"pairs.{key}", value)
    bounds.check(config, method.bounds(config))
    return config.lock(), start


def _trained(run: pathlib.Path) -> str:
    """Returns the stage of a run that trained a segmenter."""
    from jaxedit.run import checkpoint, directory, stages

    directory.check_path(run)
    every = stages.read(checkpoint.read_run_config(run))
    found = [one.name for one in every if one.config.get("part") == "segmenter" and not one.build]
    if not found:
        raise UserError(f"{run} has no stage that trained a segmenter with its towers; "
                        "configs/iedit.py:segmenter makes such a run.")
    return found[-1]


def _source(arguments: argparse.Namespace) -> Any:
    if arguments.pairs is not None:
        from jaxedit.methods.iedit.given_pairs import GivenPairs

        return GivenPairs(arguments.pairs)
    from jaxedit.data import sources

    is_folder = pathlib.Path(arguments.source).is_dir() or ":" not in arguments.source
    name = f"folder:{arguments.source}" if is_folder else arguments.source
    return sources.create(name, arguments.split)


def _stages(output: pathlib.Path, config: Any, source: Any, start: Any) -> Mapping[str, Any]:
    """Returns the facts of the pairs; what leads to them stands beside OUTPUT while it is made."""
    from jaxedit.methods.iedit.collection import NothingToPair
    from jaxedit.run import artifacts

    work = output.with_name(f"{output.name}.building")
    with artifacts.hold(output):  # around the clearing away: those may be another's pieces
        atomic.check_new(output)  # another process may have made it since the last look
        try:
            facts = _made(output, work, config, source, start)
        except NothingToPair:
            shutil.rmtree(work)
            raise
        except UserError as error:
            pieces = artifacts.work_folder(output)
            notes = ("build.json", "seconds", *locks.FILES)
            if any(path.is_file() and path.name not in notes
                   for folder in (work, pieces) for path in folder.rglob("*")):
                raise UserError(
                    f"{error} What is made so far is kept in {work}: the same command goes on from "
                    "there, also with other rules for what comes later."
                ) from error
            shutil.rmtree(work, ignore_errors=True)
            with contextlib.suppress(OSError):
                locks.clear(pieces)
            raise
        shutil.rmtree(work, ignore_errors=True)
    command.tell(f"pairs: {_told(facts)}")
    return facts


def _made(
    output: pathlib.Path, work: pathlib.Path, config: Any, source: Any, start: Any
) -> Mapping[str, Any]:
    """Returns the facts of the pairs in OUTPUT, to which the stages in `work` have led."""
    from jaxedit.methods.iedit.pair_stage import PairStage
    from jaxedit.run import artifacts

    made: dict[str, Any] = {}
    for name in ("collection", "matches") if config.pairs.matches else ():
        made[name] = _stage(work / _digest(name, config, source) / name, config, made, source,
                            start)
        command.tell(f"{name}: {_told(made[name].facts)}")
    return artifacts.build_in(output, PairStage(config, None, made), source, start).facts


def _digest(stage: str, config: Any, source: Any) -> str:
    """Returns what tells apart builds of a stage that come out differently."""
    rules = {key: value for key, value in config.pairs.items()
             if stage == "matches" or key in _OF_COLLECTION}
    own = {key: config.get(key) for key in ("train", "towers", "segmenter")}
    about = json.dumps([source.fingerprint(), rules, own], default=str, sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:8]


def _stage(folder: pathlib.Path, config: Any, made: Mapping, source: Any, start: Any) -> Any:
    """Returns the artefact of a stage, made now or found finished."""
    from jaxedit.methods.iedit.collection import CollectionStage
    from jaxedit.methods.iedit.matches import MatchStage
    from jaxedit.run import artifacts

    if manifests.is_sealed(folder):
        return artifacts.verified(folder)
    kind = {"collection": CollectionStage, "matches": MatchStage}[folder.name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    return artifacts.build_in(folder, kind(config, None, made), source, start)


def _told(facts: Mapping[str, Any]) -> str:
    said = []
    for name, value in facts.items():
        value = f"({_told(value)})" if isinstance(value, Mapping) else value
        said.append(f"{name} {value}")
    return ", ".join(said) or "none"
