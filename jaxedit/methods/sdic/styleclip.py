"""Directions of texts in the space of styles: StyleCLIP's, for one's own generator.

Patashnik et al., ICCV 2021, section 6: in which direction of CLIP's space each style channel moves
pictures is measured once (`measure`); a text's direction is what of it each channel serves
(`of_text`).
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.methods.sdic import editing
from jaxedit.methods.sdic.directions import Direction
from jaxedit.methods.sdic.finding import Made
from jaxedit.models.clip import folder as clip_folder
from jaxedit.models.clip import preprocessing, tokenizer

PICTURES = 100  # that a channel's direction is the mean over, as published
STATISTICS = 100_000  # codes that means and deviations of styles are taken over, as published
DEVIATIONS = 5.0  # by which a channel is moved to either side, as published
# The published code averages CLIP's own list of 80 wordings; these are ours.
TEMPLATES = (
    "a photo of {}.", "a picture of {}.", "a portrait of {}.", "an image of {}.",
    "a close-up photo of {}.", "a bright photo of {}.", "a dark photo of {}.",
    "a blurry photo of {}.", "a good photo of {}.", "a cropped photo of {}.",
)


@dataclasses.dataclass(frozen=True)
class Clip:
    """CLIP's two embeddings.

    Attributes:
      pictures: (B, H, W, 3) in [-1, 1] -> (B, D), pure.
      texts: texts -> (B, D).
    """

    pictures: Callable[[jax.Array], jax.Array]
    texts: Callable[[Sequence[str]], np.ndarray]


def read_clip(folder: pathlib.Path) -> Clip:
    """Returns the CLIP in a published folder, such as that of ViT-B/32.

    Raises:
      UserError: it is incomplete, or holds one tower only.
    """
    loaded = clip_folder.load(folder)
    config, module = loaded.config, loaded.module
    if not hasattr(config, "vision") or config.vision is None or config.text is None:
        raise UserError(f"{folder} holds no whole CLIP: both towers are needed.")
    reader = tokenizer.load(folder, config.text.max_position_embeddings)
    side = config.vision.image_size
    embed = jax.jit(lambda v, tokens: module.apply(v, tokens, method="embed_tokens"))
    return Clip(
        lambda images: module.apply(
            loaded.variables, preprocessing.from_unit_range(images, side), method="embed_pixels"
        ),
        lambda texts: np.asarray(embed(loaded.variables, reader.checked(list(texts)))),
    )


@dataclasses.dataclass(frozen=True)
class Channels:
    """Where each style channel moves pictures.

    Attributes:
      directions: (C, D) of unit length.
      deviations: (C,) of the channels over many codes.
    """

    directions: np.ndarray
    deviations: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what `directions.write` keeps of them."""
        return {"styleclip/directions": self.directions.astype(np.float32),
                "styleclip/deviations": self.deviations.astype(np.float32)}


def styles(params: Any, codes: np.ndarray, layer: int) -> np.ndarray:
    """Returns the style (N, C) of a convolution, by its code's number, for codes (N, W)."""
    name = "conv1" if layer == 0 else f"convs_{layer - 1}"
    modulation = jax.tree.map(np.asarray, params[name]["conv"]["modulation"])
    return codes @ (modulation["kernel"] / np.sqrt(codes.shape[1])) + modulation["bias"]


def measure(
    made: Made, clip: Clip, *, pictures: int = PICTURES, statistics: int = STATISTICS,
    seed: int = 0, say: Callable[[str], None] = lambda line: None,
) -> Channels:
    """Measures where every channel of the edited styles moves pictures in CLIP's space.

    Args:
      made: the generator.
      clip: judges pictures.
      pictures: per channel, to either side.
      statistics: codes for means and deviations.
      seed: of the codes.
      say: is told after each style.
    """
    generator, params = made.generator, made.variables["params"]
    widths = editing.style_widths(params)
    numbers = editing.style_numbers(generator.size)
    many = made.codes(statistics, seed)
    shown = made.codes(pictures, seed + 1)

    def embedded(variables, codes, offsets, number):
        spread = jnp.repeat(codes[:, None], generator.codes, 1)
        picture, _ = generator.apply(
            variables, spread, style_offsets={number: offsets}, method="synthesise"
        )
        return clip.pictures(picture)

    embedded = jax.jit(embedded, static_argnums=3)
    found, deviations = [], []
    for layer, width in enumerate(widths):
        every, here = styles(params, many, layer), styles(params, shown, layer)
        mean, deviation = every.mean(0), every.std(0)
        deviations.append(deviation)
        for channel in range(width):
            ends = []
            for sign in (1, -1):
                offsets = np.zeros((pictures, width), np.float32)
                target = mean[channel] + sign * DEVIATIONS * deviation[channel]
                offsets[:, channel] = target - here[:, channel]
                ends.append(np.asarray(
                    embedded(made.variables, shown, offsets, numbers[layer])
                ))
            found.append(editing.channel_direction(*ends))
        say(f"style {layer + 1} of {len(widths)}: {width} channels are measured")
    return Channels(np.stack(found), np.concatenate(deviations))


def of_text(
    name: str, target: str, neutral: str, channels: Channels, clip: Clip, beta: float
) -> Direction:
    """Returns the direction from a neutral text to a target.

    Args:
      name: what it will be called.
      target, neutral: such as "a smiling face" and "a face".
      channels: of the generator.
      clip: the one that they were measured with.
      beta: channels less relevant than it stay as they are; .1 to .16 as published.

    Raises:
      UserError: no channel is as relevant, or CLIP is another one.
    """
    ends = [clip.texts([one.format(text) for one in TEMPLATES]) for text in (target, neutral)]
    text = editing.text_direction(*ends)
    if channels.directions.shape[1] != len(text):
        raise UserError(
            f"The channels were measured with a CLIP of {channels.directions.shape[1]} numbers, "
            f"and this one has {len(text)}."
        )
    moves = editing.global_direction(channels.directions, text, channels.deviations, beta)
    unit = f"StyleCLIP's alpha, {neutral!r} to {target!r}, beta {beta:g}"
    return Direction(name, "styles", moves, unit)
