"""From a layout to the canvas that the synthesis network is given: the whole of section 3.

Qi et al., CVPR 2018. Each segment of the layout gets a segment of the bank (`retrieval`), which is
moved onto its place (the alignment network), put in order with the others (the ordering network,
or the prior of the classes alone) and pasted (`canvas`). Where every pasted pixel comes from is
kept: bank pixels reappear in the result, and so does their licence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice
from jaxedit.methods.sims import canvas as canvas_lib
from jaxedit.methods.sims import flaws, placing, retrieval, scaling, segments
from jaxedit.methods.sims import order as order_lib
from jaxedit.methods.sims import pairs as pairs_lib
from jaxedit.methods.sims.bank import Bank, Donor
from jaxedit.methods.sims.placing import Applier
from jaxedit.methods.sims.segments import UNLABELLED, Segment

_PAIRS = 8  # that the ordering network is asked for at a time


# What is pasted over what: as the network says where there is one, and the classes' prior where it
# says nothing; by that prior alone; as the network would say were it never wrong, from the true
# depth along seams (`pairs.DepthRule`); as segments happen to be numbered, which is by class; or
# drawn.
ORDERS = ("network", "prior", "depth", "none", "random")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a canvas is made.

    Attributes:
      candidates: how many donors are looked up; with a generator one of them is drawn.
      context: whether contexts count in the score (the paper) or masks alone (released).
      search: one of `retrieval.SEARCHES`.
      thin: classes that do not cut others, see `segments.find`.
      area_share: smaller segments of the layout stay black.
      erase: how wide seams are erased: a key of `canvas.RULES`, or none.
      objects: classes around which context is erased.
      context_classes: classes that are restored where the layout is rewritten.
      erased_classes: classes that are erased around objects.
      right_by_height: see `canvas.Elision`.
      flaws: which pixels of donors are left out.
      keep_unfilled: what has no donor stays as it is asked for, black, where its class is in front
        of what was pasted (`canvas.with_unfilled`).
      rewrite: hand on the layout with the pasted shapes, as released, instead of the one asked for.
      prior: classes, most often behind first; () orders by `size_prior`.
      order: one of `ORDERS`.
      front: tells from depth which of two touching segments is in front, for the order "depth".
    """

    candidates: int = 10
    context: bool = True
    search: str = "pruned"
    thin: tuple[int, ...] = ()
    area_share: float = segments.AREA_SHARE
    erase: str = "paper"
    objects: tuple[int, ...] = ()
    context_classes: tuple[int, ...] = ()
    erased_classes: tuple[int, ...] = ()
    right_by_height: bool = False
    flaws: flaws.LeftOut = flaws.LeftOut()
    keep_unfilled: bool = True
    rewrite: bool = True
    prior: tuple[int, ...] = ()
    order: str = "network"
    front: pairs_lib.DepthRule = pairs_lib.DepthRule()

    def __post_init__(self) -> None:
        check_choice("canvas.erase", self.erase, (*canvas_lib.RULES, "none"))
        check_choice("compose.order", self.order, ORDERS)


@dataclasses.dataclass(frozen=True)
class PastedSegment:
    """A segment of the bank in a canvas.

    Attributes:
      label: its class.
      number: its number in the bank.
      donor: where its pixels come from.
      score: how well it fits, see `retrieval`.
      box: of the segment of the layout that it fills, in the bank's frame.
      pixels: how many of the canvas are its own in the end.
    """

    label: int
    number: int
    donor: Donor
    score: float
    box: segments.Box
    pixels: int


@dataclasses.dataclass(frozen=True, eq=False)
class Composition:
    """What the synthesis network is given, and where it comes from.

    Attributes:
      canvas: float32 (H, W, 3) in [0, 1]; black is missing.
      layout: int32 (H, W), rewritten or as asked for; UNLABELLED where there is no class.
      pasted: the segments, back to front.
      empty: segments of the layout for which the bank had nothing.
    """

    canvas: np.ndarray
    layout: np.ndarray
    pasted: tuple[PastedSegment, ...]
    empty: tuple[Segment, ...]

    @property
    def presence(self) -> np.ndarray:
        """Returns float32 (H, W, 1): 1 where something was pasted, white erasures included."""
        return (self.canvas.sum(-1, keepdims=True) > 0).astype(np.float32)


class Composer:
    """Makes canvases from one bank.

    Args:
      bank: where segments come from.
      settings: how.
      align: the alignment network's task `align`, called with one segment; None moves nothing.
      order: the ordering network's task `order`; None orders by the prior of the classes.
      size: (height, width) of layouts and canvases; None is that of the bank's colours.
      align_size: (height, width) that the alignment network is asked at; None is `size`.
      order_size: the same of the ordering network; None is the frame of the bank.
    """

    def __init__(
        self, bank: Bank, settings: Settings, align: Applier | None = None,
        order: Applier | None = None, *, size: tuple[int, int] | None = None,
        align_size: tuple[int, int] | None = None, order_size: tuple[int, int] | None = None,
    ):
        self.bank, self.settings = bank, settings
        self._order_size = tuple(order_size or bank.size)
        self.size = tuple(size or (side * bank.scale for side in bank.size))
        self._order = order if settings.order == "network" else None
        self._place = placing.Placer(bank, self.size, align, align_size, settings.flaws)
        self._searcher = retrieval.Searcher(bank, context=settings.context, how=settings.search)
        self._prior = settings.prior or size_prior(bank)

    def __call__(
        self, label: np.ndarray, *, instance: np.ndarray | None = None,
        allowed: np.ndarray | None = None, rng: np.random.Generator,
        vary: bool = False, depth: np.ndarray | None = None,
    ) -> Composition:
        """Returns a canvas for a layout.

        Args:
          label: int (H, W) at `size`; what is no class of the bank is unlabelled.
          instance: int (H, W), tells touching segments of a class apart.
          allowed: bool (pictures,), which may lend segments (`Bank.allowed`).
          rng: draws which pixels of seams are erased, and donors with `vary`.
          vary: draw a donor among the candidates instead of taking the best.
          depth: float (H, W), as `Settings.front` reads it; for the order "depth".

        Raises:
          UserError: the layout has another size, or its depth is needed and not given.
        """
        if self.settings.order == "depth" and depth is None:
            raise UserError("compose.order=depth needs the depth of each layout (depths/).")
        if label.shape != self.size:
            raise UserError(
                f"The layout has {label.shape[1]} x {label.shape[0]} pixels; this bank makes "
                f"canvases of {self.size[1]} x {self.size[0]}. Scale it by its nearest pixels."
            )
        count = self.bank.classes.count
        label = np.where((label >= 0) & (label < count), label, UNLABELLED).astype(np.int32)
        frame = self._reduced(label)
        wanted = segments.find(
            frame, count, instance=None if instance is None else self._reduced(instance),
            thin=self.settings.thin,
            above=segments.smallest_area(frame.shape, self.settings.area_share),
        )
        queries = [retrieval.query(segment, frame, count) for segment in wanted]
        candidates = self._searcher.top(queries, self.settings.candidates, allowed)
        chosen = [retrieval.choose(found, rng if vary else None) for found in candidates]
        places = [n for n, found in enumerate(chosen) if found is not None]
        empty = tuple(s for s, found in zip(wanted, chosen, strict=True) if found is None)
        wanted, found = [wanted[n] for n in places], [chosen[n] for n in places]
        placed = [self._place(s, f.number, label) for s, f in zip(wanted, found, strict=True)]
        masks = np.zeros((len(placed), *self.size), bool)
        for number, one in enumerate(placed):
            masks[number] = one.mask
        far = None if depth is None else self._reduced(depth)
        sequence = self._sequence(wanted, masks, frame, far, rng)
        canvas = self._pasted(wanted, placed, masks, sequence, rng)
        if self.settings.keep_unfilled:
            covered = self._covered(wanted)
            order = np.asarray(order_lib.priorities(range(count), self._prior))
            canvas = canvas_lib.with_unfilled(
                canvas, label, (label != UNLABELLED) & ~covered, order
            )
        canvas = self._erased(canvas)
        if self.settings.rewrite:
            label = canvas_lib.rewritten(
                label, canvas.label, self._covered(wanted), self.settings.context_classes
            )
        seen = np.bincount(canvas.owner[canvas.owner >= 0], minlength=len(wanted))
        pasted = tuple(
            PastedSegment(wanted[n].label, found[n].number, self.bank.donor(found[n].number),
                          found[n].score, wanted[n].box, int(seen[n]))
            for n in sequence
        )
        return Composition(canvas.colour, label, pasted, empty)

    def _reduced(self, array: np.ndarray) -> np.ndarray:
        """Returns an array at the bank's frame, by its nearest pixels."""
        return scaling.nearest(array, self.bank.size)

    def _covered(self, wanted: Sequence[Segment]) -> np.ndarray:
        covered = np.zeros(self.bank.size, bool)
        for segment in wanted:
            covered |= segment.placed(self.bank.size)
        return self._place.enlarged(covered)

    def _sequence(
        self, wanted: Sequence[Segment], masks: np.ndarray, frame: np.ndarray,
        depth: np.ndarray | None, rng: np.random.Generator,
    ) -> list[int]:
        """Returns the segments' numbers, back to front."""
        if self.settings.order == "none":
            return list(range(len(wanted)))
        if self.settings.order == "random":
            return rng.permutation(len(wanted)).tolist()
        labels = [segment.label for segment in wanted]
        priority = order_lib.priorities(labels, self._prior)
        small = np.stack([self._reduced(m) for m in masks]) if len(masks) else masks
        pairs = order_lib.overlapping(small) if len(masks) else []
        bottoms = [segment.box[1] for segment in wanted]
        if self.settings.order == "depth":
            sure = np.eye(self.bank.classes.count)
            probabilities = {
                (first, second): sure[wanted[front].label]
                for first, second, front in self.settings.front(wanted, depth)
            }
        else:
            probabilities = self._probabilities(wanted, pairs, frame)
        edges = order_lib.decide(labels, bottoms, pairs, probabilities)
        return order_lib.whole(len(wanted), edges, priority)[0]

    def _probabilities(
        self, wanted: Sequence[Segment], pairs: Sequence[tuple[int, int]], frame: np.ndarray
    ) -> dict[tuple[int, int], np.ndarray]:
        asked = [pair for pair in pairs if wanted[pair[0]].label != wanted[pair[1]].label]
        if self._order is None or not asked:
            return {}
        # Always as many at a time, so that one program serves every layout.
        rounds = -(-len(asked) // _PAIRS)
        maps = np.zeros((rounds * _PAIRS, *self._order_size), np.uint8)
        classes = np.zeros((rounds * _PAIRS, 2), np.int32)
        # As the network was trained: the two segments of the layout, which never overlap.
        for place, pair in enumerate(asked):
            for number, one in zip((1, 2), pair, strict=True):
                mask = wanted[one].placed(self.bank.size)
                maps[place][scaling.nearest(mask, self._order_size)] = number
                classes[place, number - 1] = wanted[one].label
        label = scaling.nearest(frame, self._order_size)
        found = [
            self._order(label=label, pair=some, pair_classes=of)["probabilities"]
            for some, of in zip(
                np.split(maps, rounds), np.split(classes, rounds), strict=True
            )
        ]
        found = np.concatenate(found)[: len(asked)]
        return dict(zip(asked, found, strict=True))

    def _elision(self) -> canvas_lib.Elision | None:
        rule = canvas_lib.RULES.get(self.settings.erase)
        return None if rule is None else dataclasses.replace(
            rule(self.size[0]), right_by_height=self.settings.right_by_height
        )

    def _pasted(
        self, wanted: Sequence[Segment], placed: Sequence[placing.Placed], masks: np.ndarray,
        sequence: Sequence[int], rng: np.random.Generator,
    ) -> canvas_lib.Canvas:
        elision = self._elision()
        noise = None if elision is None else rng.random((len(wanted), *self.size), np.float32)
        black = None
        if any(one.black is not None for one in placed):
            black = np.stack([one.mask & False if one.black is None else one.black
                              for one in placed])
        return canvas_lib.compose(
            [one.colour for one in placed], masks, [segment.label for segment in wanted], sequence,
            elision=elision, noise=noise, black=black,
        )

    def _erased(self, canvas: canvas_lib.Canvas) -> canvas_lib.Canvas:
        elision = self._elision()
        if elision is None:
            return canvas
        return canvas_lib.erase_outside(
            canvas, self.settings.objects, self.settings.erased_classes, elision
        )


def settings_of(config: Any, bank: Bank) -> Settings:
    """Returns what a configuration says of making canvases, see `configs/sims.py`.

    Raises:
      UserError: `compose.prior` names a class that the bank does not have.
    """
    compose, data = config.compose, config.data
    context = tuple(compose.context_classes)
    if other := sorted(set(compose.prior) - set(bank.classes.names)):
        raise UserError(
            f"compose.prior orders {', '.join(other)}, which the bank {bank.folder} does not have. "
            'Name its own classes, most often behind first, or have them ordered by their sizes: '
            '--config.compose.prior="()". It has: ' + ", ".join(bank.classes.names) + "."
        )
    # Keys that older runs do not have are asked for with what those did.
    return Settings(
        candidates=compose.candidates, context=compose.context, search=compose.search,
        thin=tuple(data.thin), area_share=data.area_share, erase=compose.erase,
        objects=tuple(compose.get("objects") or data.objects), context_classes=context,
        erased_classes=tuple(compose.get("erased_classes") or context),
        right_by_height=compose.get("right_by_height", False),
        flaws=flaws.LeftOut(
            compose.get("shadows", 0.0), tuple(compose.get("ground", ())),
            tuple(compose.get("casters", ())), compose.get("borders", 0.0),
            tuple(compose.get("leaky", ())),
        ),
        keep_unfilled=compose.get("keep_unfilled", True), rewrite=compose.rewrite,
        prior=tuple(bank.classes.names.index(name) for name in compose.prior),
        order=compose.get("order", "network"),
        front=pairs_lib.DepthRule(data.depth, tuple(data.flat), tuple(data.objects)),
    )


def size_prior(bank: Bank) -> tuple[int, ...]:
    """Returns the classes of a bank, those of larger segments first: such are mostly behind (ours).

    For data without depth and without a published prior.
    """
    means = [
        float(bank.area[numbers].mean()) if len(numbers := bank.of_class(label)) else 0.0
        for label in range(bank.classes.count)
    ]
    return tuple(int(label) for label in np.argsort(-np.asarray(means), kind="stable"))


def provenance(composition: Composition, bank: Bank) -> list[dict[str, Any]]:
    """Returns a JSON-able line for each pasted segment: class, place, donor, licence, score."""
    return [
        {
            "class": bank.classes.names[one.label], "box": list(one.box), "pixels": one.pixels,
            "donor": one.donor.image, "donor_box": list(one.donor.box),
            "licence": one.donor.licence, "source": one.donor.source,
            "score": round(one.score, 6),
        }
        for one in composition.pasted
    ]
