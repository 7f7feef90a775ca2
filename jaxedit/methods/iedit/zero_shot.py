"""What is told of scenes of the small world by the nearest text, with no classifier (CLIP, 3.1).

Each answer is the mean of the embeddings of several texts: a subject's in all colours, a colour's
on all subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.host import levels
from jaxedit.metrics import base
from jaxedit.models.clip.towers import unit
from jaxedit.scenes import world

NAMES = tuple(world.ATTRIBUTES)
COUNT = len(NAMES)
_SIZES = tuple(len(values) for values in world.ATTRIBUTES.values())
_ENDS = tuple(np.cumsum(_SIZES).tolist())
ANSWERS = sum(_SIZES)


def answers(record: Mapping) -> np.ndarray:
    """Returns int32 (3,): which subject, colour and setting a record shows; -1 where none is known.
    """
    shown = record.get("attributes", {})
    return np.int32([
        values.index(shown[name]) if shown.get(name) in values else -1
        for name, values in world.ATTRIBUTES.items()
    ])


def parts(values: np.ndarray | jax.Array) -> list:
    """Returns values (..., answers) of each attribute."""
    return [values[..., end - size : end] for size, end in zip(_SIZES, _ENDS, strict=True)]


def probabilities(
    pictures: jax.Array, scale: jax.Array, embed: Callable[[Sequence[str]], jax.Array]
) -> jax.Array:
    """Returns (B, answers), which sum to 1 for each attribute.

    Args:
      pictures: embeddings (B, D) of length 1.
      scale: what cosines are multiplied by.
      embed: texts -> embeddings (texts, D) of length 1.
    """
    things = embed([world.with_article(f"{colour} {subject}")
                    for subject in world.SUBJECTS for colour in world.COLOURS])
    things = things.reshape(len(world.SUBJECTS), len(world.COLOURS), -1)
    settings = embed([f"the {setting}" for setting in world.SETTINGS])
    texts = jnp.concatenate([unit(things.mean(1)), unit(things.mean(0)), settings])
    logits = scale * pictures @ texts.T
    return jnp.concatenate([jax.nn.softmax(part) for part in parts(logits)], -1)


class Accuracy(base.MeanMetric):
    """The share of scenes of which one attribute is told rightly."""

    def __init__(self, name: str, output: str = "zero_shot"):
        self._place, self._output = NAMES.index(name), output
        chance = 1 / _SIZES[self._place]
        super().__init__(
            f"{name}_accuracy", f"share of scenes whose {name} is told rightly (chance "
            f"{chance:.3f})", True, "no attributes of the small world are known",
        )

    def values(self, outputs, batch):
        told = parts(outputs[self._output])[self._place].argmax(-1)
        truth = batch["attributes"][:, self._place]
        return told == truth, truth >= 0


class CaptionCosine(base.MeanMetric):
    """The cosine of a picture and its own caption."""

    def __init__(self):
        super().__init__("caption_cosine", "cosine of picture and caption", True)

    def values(self, outputs, batch):
        cosine = (outputs["embedding"] * outputs["text_embedding"]).sum(-1)
        return cosine, np.ones(len(cosine), bool)


def metrics(output: str = "zero_shot") -> tuple[Accuracy, ...]:
    """Returns the accuracy of each attribute."""
    return tuple(Accuracy(name, output) for name in NAMES)


def picture(values: np.ndarray) -> np.ndarray:
    """Returns probabilities (N, answers) as grey bars, a row of them for each attribute."""
    width = 4 * max(_SIZES)
    shown = np.zeros((len(values), COUNT, width), np.float32)
    for row, part in enumerate(parts(values)):
        bars = part.repeat(4, -1)
        shown[:, row, : bars.shape[-1]] = bars
    return levels.of_opacity(shown).repeat(8, 1)[..., None]
