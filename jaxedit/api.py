"""The verbs as functions on pictures in memory: what `jaxedit inpaint` does is `jaxedit.inpaint`.

A picture is a PIL image or an array, uint8 (H, W, 3), (H, W, 4) or (H, W), or uint16 (H, W); what
comes back is of the same kind. A mask is a PIL image or an array (H, W), bool, or white (255 or 1)
and black. Networks are read at the first call and compiled at the first picture of a size; both are
kept for the calls that follow, until `forget()`. What is wrong is a `jaxedit.errors.UserError`,
which names arguments where the verbs name options.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import numbers
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from jaxedit import cli
from jaxedit.apply import in_memory, photograph
from jaxedit.apply import trimap as trimap_files
from jaxedit.apply.in_memory import Picture
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, counting, edit_network, holes, network, python_words
from jaxedit.commands import edit as edit_verb
from jaxedit.commands import inpaint as inpaint_verb
from jaxedit.commands import invert as invert_verb
from jaxedit.commands import label as label_verb
from jaxedit.commands import matte as matte_verb
from jaxedit.commands import synthesize as synthesize_verb
from jaxedit.commands.edit_options import Options as EditOptions
from jaxedit.data import trimaps
from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.host.names import check_choice

Path = str | pathlib.Path
# Names that the functions below have for what the verbs have options for.
_ARGUMENTS = frozenset((
    "run", "weights", "classical", "step", "mask", "trimap", "box", "context", "resolution", "grow",
    "shrink", "feather", "seamless", "background", "alpha_only", "premultiplied", "keep_colours",
    "trimap_width", "tile", "round_trimap", "bank", "seed", "donor", "licence", "prompt", "region",
    "segmenter", "tokenizer", "negative", "caption", "strength", "guidance", "steps", "start",
    "whole", "edits", "directions", "refine", "side",
))  # fmt: skip
_in_python = functools.partial(python_words.translated, arguments=_ARGUMENTS)


@_in_python
def inpaint(
    image: Picture, mask: Picture, *, run: Path | None = None, weights: str | None = None,
    classical: str | None = None, step: int | str | None = None,
    context: int | str | None = None, resolution: int | None = None, grow: int = 0,
    shrink: int = 0, feather: int = 0, seamless: bool = False,
) -> Picture:
    """Returns the picture with its hole filled; every other pixel stays as it was.

    Args:
      image: any size.
      mask: of the same size, True or white in the hole.
      run: a run directory.
      weights: published weights, see `jaxedit weights list`; where nothing is named, those that
        come with jaxedit.
      classical: "telea", "membrane" or "biharmonic", which have learned nothing.
      step: of the run, or "last" or "best".
      context: pixels around each part of the hole that the network sees, or "whole".
      resolution: longest side of what it sees at once, in pixels.
      grow, shrink: pixels by which the hole is widened or narrowed.
      feather: pixels around the hole over which the filling fades to the picture.
      seamless: whether a network's filling is made to meet the picture at the hole's edge.

    Raises:
      UserError: sizes that differ, a mask that marks nothing or everything, no such network.
    """
    inpaint_verb.check_cutting(context, resolution)
    _heed("inpaint", context=context, resolution=resolution, classical=classical, run=run,
          step=step, seamless=seamless)
    edge = holes.Edge(grow, shrink, feather)
    edge.check()
    photo, hole = in_memory.photograph_of(image), in_memory.mask_of(mask, "mask")
    in_memory.check_size(photo, hole.shape, "mask")
    if not hole.any() or hole.all():
        raise UserError(f"The mask marks {'everything' if hole.any() else 'nothing'} as a hole.")
    applier = _applier("inpaint", _text(run), weights, classical, _text(step))
    filled = inpaint_verb.fill(
        applier, photo, edge.shape(hole), context=context, resolution=resolution, feather=feather,
        seamless=seamless,
    )
    return in_memory.like(image, filled)


@_in_python
def matte(
    image: Picture, *, trimap: Picture | None = None, mask: Picture | None = None,
    box: tuple[int, int, int, int] | None = None, run: Path | None = None,
    weights: str | None = None, classical: str | None = None,
    step: int | str | None = None, background: Picture | None = None, alpha_only: bool = False,
    premultiplied: bool = False, keep_colours: bool = False, trimap_width: float | None = None,
    tile: int | None = None, round_trimap: bool = False,
) -> Picture:
    """Returns the subject in its own colours with transparency around it.

    Args:
      image: any size.
      trimap: of the same size: 0 background, 128 unknown, 255 foreground; or
      mask: coarse, True or white on the subject; a trimap is made around its outline; or
      box: (x, y, width, height) around the subject, in pixels, in which GrabCut makes the mask;
        with none of the three the subject fills the picture.
      run, weights, step: as in `inpaint`.
      classical: "closed-form" or "knn".
      background: the result is the subject before it, without transparency.
      alpha_only: the result is the matte, grey.
      premultiplied, keep_colours, trimap_width, tile, round_trimap: as in `commands.matte.Options`.

    Raises:
      UserError: sizes that differ, more than one of trimap, mask and box, nothing to estimate,
        options that contradict each other, no such network.
    """
    if sum(given is not None for given in (trimap, mask, box)) > 1:
        raise UserError("Give one of a trimap, a coarse mask of the subject and a box around it.")
    options = matte_verb.Options(
        from_mask=trimap is None, cut=mask is None and trimap is None,
        trimap_width=trimap_width, alpha_only=alpha_only,
        premultiplied=premultiplied, keep_colours=keep_colours,
        tile=0 if classical and tile is None else tile,
        background=None if background is None else pathlib.Path("background"),
    )
    options.check()
    _heed("matte", trimap=trimap, trimap_width=trimap_width, alpha_only=alpha_only,
          premultiplied=premultiplied, keep_colours=keep_colours, background=background, run=run,
          round_trimap=round_trimap, step=step)
    for name, number in (("trimap_width", trimap_width), ("tile", tile)):
        if number is not None and not isinstance(number, numbers.Real):
            raise UserError(f"{name} is {number!r}; expected a number.")
    photo = in_memory.photograph_of(image)
    matte_verb.check_size(photo, "The picture")
    if trimap is None:
        coarse = in_memory.coarse_mask(photo, mask, box)
        share = trimaps.MASK_WIDTH if trimap_width is None else trimap_width
        labels = trimaps.from_mask(coarse, share)
    else:
        labels = trimap_files.read(
            in_memory.encoded(trimap), by_thresholds=round_trimap, name="given"
        )
        in_memory.check_size(photo, labels.shape, "trimap")
    for doubt in trimap_files.check(labels, "The trimap"):
        _tell(f"warning: {doubt}")
    applier = _applier("matte", _text(run), weights, classical, _text(step))
    alpha = matte_verb.estimate(applier, photo, labels, tile=options.tile)
    behind = None
    if background is not None:
        behind = photograph.over_white(
            in_memory.photograph_of(background), "The background", _tell
        )
    return in_memory.like(image, matte_verb.render(photo, alpha, behind, options))


@_in_python
def label(
    image: Picture, *, run: Path | None = None, weights: str | None = None,
    step: int | str | None = None, side: int | None = None,
) -> Picture:
    """Returns the label map of a picture, of its size: of an array uint8 (H, W), the numbers of the
    classes; of a PIL image a palette image, whose indices they are.

    Args:
      image: any size.
      run, weights, step: as in `inpaint`.
      side: what the shorter side is scaled to before it is judged, in pixels; 0 never scales, None
        is that of training.

    Raises:
      UserError: a tiny picture, a side that is none, no such network.
    """
    label_verb.check_side(side)
    _heed("label", run=run, step=step)
    photo = in_memory.photograph_of(image)
    label_verb.check_size(photo, "The picture")
    applier = _applier("label", _text(run), weights, None, _text(step))
    classes, scaled = label_verb.described(applier, side)
    found, _ = label_verb.estimate(applier, photo, scaled)
    return classes.to_png(found) if isinstance(image, Image.Image) else found.astype(np.uint8)


@_in_python
def synthesize(
    labels: Picture, *, run: Path | None = None, bank: Path | None = None, seed: int = 0,
    donor: str | None = None, licence: str | None = None,
) -> Picture:
    """Returns a photograph of a label map.

    Args:
      labels: int (H, W), numbers of the bank's classes, or a PIL image of mode P or L with them; it
        is scaled to the network's size by its nearest pixels.
      run: a run directory; where it is not named, the networks that come with jaxedit.
      bank: a memory bank; where it is not named, the run's.
      seed: of what is drawn.
      donor: take segments of this picture of the bank only.
      licence: of pictures under this licence only.

    Raises:
      UserError: no such run or bank, or nothing in it may lend segments.
    """
    array = np.asarray(labels)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"labels are {array.dtype} {array.shape}; expected whole numbers (H, W).")
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**32:
        raise UserError(f"seed is {seed!r}; it must be a whole number from 0 to 4294967295.")
    if licence is not None and not isinstance(licence, str):
        raise UserError(f"licence is {licence!r}; expected one name.")
    chain = _chain(_text(run), _text(bank))
    label = chain.composer.bank.classes.normalise(array, "labels")
    allowed = chain.allowed(
        None if donor is None else [donor], None if licence is None else [licence]
    )
    _, picture = chain.make(label, allowed, seed)
    return in_memory.like(labels, Photograph(levels.of_picture(picture)))


@_in_python
def edit(
    image: Picture, prompt: str, *, mask: Picture | None = None, region: str | None = None,
    segmenter: Path | None = None, run: Path | None = None, weights: Path | None = None,
    step: int | str | None = None, tokenizer: Path | None = None, **options: Any,
) -> Picture:
    """Returns the picture with one thing changed; what lies outside of the mask stays as it was.

    Args:
      image: any size.
      prompt: what the edited picture shows.
      mask: of the same size, True or white where it may change; or
      region: a word for that, found by
      segmenter: the folder of a CLIPSeg. With neither, all may change.
      run, step: as in `inpaint`.
      weights: the folder of a Stable Diffusion 1.x, a file of one with
      tokenizer: the folder of CLIP's, or a name, see `jaxedit weights list`.
      **options: `negative`, `caption`, `strength`, `guidance`, `steps`, `start`, `seed`, `context`,
        `resolution`, `feather`, `whole`, as in `commands.edit_options.Options`.

    Raises:
      UserError: sizes that differ, a mask that selects nothing, an empty or too long prompt,
        options that contradict each other, no such network.
    """
    known = {field.name for field in dataclasses.fields(EditOptions)} - {"variants"}
    for name in options:
        check_choice("An option of edit", name, known)
    wanted = EditOptions(prompt=prompt, region=region, segmenter=_text(segmenter), **options)
    wanted.check()
    given = dataclasses.asdict(wanted) | {"negative_prompt": wanted.negative}
    _heed("edit", mask=mask, run=run, step=step, tokenizer=tokenizer, **given)
    if mask is not None and region is not None:
        raise UserError("What may change is given twice: by a mask and by a region.")
    photo, inside = in_memory.photograph_of(image), None
    if mask is not None:
        inside = in_memory.mask_of(mask, "mask", white="what may change")
        in_memory.check_size(photo, inside.shape, "mask")
        if not inside.any():
            raise UserError("The mask selects nothing.")
    load = lambda options: _editor(options, _text(run), _text(weights), _text(step),
                                   _text(tokenizer))
    # Programs differ by these alone; what is said of the texts is said of every call's.
    editor = load(EditOptions(prompt="a", region=region and "a", segmenter=wanted.segmenter,
                              steps=wanted.steps, start=wanted.start))
    edit_network.check(editor, wanted, _tell)
    if region is not None:
        inside = edit_verb.found(editor, photo, region, "the picture", _tell)
    view = edit_verb.view_of(editor, photo, inside, wanted)
    return in_memory.like(image, edit_verb.edit(editor, photo, inside, view, wanted)[0])


@_in_python
def invert(
    image: Picture, *, run: Path | None = None, weights: str | None = None,
    edits: Mapping[str, float | str] | None = None, directions: Path | None = None,
    refine: int = 0, step: int | str | None = None,
) -> Picture:
    """Returns an aligned picture as a generator makes it again, edited there.

    Args:
      image: aligned, see `jaxedit align`; the result has the generator's size.
      run, weights, step: as in `inpaint`.
      edits: direction -> strength, as the verb's --edit.
      directions: a file of `jaxedit directions`; where it is not named, the run's own.
      refine: steps of optimisation that bring the codes closer to the picture.

    Raises:
      UserError: no such network or direction, a strength that is no number, a tiny picture.
    """
    whole = isinstance(refine, numbers.Integral) and not isinstance(refine, bool)
    if not whole or not 0 <= refine <= invert_verb.MOST_STEPS:
        raise UserError(f"refine is {refine!r}; expected 0 to {invert_verb.MOST_STEPS} steps.")
    if edits is not None and not isinstance(edits, Mapping):
        raise UserError(f"edits are {edits!r}; expected direction -> strength, {{'smile': 2}}.")
    _heed("invert", edit=edits, directions=directions, run=run, step=step)
    inverter = _inverter(_text(run), weights, _text(step))
    named = {}
    if edits:
        named = invert_verb.directions_of(
            inverter, *(None if one is None else pathlib.Path(one) for one in (directions, run))
        )
    requests = [named.request(f"{name}={strength}") for name, strength in (edits or {}).items()]
    photo = photograph.over_white(in_memory.photograph_of(image), "The picture", _tell)
    picture, doubts = inverter.fitted(levels.of_picture(photo.for_network()), "The picture")
    for line in doubts:
        _tell(f"warning: {line}")
    inverted = inverter.invert(picture, int(refine))
    if requests:
        return in_memory.like(image, Photograph(inverter.edit(inverted, named, requests)))
    return in_memory.like(image, Photograph(inverter.shown(inverted.arrays["image"])))


def _heed(verb: str, **given: Any) -> None:
    """Raises UserError where an argument is given that would change nothing, as of the verb's."""
    words = [verb, "picture", *(["--prompt", "one"] if verb == "edit" else [])]
    arguments = cli.build_parser(words).parse_args(words)
    vars(arguments).update(given)
    counting.check(arguments)


def _tell(line: str) -> None:
    command.tell(python_words.in_python(line, _ARGUMENTS))


def forget() -> None:
    """Lets go of the networks that were read and of what was compiled for them."""
    for kept in (_applier, _chain, _editor, _inverter):
        kept.cache_clear()


@functools.cache
def _applier(
    task: str, run: str | None, weights: str | None, classical: str | None, step: str | None
) -> Callable:
    """Returns what does the work, chosen as the verbs choose it."""
    if sum(name is not None for name in (run, weights, classical)) > 1:
        raise UserError("Name one of run, weights and classical.")
    verb = {"inpaint": inpaint_verb, "matte": matte_verb, "label": label_verb}[task]
    if classical is not None:
        check_choice("classical", classical, verb.CLASSICAL)
    arguments = argparse.Namespace(
        run=None if run is None else pathlib.Path(run), weights=weights, classical=classical,
        step=step, trust_run_code=False, bucket=None, has_classical=bool(verb.CLASSICAL),
    )
    network.check(arguments, task)
    return network.load_applier(arguments, task, verb.solver)


@functools.cache
def _chain(run: str | None, bank: str | None) -> Any:
    """Returns the networks and the bank of a layout's synthesis, as the verb finds them."""
    words = ["synthesize", "labels", "--output", "none.png"]
    words += [] if run is None else ["--run", run]
    words += [] if bank is None else ["--bank", bank]
    return synthesize_verb.load(cli.build_parser(words).parse_args(words))


@functools.cache
def _editor(
    options: EditOptions, run: str | None, weights: str | None, step: str | None,
    tokenizer: str | None,
) -> edit_network.Editor:
    """Returns what edits, chosen as the verb chooses it; `options` hold what programs differ by."""
    if run is not None and weights is not None:
        raise UserError("Name one of run and weights.")
    arguments = argparse.Namespace(
        run=None if run is None else pathlib.Path(run), weights=weights, classical=None, step=step,
        has_classical=False,
    )
    network.check(arguments, "edit", edit_verb.PUBLISHED)
    return edit_network.load(
        options, run=arguments.run, weights=arguments.weights, step=step,
        tokenizer=None if tokenizer is None else pathlib.Path(tokenizer), say=_tell,
    )


@functools.cache
def _inverter(run: str | None, weights: str | None, step: str | None) -> Any:
    """Returns the networks of an inversion, chosen as the verb chooses them."""
    if run is not None and weights is not None:
        raise UserError("Name one of run and weights.")
    arguments = argparse.Namespace(
        run=None if run is None else pathlib.Path(run), weights=weights, classical=None, step=step,
        stage=None, trust_run_code=False, has_classical=False,
    )
    network.check(arguments, "invert")
    return invert_verb.inverter_of(arguments)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
