"""How edits are measured: against the portrait with one attribute replaced, rendered anew.

An edit goes along the direction that was found for the attribute, by as much as the judge says the
attribute changes along it; several shares of the wanted change make a curve. Figures:

    edit_l1, edit_psnr   against the true picture at that share
    moved                by how much the judged attribute moved, as a share of what is wanted: 1 is
                         right
    others_moved         by how much the judged others moved, mean absolute share of their ranges
    lec                  e4e's latent editing consistency: invert, edit, invert again, edit back,
                         and how far the codes are then from those of the beginning
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.evaluation import Curve, Evaluation
from jaxedit.method import Batch, State
from jaxedit.methods.sdic import directions_stage, judge_method
from jaxedit.methods.sdic.attributes import NAMES
from jaxedit.methods.sdic.directions_stage import JUDGE
from jaxedit.metrics import base, image
from jaxedit.task import Array, Image, Number, Task

# Of `State.frozen`: `vectors` (attributes, n, W) and `effects` (attributes,).
DIRECTIONS = "directions"
TASK = "measure_edit"
SHARE = "strength"  # key of a batch: which share of the wanted change
_LEAST = 0.02  # effects below it are taken for it: a judge's noise would be divided by
_FARTHEST = 12.0  # lengths that codes are moved at most


def task(size: tuple[int, int], alone: bool, before: bool = False) -> Task:
    """Returns the task; `alone` and `before` say whether the encoder alone is measured too, and
    edits that are compensated after codes were moved.
    """
    picture, seen, number = Image(size=size), Array((len(NAMES),)), Array(())
    outputs = {"edited": picture, "judged": seen, "lec": number, "source": picture,
               "judged_source": seen, "no_lec": number}
    if alone:
        outputs |= {"encoder_edited": picture, "encoder_judged": seen, "encoder_lec": number}
    if before:
        outputs |= {"before_edited": picture, "before_judged": seen, "before_lec": number}
    inputs = {"image": picture, "place": Array((), np.int32), "wanted": number,
              SHARE: Number(default=1.0)}
    return Task(inputs, outputs)


def predict(method: Any, state: State, inputs: Batch) -> dict[str, jax.Array]:
    """Returns the outputs of `task` for a method that inverts; see the module.

    Raises:
      UserError: the stage was not given directions and a judge.
    """
    for name in (DIRECTIONS, JUDGE):
        if name not in state.frozen:
            raise UserError(
                f"evaluate.editing=True needs frozen/{name}, and the stage does not start from "
                "one: see the preset `chain` of the configuration."
            )
    inversion, variables = method.inversion, {"generator": state.frozen["generator"]}
    judge = directions_stage.seen_by(
        judge_method.network_of(method.config), state.frozen[JUDGE],
        tuple(method.config.image_size),
    )
    picture, place = inputs["image"], inputs["place"]
    share = inputs.get(SHARE, jnp.ones(len(picture)))
    known = state.frozen[DIRECTIONS]
    length = share * inputs["wanted"] / jnp.maximum(known["effects"][place], _LEAST)
    move = jnp.clip(length, -_FARTHEST, _FARTHEST)[:, None, None] * known["vectors"][place]
    invert = lambda one: method.found(state, one, (None, None))
    seen = lambda made: jnp.clip(inversion.pooled(made), -1, 1)
    far = lambda a, b: jnp.sqrt(jnp.square(a - b).sum((1, 2)))

    found = invert(picture)
    residual = found["compensated_feature"] - found["feature"]
    codes = found["compensated_codes"]
    edited = seen(inversion.edit(variables, codes + move, residual)[0])
    outputs = {
        "edited": edited,
        "judged": judge(edited),
        "lec": far(codes, invert(edited)["compensated_codes"] - move),
        "source": picture,
        "judged_source": judge(picture),
        "no_lec": jnp.full(len(picture), jnp.nan),
    }
    if method.predicts_discrepancy:
        first = seen(inversion.generate(variables, found["codes"] + move)[0])
        outputs |= {
            "encoder_edited": first,
            "encoder_judged": judge(first),
            "encoder_lec": far(found["codes"], invert(first)["codes"] - move),
        }
    if method.moves_before:
        before = seen(method.edited_before(state, found, move))
        outputs |= {
            "before_edited": before,
            "before_judged": judge(before),
            # It is the encoder's codes that were moved.
            "before_lec": far(found["codes"], invert(before)["codes"] - move),
        }
    return outputs


def evaluation(
    shares: Sequence[float], alone: bool, compare: Sequence[str] = (),
    more: Sequence[str | base.Metric] = (), before: bool = False,
) -> Evaluation:
    """Returns how edits are measured.

    Args:
      shares: of the wanted change, of the curve; 1 is measured in the table.
      alone: whether the encoder alone is measured too.
      compare: stages whose networks the curve shows beside the model.
      more: further metrics.
      before: whether edits that are compensated after codes were moved are measured too.
    """
    systems = {"no edit": {"edited": "source", "judged": "judged_source", "lec": "no_lec"}}
    if alone:
        systems["encoder alone"] = {
            "edited": "encoder_edited", "judged": "encoder_judged", "lec": "encoder_lec"
        }
    if before:
        systems["moved before"] = {
            "edited": "before_edited", "judged": "before_judged", "lec": "before_lec"
        }
    return Evaluation(
        task=TASK, prediction="edited", target="image",
        metrics=(EditError("edit_l1", shares), EditError("edit_psnr", shares), Moved(),
                 OthersMoved(), Consistency(), *more),
        systems=systems,
        groups=NAMES,
        group=lambda batch: [NAMES[place] for place in batch["place"]],
        curves=(Curve(
            title="error against the true edit, and how far the attribute has moved, over strength",
            parameter=SHARE, values=tuple(shares), x="moved", y="edit_l1",
            systems=("model", *(["encoder alone"] if alone else []), *compare),
        ),),
    )


class EditError(base.MeanMetric):
    """A comparison with the true picture at the share that is asked for."""

    def __init__(self, name: str, shares: Sequence[float]):
        self._function = {"edit_l1": image.l1, "edit_psnr": image.psnr}[name]
        title = {"edit_l1": "L1 against the true edit, on the [-1, 1] scale",
                 "edit_psnr": "PSNR against the true edit (dB)"}[name]
        super().__init__(name, title, name == "edit_psnr",
                         "there is no true picture of a half of what is there or not")
        self._shares = np.asarray(shares)

    def values(self, outputs, batch):
        places, known = chosen(batch, self._shares)
        rows = np.arange(len(places))
        truth = batch["truths"][rows, places]
        base.check(outputs["edited"], truth, None)
        return self._function(outputs["edited"], truth), known


class Moved(base.MeanMetric):
    """By how much the judged attribute moved, as a share of what is wanted."""

    def __init__(self):
        super().__init__("moved", "wanted attribute moved, as judged (1 is right)", True)

    def values(self, outputs, batch):
        rows = np.arange(len(batch["place"]))
        change = (outputs["judged"] - outputs["judged_source"])[rows, batch["place"]]
        return change / batch["wanted"], np.ones(len(rows), bool)


class OthersMoved(base.MeanMetric):
    """By how much the judged others moved."""

    def __init__(self):
        super().__init__("others_moved", "other attributes moved, as judged", False)

    def values(self, outputs, batch):
        change = np.abs(outputs["judged"] - outputs["judged_source"])
        others = np.arange(change.shape[1])[None] != np.asarray(batch["place"])[:, None]
        return (change * others).sum(1) / others.sum(1), np.ones(len(change), bool)


class Consistency(base.MeanMetric):
    """e4e's LEC; published are means without the outermost percent, these are of all samples."""

    def __init__(self):
        super().__init__("lec", "latent editing consistency", False, "nothing is inverted")

    def values(self, outputs, batch):
        return outputs["lec"], np.isfinite(outputs["lec"])


def chosen(
    batch: Mapping[str, np.ndarray], shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of a sample's truths is asked for (B,), and whether there is such a one.

    Raises:
      UserError: a share that no truth was rendered for.
    """
    asked = np.asarray(batch.get(SHARE, np.ones(len(batch["place"]))))
    distance = np.abs(asked[:, None] - shares[None])
    places = distance.argmin(1)
    if distance.min(1).max() > 1e-6:
        raise UserError(
            f"There are truths at {shares.tolist()} of an edit, not at {asked.max():g}."
        )
    return places, np.asarray(batch["known"])[np.arange(len(places)), places]
