"""`jaxedit directions`: finds along which directions a generator's pictures can be edited."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from jaxedit.commands import command, counting, network
from jaxedit.errors import UserError
from jaxedit.host import atomic

_LEAST, _MOST = 200, 10_000_000  # codes: a plane is fitted to 2 % of them to either side
_NO_NAME = set("=@/ ")


def add(commands) -> None:
    """Adds the parser of `jaxedit directions`."""
    parser = command.add(
        commands, "directions", main, "find directions in which a generator's pictures are edited",
        "Draws codes of the generator and finds principal components (GANSpace) and directions\n"
        "in closed form (SeFa). Where the run has a judge of attributes, or --judge names one, it\n"
        "scores the pictures, and the plane between the highest and the lowest scores gives each\n"
        "attribute's direction (InterFaceGAN). With a CLIP's folder texts give directions\n"
        "too (StyleCLIP): every channel of the generator is measured first, which takes long, and\n"
        "is kept in the file for the texts that follow.\n\n"
        "  jaxedit directions --run runs/sdic-chain --output mine.safetensors\n"
        "  jaxedit directions --run runs/sdic-chain --styleclip clip-vit-base-patch32 \\\n"
        "      --text 'beard=a face with a beard:a face' --output texts.safetensors",
    )
    which = parser.add_mutually_exclusive_group()
    parser.set_defaults(classical=None, has_classical=False)
    which.add_argument("--run", type=pathlib.Path, metavar="DIRECTORY",
                       help="a run directory whose networks have a generator")
    which.add_argument("--weights", metavar="NAME",
                       help="weights with a generator, see `jaxedit weights list` (default: those "
                       "that come with jaxedit)")
    parser.add_argument("--stage", metavar="NAME", help="with --run: the stage of the generator")
    parser.add_argument("--step", metavar="STEP",
                        help=f"with --run: {network.BEST}")
    network.add_trust(parser)
    parser.add_argument("--judge", type=pathlib.Path, metavar="DIRECTORY",
                        help="a run that has trained a judge of attributes (default: that of the "
                        "run or the weights, if there is one)")
    parser.add_argument("--codes", type=int, default=10_000, metavar="N",
                        help="codes that are drawn and judged (default: 10000)")
    parser.add_argument("--components", type=int, default=20, metavar="N",
                        help="principal components that are kept (default: 20)")
    parser.add_argument("--closed", type=int, default=10, metavar="N",
                        help="directions in closed form (default: 10)")
    parser.add_argument("--styleclip", type=pathlib.Path, metavar="FOLDER",
                        help="a CLIP as it is published, such as openai/clip-vit-base-patch32")
    parser.add_argument("--text", action="append", default=[], metavar="NAME=TARGET:NEUTRAL",
                        help="with --styleclip: a direction from one text to another")
    parser.add_argument("--beta", type=float, default=0.1, metavar="SHARE",
                        help="with --styleclip: how relevant a channel must be to move (default: "
                        "0.1; published: 0.1 to 0.16)")
    parser.add_argument("--pictures", type=int, default=100, metavar="N",
                        help="with --styleclip: pictures per channel (default: 100)")
    parser.add_argument("--channels", type=pathlib.Path, metavar="FILE",
                        help="with --styleclip: take the measured channels of an earlier file")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="of the codes that are drawn (default: 0)")
    command.add_output(parser, "a new file, .safetensors", "FILE")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    counting.only(parser, "--stage --step", lambda a: a.run is not None,
                  "is one of a run: name that, --run DIRECTORY.")
    counting.only(parser, "--trust-run-code", lambda a: a.run is not None or a.judge is not None,
                  "is about the code of a --run or a --judge, and none is named. Leave it out.")
    counting.only(parser, "--text --channels --pictures --beta", lambda a: a.styleclip is not None,
                  "needs a CLIP: --styleclip FOLDER.")
    counting.only(parser, "--pictures", lambda a: a.channels is None,
                  "is how channels are measured, and --channels has measured ones: leave one out.")
    counting.only(parser, "--beta", lambda a: a.text, "is about a --text, and none is given.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit directions`."""
    command.need_output(arguments)
    texts = check(arguments)
    network.check(arguments, "directions")
    from jaxedit.layers.convolution import formulation
    from jaxedit.methods.sdic import directions_stage, finding
    from jaxedit.run import sharding

    sharding.enable_compilation_cache()
    made = made_of(arguments)
    if made.judge is None:
        command.tell("no judge: attributes get no directions (--judge names a run with one)")
    settings = finding.Settings(
        arguments.codes, arguments.components, arguments.closed, arguments.seed
    )
    with formulation.preferring("auto"):  # the networks are called without their method
        found, more = finding.find(made, settings, command.tell), {}
        if arguments.styleclip is not None:
            named, more = _of_texts(made, arguments, texts)
            found |= named
    directions_stage.write(arguments.output, made, found, more)
    print(finding.table(found))
    command.tell(f"written: {arguments.output} ({len(found)} directions)")
    return 0


def check(arguments: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """Returns name -> (target, neutral) of the texts; finds mistakes before anything is read.

    Raises:
      UserError: a number is out of range, options contradict each other, or the file is there.
    """
    limits = {"codes": (_LEAST, _MOST), "components": (0, 512), "closed": (0, 512),
              "pictures": (1, 10_000), "seed": (0, 2**32 - 2)}
    for name, (low, high) in limits.items():
        value = getattr(arguments, name)
        if not low <= value <= high:
            raise UserError(f"--{name} is {value}; it must be from {low} to {high}.")
    if not 0 <= arguments.beta < 1:
        raise UserError(f"--beta is {arguments.beta}; it must be from 0 to below 1.")
    output = arguments.output
    if output.suffix != ".safetensors":
        raise UserError(f"--output {output} must end in .safetensors.")
    if output.exists() and not arguments.overwrite:
        raise UserError(f"{output} already exists. Add --overwrite, or choose another name.")
    if not output.parent.exists():
        raise UserError(f"The folder {output.parent} does not exist. Make it, or choose another.")
    atomic.check_place(output.parent)
    texts = {}
    for text in arguments.text:
        name, sign, rest = text.partition("=")
        target, colon, neutral = rest.partition(":")
        if not all((name, sign, target.strip(), colon, neutral.strip())) or _NO_NAME & set(name):
            raise UserError(
                f"--text {text!r} is not NAME=TARGET:NEUTRAL, such as 'beard=a face with a beard:a "
                "face'; a name holds no space, =, @ or /."
            )
        texts[name] = (target.strip(), neutral.strip())
    return texts


def made_of(arguments: argparse.Namespace) -> Any:
    """Returns the generator that `arguments` name, with its judge, as `finding.Made`.

    Raises:
      UserError: there is no generator, or no judge where one is named.
    """
    from jaxedit.methods.sdic import directions_stage, inversion

    if arguments.run is None:
        from jaxedit.apply import applier

        found = applier.from_weights(arguments.weights, "invert", bucket=1)
        config, state = found.method.config, found.variables
    else:
        from jaxedit.run import readers

        config, _, state = readers.load_run(
            arguments.run, arguments.step, arguments.stage, arguments.trust_run_code
        )
    if "generator" in state.frozen:
        generator = state.frozen["generator"]
    elif "generator" in state.ema:
        generator = {"params": state.ema["generator"], "noise": state.stats["generator"]}
    else:
        raise UserError("These networks have no generator. Name a stage that has one: --stage.")
    judge, judged = _judge(arguments)
    if judge is None:  # the networks may have one beside them, to judge their own edits by
        return directions_stage.made_of(
            config, generator, state.frozen.get(directions_stage.JUDGE)
        )
    seen = directions_stage.seen_by(
        directions_stage.judge_method.network_of(judged), judge, tuple(judged.image_size)
    )
    return directions_stage.finding.Made(inversion.generator_of(config.network), generator, seen)


def _judge(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Returns a judge's variables and its configuration; None twice where there is none."""
    from jaxedit.run import checkpoint, readers, stages

    place = arguments.judge or arguments.run
    if place is None:
        return None, None
    every = stages.read(checkpoint.read_run_config(place))
    judges = [
        stage.name for stage in every if stage.config.get("part") == "judge"
        and checkpoint.has_checkpoint(place / "checkpoints" / stage.name)
    ]
    if not judges:
        if arguments.judge is not None:
            raise UserError(f"{place} has trained no judge.")
        return None, None
    config, _, state = readers.load_run(
        place, stage=judges[-1], trust_code=arguments.trust_run_code
    )
    return {"params": state.params["judge"]}, config


def _of_texts(
    made: Any, arguments: argparse.Namespace, texts: dict[str, tuple[str, str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the directions of the texts, and the measured channels to keep."""
    from jaxedit.methods.sdic import directions, editing, inversion_file, styleclip

    clip = styleclip.read_clip(arguments.styleclip)
    if arguments.channels is not None:
        widths = editing.style_widths(made.variables["params"])
        codes = (made.generator.codes, made.generator.style_width)
        kept = directions.read(arguments.channels, codes, widths)
        if "styleclip/directions" not in kept.more:
            raise UserError(f"{arguments.channels} holds no measured channels.")
        if kept.generator != inversion_file.fingerprint(made.variables):
            raise UserError(f"The channels in {arguments.channels} are another generator's.")
        channels = styleclip.Channels(
            kept.more["styleclip/directions"], kept.more["styleclip/deviations"]
        )
    else:
        channels = styleclip.measure(
            made, clip, pictures=arguments.pictures, seed=arguments.seed, say=command.tell
        )
    named = {
        name: styleclip.of_text(name, *ends, channels, clip, arguments.beta)
        for name, ends in texts.items()
    }
    return named, channels.arrays()
