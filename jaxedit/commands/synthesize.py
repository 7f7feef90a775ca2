"""`jaxedit synthesize`: turns label maps into photographs.

A run of SIMS has a memory bank and the networks that move, order and blend its segments. Beside
each result stands, as JSON, which photograph every pasted segment comes from and under which
licence: their pixels are seen in the result.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxedit.apply import batch_files, photograph
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, counting, label_maps, network
from jaxedit.data import images, own_files
from jaxedit.errors import UserError
from jaxedit.host import atomic, levels, number_text
from jaxedit.host.names import check_choice

if TYPE_CHECKING:
    from jaxedit.methods.sims.chain import Chain

SMALLEST, LARGEST = 16, 8192  # pixels a side of a result


def add(commands) -> None:
    """Adds the parser of `jaxedit synthesize`."""
    parser = command.add(
        commands, "synthesize", main, "turn label maps into photographs",
        "Looks up a segment for every part of LABELS in a memory bank of labelled photographs,\n"
        "pastes them, and lets a network paint over that canvas. LABELS is a PNG (or .npy) whose\n"
        "values, palette indices or colours are the classes of the bank; it is scaled to the size\n"
        "of the result by its nearest pixels. Beside OUT.png, OUT.donors.json names photograph\n"
        "and licence behind every pasted segment. A colour profile that all of these photographs\n"
        "have is the result's.\n\n"
        "  jaxedit synthesize labels.png --bank scenes.bank --output photo.png\n"
        "  jaxedit synthesize labels.png --run runs/sims-demo --output photo.png\n"
        "  jaxedit synthesize labels.png --run runs/sims-demo --variants 4 --output photo.png\n"
        "  jaxedit synthesize labels.png --run runs/cityscapes --size 1024x512 --output photo.png\n"
        "  jaxedit synthesize labels/ --run runs/sims-demo --bank mine/ --output photos/\n"
        "  jaxedit synthesize labels.png --bank mine/ --canvas-only --output collage.png",
    )
    parser.add_argument("labels", type=pathlib.Path, metavar="LABELS",
                        help="a label map, or a folder of them")
    parser.add_argument("--run", type=pathlib.Path, metavar="DIRECTORY",
                        help="networks of your own, --workdir of `jaxedit train` (default: those "
                        "that come with jaxedit; they want a --bank of the embedded scenes)")
    network.add_trust_of_run(parser)
    parser.add_argument("--bank", type=pathlib.Path, metavar="DIRECTORY",
                        help="the segments to paste, a folder that `jaxedit bank build` made "
                        "(default: the run's own); of the classes that the networks know")
    parser.add_argument("--stage", metavar="NAME",
                        help="of a run that trained from coarse to fine, the stage whose network "
                        "paints (default: the last one that was trained)")
    parser.add_argument("--size", metavar="WxH",
                        help="pixels of the result, 16 to 8192 a side (default: of the stage's "
                        "training pictures; with --bank, of its colours); names the stage of that "
                        "size too. Each size is compiled for itself")
    parser.add_argument("--variants", type=int, default=1, metavar="N",
                        help="so many different results, from 1 (default: 1), OUT-1 and on; from "
                        "the second on donors are drawn among the best instead of taking the best")
    parser.add_argument("--donor", action="append", metavar="IMAGE",
                        help="take segments of this picture of the bank only: its style; may be "
                        "given several times")
    parser.add_argument("--licence", action="append", metavar="NAME",
                        help="take segments of pictures under this licence only; may be given "
                        "several times")
    parser.add_argument("--order", choices=("network", "prior"),
                        help="which of two overlapping segments is in front: as the ordering "
                        "network says, or by what is mostly behind, class by class (prior) "
                        "(default: the network where the run has one)")
    parser.add_argument("--no-align", action="store_true",
                        help="paste segments where they were in their own photograph")
    parser.add_argument("--save-canvas", action="store_true",
                        help="keep what the network was given, OUT.canvas.png")
    parser.add_argument("--canvas-only", action="store_true",
                        help="paste segments, whole, and let no network paint: for banks of any "
                        "classes")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="of what is drawn: other numbers give other --variants (default: 0)")
    command.add_output(parser, "the result, .png; a folder where LABELS is one")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    counting.only(parser, "--stage --save-canvas", lambda a: not a.canvas_only,
                  "is about a network that paints; leave it out with --canvas-only.")
    counting.only(parser, "--stage", lambda a: a.run is not None,
                  "is one of a run: name that, --run DIRECTORY.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit synthesize`."""
    command.need_output(arguments)
    if arguments.variants < 1:
        raise UserError(f"--variants is {arguments.variants}; it must be at least 1.")
    if not 0 <= arguments.seed < 2**32:
        raise UserError(f"--seed is {arguments.seed}; it must be from 0 to 4294967295.")
    jobs = label_maps.collect(arguments.labels, arguments.output, arguments.variants,
                              arguments.overwrite, arguments.save_canvas, command.tell)
    chain = load(arguments)
    allowed = chain.allowed(arguments.donor, arguments.licence)
    failures = []
    for job in jobs:
        try:
            for line in _synthesise(chain, job, allowed, arguments):
                command.tell(line)
        except UserError as error:
            if len(jobs) == 1:
                raise
            failures.append(str(error))
            command.tell(f"failed: {error}")
    return network.exit_code(failures, jobs, "label maps")


def load(arguments: argparse.Namespace) -> Chain:
    """Returns the networks and the bank of a run; without `--run` those that come with jaxedit.

    Raises:
      UserError: the run has no such synthesis network or no bank, `--bank` has other classes, or
        `--size` is none.
    """
    size = None if arguments.size is None else _size(arguments.size)
    if arguments.run is None:
        return (_collage if arguments.canvas_only else _shipped)(arguments, size)
    from jaxedit.apply import applier
    from jaxedit.methods.sims import align_method, compose_stage, composition
    from jaxedit.methods.sims import bank as bank_lib
    from jaxedit.methods.sims.chain import Chain
    from jaxedit.run import artifacts, checkpoint, sharding, stages
    from jaxedit.state import State

    sharding.enable_compilation_cache()
    every = stages.read(checkpoint.read_run_config(arguments.run))
    if every[-1].config.method != "sims":
        raise UserError(f"{arguments.run} is a run of {every[-1].config.method!r}, not of sims.")
    is_trained = lambda stage: checkpoint.has_checkpoint(
        arguments.run / "checkpoints" / stage.name
    )
    task = lambda stage, name: applier.from_run(
        arguments.run, name, stage=stage.name, trust_code=arguments.trust_run_code, bucket=1,
        say=command.tell,
    )
    places = {stage.config.part: stage for stage in every}
    helper = lambda part: places[part] if part in places and is_trained(places[part]) else None
    only = arguments.canvas_only
    if only:
        painter = places.get("synthesis", every[-1])
    else:
        painter = _painter(every, is_trained, arguments, size)
    config = painter.config
    if arguments.bank is not None:
        bank = bank_lib.opened(arguments.bank)
        size = size or tuple(side * bank.scale for side in bank.size)
    elif "bank" in places and places["bank"].build:
        bank = bank_lib.opened(
            artifacts.load(arguments.run, places["bank"].name).folder, verify=False
        )
    else:
        raise UserError(f"{arguments.run} has built no memory bank. Name one with --bank.")
    if bank.classes.count != config.network.classes:
        raise UserError(
            f"The bank {bank.folder} has {bank.classes.count} classes and the networks of "
            f"{arguments.run} have {config.network.classes}. Build one of the same classes."
        )
    order = None if arguments.order == "prior" else helper("order")
    if order is None and arguments.order == "network":
        raise UserError(f"{arguments.run} has no ordering network. Use --order prior.")
    # By the masks alone, where the run's configuration says so; else by the network, if it has one.
    align, learned = None, None
    if not arguments.no_align:
        align = compose_stage.applied(align_method.Align(config), State(0), "align")
        learned = None if align else helper("align")
    settings = composition.settings_of(config, bank)
    return Chain(
        composition.Composer(
            bank, dataclasses.replace(settings, erase="none") if only else settings,
            task(learned, "align") if learned else align, order and task(order, "order"),
            size=size or tuple(config.image_size),
            align_size=learned and tuple(learned.config.image_size),
            order_size=order and tuple(order.config.image_size),
        ),
        None if only else task(painter, "synthesize"),
    )


def _painter(
    every: Sequence[Any], is_trained: Callable[[Any], bool], arguments: argparse.Namespace,
    size: tuple[int, int] | None,
) -> Any:
    """Returns the stage of a run whose synthesis network paints."""
    able = [s for s in every
            if s.config.part == "synthesis" and s.config.data.canvas != "none" and is_trained(s)]
    if not able:
        raise UserError(
            f"{arguments.run} has no synthesis network that was trained on canvases yet."
        )
    named = {stage.name: stage for stage in able}
    if arguments.stage is not None:
        check_choice("--stage", arguments.stage, list(named))
        return named[arguments.stage]
    return next((s for s in reversed(able) if tuple(s.config.image_size) == size), able[-1])


def _size(text: str) -> tuple[int, int]:
    """Returns (height, width) of WIDTHxHEIGHT."""
    width, height = number_text.size(text) or (0, 0)
    if not SMALLEST <= min(width, height) <= max(width, height) <= LARGEST:
        raise UserError(
            f"--size {text} is not WIDTHxHEIGHT, such as 1024x512, of {SMALLEST} to {LARGEST} "
            "pixels a side."
        )
    return height, width


def _shipped(arguments: argparse.Namespace, size: tuple[int, int] | None) -> Chain:
    """Returns the networks that come with jaxedit on the bank of `--bank`.

    Raises:
      UserError: none come with it, or there is no bank of the classes that they know.
    """
    from jaxedit.apply import applier
    from jaxedit.methods.sims import align_method, compose_stage, composition
    from jaxedit.methods.sims import bank as bank_lib
    from jaxedit.methods.sims.chain import Chain
    from jaxedit.run import sharding
    from jaxedit.state import State
    from jaxedit.weights import shipped

    names = {task: shipped.default(task) for task in ("synthesize", "order")}
    if names["synthesize"] is None:
        raise UserError("Name a run: --run DIRECTORY. No networks for it come with jaxedit.")
    _check_bank(arguments)
    sharding.enable_compilation_cache()
    found = {
        task: applier.from_weights(name, task, bucket=1, say=command.tell)
        for task, name in names.items()
        if name is not None and (task, arguments.order) != ("order", "prior")
    }
    used = ", ".join(repr(names[task]) for task in found)
    command.tell(f"using the weights {used}, which come with jaxedit")
    config = found["synthesize"].method.config
    bank = bank_lib.opened(arguments.bank)
    known = config.compose.prior
    if bank.classes.count != config.network.classes or set(known) - set(bank.classes.names):
        raise UserError(
            f"The bank {bank.folder} has other classes than the {config.network.classes} that the "
            f"networks in jaxedit know: {', '.join(known)}. Paste its segments without a network: "
            "--canvas-only. Or train on your own pictures: python -m jaxedit.main "
            "--config=configs/sims.py."
        )
    order = found.get("order")
    align = None
    if not arguments.no_align:
        align = compose_stage.applied(align_method.Align(config), State(0), "align")
    settings = composition.settings_of(config, bank)
    composer = composition.Composer(
        bank, settings, align, order, size=size,
        order_size=order and tuple(order.method.config.image_size),
    )
    return Chain(composer, found["synthesize"])


def _collage(arguments: argparse.Namespace, size: tuple[int, int] | None) -> Chain:
    """Returns what pastes segments of the bank of `--bank`, whatever its classes; no network.

    Raises:
      UserError: there is no bank, or `--order network`.
    """
    from jaxedit.methods.sims import bank as bank_lib
    from jaxedit.methods.sims import chain

    _check_bank(arguments)
    if arguments.order == "network":
        raise UserError("--canvas-only of a bank alone has no ordering network. Name a --run.")
    return chain.collage(bank_lib.opened(arguments.bank), size, align=not arguments.no_align)


def _check_bank(arguments: argparse.Namespace) -> None:
    if arguments.bank is None:
        raise UserError(
            "Name a memory bank, --bank DIRECTORY (`jaxedit bank build` makes one), or a run that "
            "has one, --run DIRECTORY."
        )


def _synthesise(
    chain: Chain, job: label_maps.LabelMap, allowed: np.ndarray, arguments: argparse.Namespace
) -> list[str]:
    from jaxedit.methods.sims import composition, scaling

    composer = chain.composer
    label = composer.bank.classes.read(job.labels)
    lines = label_maps.stretched(job.labels, label.shape, composer.size)
    for number, output in enumerate(job.outputs):
        made, picture = chain.make(label, allowed, arguments.seed, number)
        output.parent.mkdir(parents=True, exist_ok=True)
        beside = {label_maps.donors(output): "the photograph and licence behind every segment"}
        profiles = composer.bank.profiles(one.number for one in made.pasted)
        profile = next(iter(profiles)) if len(profiles) == 1 else None
        _write(output, picture, profile)
        if arguments.save_canvas:
            place = label_maps.canvas(output)
            _write(place, 2 * made.canvas - 1, profile, own_files.SHEET)
            beside[place] = "the canvas that the network was given"
        donated = {"segments": composition.provenance(made, composer.bank)}
        atomic.write_text(label_maps.donors(output), json.dumps(donated, indent=1) + "\n")
        height, width = picture.shape[:2]
        lines.append(batch_files.told(
            f"{output}: {width} x {height} pixels, {len(made.pasted)} segments of "
            f"{len({one.donor.image for one in made.pasted})} photographs, "
            f"{made.presence.mean():.0%} pasted", beside,
        ))
        if len(profiles) > 1:
            lines.append(f"warning: {output} has no colour profile: those of its donors differ.")
        names = composer.bank.classes.names
        lacking = {names[one.label] for one in made.empty}
        if lacking:
            lines.append(f"warning: the bank has nothing for {', '.join(sorted(lacking))} there.")
        asked = np.unique(scaling.nearest(label, composer.size))
        seen = {one.label for one in made.pasted if one.pixels}
        unseen = {names[n] for n in asked if 0 <= n < len(names) and n not in seen} - lacking
        if unseen:
            painted = "" if arguments.canvas_only else "; the network alone painted what is there"
            lines.append(f"warning: {output} has no pixel of the bank for "
                         f"{', '.join(sorted(unseen))}, too small or covered{painted}.")
    return lines


def _write(path: pathlib.Path, picture: np.ndarray, profile: bytes | None, *kind: str) -> None:
    metadata = images.Metadata(icc_profile=profile)
    photograph.write(path, Photograph(levels.of_picture(picture), metadata=metadata), *kind)
