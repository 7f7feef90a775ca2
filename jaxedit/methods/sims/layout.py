"""How the networks of SIMS are told of a layout: one-hot classes, and colour maps of them."""

from __future__ import annotations

import colorsys

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.data.layouts import cityscapes
from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.task import Labels

PALETTES = ("hues", "cityscapes")

# What tasks take: classes, and in the place of "unlabelled" -1 or anything from the count on.
KIND = Labels(unlabelled=-1)


def one_hot(label: jax.Array, classes: int) -> jax.Array:
    """Returns (..., classes + 1) float32; the last channel is "unlabelled".

    Args:
      label: int (...); what is not in 0..classes - 1 (-1, 255) is unlabelled.
      classes: how many there are.
    """
    return jax.nn.one_hot(known(label, classes), classes + 1)


def known(label: jax.Array, classes: int) -> jax.Array:
    """Returns the labels with `classes` in place of what is no class."""
    return jnp.where((label >= 0) & (label < classes), label, classes)


def colours(classes: int, palette: str = "hues") -> np.ndarray:
    """Returns a colour in [0, 1] per class and black for "unlabelled", float32 (classes + 1, 3).

    Args:
      classes: how many there are.
      palette: `hues`: they differ in hue, and classes that follow one another in brightness too.
        `cityscapes`: that data set's own, which the released ordering network reads.

    Raises:
      UserError: `cityscapes` has another number of classes.
    """
    if palette == "cityscapes":
        rows = np.asarray(cityscapes.TRAIN_CLASSES.colours) / 255
        if len(rows) != classes:
            raise UserError(
                f"order.colours=cityscapes needs network.classes={len(rows)}, not {classes}. Use "
                "order.colours=hues for other data."
            )
    else:
        rows = [
            colorsys.hsv_to_rgb(i / classes, 1.0 - 0.4 * (i % 2), 1.0 - 0.25 * (i % 3))
            for i in range(classes)
        ]
    return np.asarray([*rows, (0.0, 0.0, 0.0)], np.float32)


def palette(classes: int) -> np.ndarray:
    """Returns `colours` for pictures, uint8 (classes + 1, 3)."""
    return levels.of_opacity(colours(classes))


def coloured(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns a picture uint8 (..., 3) of layouts; what is no class has the palette's last colour.
    """
    unlabelled = len(palette) - 1
    label = np.where(np.asarray(label) < 0, unlabelled, label)
    return palette[np.minimum(label, unlabelled)]
