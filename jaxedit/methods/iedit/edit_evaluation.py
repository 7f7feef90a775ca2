"""How edits are measured: what is kept, what is changed, against the network as it came.

No table of the paper could be read; the protocol is ours. Beside the fine-tuned network stands the
one that it started from: in the same sampler (SDEdit), and from the inversion of the picture
(encode and decode). Curves trade what is kept against what is changed, over strength and guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
import numpy as np

from jaxedit.evaluation import Curve, Evaluation
from jaxedit.methods.iedit import judged
from jaxedit.metrics import base, image

TASK = "measure"
UNTUNED, INVERTED = "untuned", "inverted"  # outputs
SYSTEMS = {"un-tuned": UNTUNED, "un-tuned, encode and decode": INVERTED}
KEPT, MADE, FAR = "truth_l1_outside", "truth_l1_inside", "truth_l1"
# Of an edit of a scene, what it changes.
GROUPS = ("colour", "subject", "setting")


class TruthError(base.MeanMetric):
    """How far an edit is from the picture that it should give: L1 on the [-1, 1] scale.

    Over the pixels that differ by the edit, the others, or all; the truth is the batch's `target`,
    the mask its `changed`.
    """

    def __init__(self, name: str):
        where = {KEPT: "outside of what changes", MADE: "inside of what changes", FAR: "everywhere"}
        super().__init__(name, f"L1 to the truly edited picture, {where[name]}",
                         higher_is_better=False, undefined="the mask leaves no pixel")
        self._name = name

    def values(self, outputs: base.Outputs, batch: base.Batch) -> tuple[np.ndarray, np.ndarray]:
        """Returns (values, defined), both (B,)."""
        inside = np.asarray(batch["changed"])
        mask = {KEPT: 1 - inside, MADE: inside, FAR: None}[self._name]
        values = image.l1(outputs["image"], batch["target"], mask)
        return values, base.has_value(values, outputs["image"], batch["target"])


def evaluation(
    config: ml_collections.ConfigDict, empty: Callable[[], np.ndarray]
) -> Evaluation:
    """Returns what is measured of edits.

    Args:
      config: of the stage.
      empty: returns the symbols of the empty prompt, (1, length); asked when something is measured.
    """
    sample, evaluate = config.sample, config.evaluate
    own: dict[str, Any] = {}
    metrics = tuple(evaluate.edit_metrics)
    if evaluate.truth:
        metrics += (FAR, MADE, KEPT)
        own |= {name: lambda keys, name=name: TruthError(name) for name in (FAR, MADE, KEPT)}
    if evaluate.judge:
        metrics += judged.NAMES
        own |= judged.metrics(evaluate.judge, config.image_size)
    kept, made = (KEPT, MADE) if evaluate.truth else ("psnr_m", "clip_direction")
    shown = ("model", *(("un-tuned",) if evaluate.untuned else ()))
    curves = tuple(
        Curve(f"kept and changed, over the {name}", name, tuple(values), kept, made, shown)
        for name, values in (("strength", sample.strengths), ("guidance", sample.guidances))
        if values
    )
    return Evaluation(
        task=TASK, prediction="image", target="image", metrics=metrics, region="mask", own=own,
        systems=SYSTEMS if evaluate.untuned else {},
        groups=GROUPS if evaluate.truth else (),
        group=_group if evaluate.truth else None,
        best=(FAR, "min") if evaluate.truth else None,
        baselines=judged.BASELINES if evaluate.judge else {},
        ceilings=judged.CEILINGS if evaluate.judge else (),
        curves=curves,
        prepare=lambda batch: _prepared(batch, config, empty()),
    )


def _prepared(
    batch: Mapping[str, np.ndarray], config: ml_collections.ConfigDict, empty: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the inputs of the task; a curve's number goes before the configured one."""
    sample, count = config.sample, len(batch["image"])
    number = lambda name, value: batch.get(name, np.full(count, value, np.float32))
    mask = batch["mask"] if sample.masked else np.ones_like(batch["mask"])
    return {
        "image": batch["image"], "mask": mask, "prompt": batch["prompt"],
        "caption": batch["caption"], "negative": np.repeat(empty, count, 0),
        "strength": number("strength", sample.strength),
        "guidance": number("guidance", sample.guidance),
    }


def _group(batch: Mapping[str, np.ndarray]) -> list[str | None]:
    return [name if name in GROUPS else None for name in map(str, batch["edited"])]
