"""Edits of the small world as a judge of its attributes sees them.

The judge says subject, colour and setting of the edited picture. That the picture shows what was
asked for is one figure, that it shows the rest as before is another. The truly edited picture is
judged beside it: what the judge says of that is the most that it can say of an edit.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxedit.errors import UserError
from jaxedit.methods.iedit import zero_shot
from jaxedit.metrics import base
from jaxedit.models.judge import Judge
from jaxedit.weights import shipped

SHOWN, KEPT, BOTH = "edit_shown", "others_kept", "edit_judged_right"
NAMES = (SHOWN, KEPT, BOTH)
BASELINES = {
    "the truly edited picture": lambda batch: batch["target"],
    "no edit": lambda batch: batch["image"],
}
CEILINGS = ("the truly edited picture",)
_TITLES = {
    SHOWN: "share of edits that show what was asked for, as judged",
    KEPT: "share of edits that show the other attributes as before, as judged",
    BOTH: "share of edits of which both is so, as judged",
}


class _Judgement(base.MeanMetric):
    """One of `NAMES`: of the attributes that `tell` says of a system's pictures."""

    def __init__(self, name: str, tell: Any):
        super().__init__(name, _TITLES[name], True, undefined="the records do not say what the "
                         "true results show (`attributes`, `kind` of scenes:edits)")
        self._name, self._tell = name, tell

    def values(self, outputs: base.Outputs, batch: base.Batch) -> tuple[np.ndarray, np.ndarray]:
        """Returns (values, defined), both (B,)."""
        wanted = np.asarray(batch["attributes"])
        edited = np.stack([np.asarray(zero_shot.NAMES) == str(kind) for kind in batch["edited"]])
        finite = np.isfinite(outputs["image"]).all((1, 2, 3))
        right = self._tell(np.nan_to_num(outputs["image"])) == wanted
        shown, kept = (right & edited).any(1), (right | edited).all(1)
        value = {SHOWN: shown, KEPT: kept, BOTH: shown & kept}[self._name]
        value = np.where(finite, value, np.nan)
        return value, (wanted >= 0).all(1) & edited.any(1)


def metrics(name: str, side: int) -> dict[str, Any]:
    """Returns figure -> maker, for `metrics.create`.

    Args:
      name: of a judge that comes with jaxedit, or the path of one's own, see `shipped.at`.
      side: of the pictures that are judged, in pixels.

    Raises:
      UserError: no such judge, or one of pictures of another size.
    """
    judges = lambda weights: weights.card.get("config", {}).get("part") == "judge" and (
        weights.card["config"]["method"] == "iedit"
    )
    weights = shipped.chosen(
        "The judge", name, judges,
        "tells no attributes of the small world: train configs/iedit.py:judge.",
    )
    config = weights.card["config"]
    if config["image_size"] != side:
        raise UserError(
            f"The judge {name!r} knows pictures of {config['image_size']} pixels a side, and edits "
            f'have {side}. Train another (configs/iedit.py:judge), or judge by none: '
            '--config.evaluate.judge="".'
        )
    network = Judge(zero_shot.ANSWERS, tuple(config["judge"]["channels"]))
    params = shipped.load(weights)["params"]["judge"]
    told = jax.jit(lambda images: network.apply({"params": params}, images))

    def tell(images: np.ndarray) -> np.ndarray:
        """Returns int32 (B, attributes), the answers of pictures (B, H, W, 3) in [-1, 1]."""
        scores = zero_shot.parts(np.asarray(told(np.asarray(images, np.float32))))
        return np.stack([part.argmax(-1) for part in scores], 1)

    return {figure: lambda keys, figure=figure: _Judgement(figure, tell) for figure in NAMES}
