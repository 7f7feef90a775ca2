"""Editing with a latent diffusion model: the picture is noised in part and denoised under a prompt.

The paper's sampler could not be read; this is what section 6 of our reading of it says, all of it
our choice. From the source's latents z1, the last k = int(N r) of N steps of DDIM are walked under
the edit prompt, guided away from the empty or a negative one. They start from z1 with noise, as in
training (SDEdit, Meng et al., 2022), or from the inversion of z1 (DDIM, Song et al., 2021). Under a
mask, every step takes what lies outside from the source at the same level: noised with the one
noise, or as the inversion passed it; after the last step, z1 itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxedit.layers.randomness import sample_keys
from jaxedit.methods.iedit.losses import latent_mask
from jaxedit.models.diffusion import sampling
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.task import Image, Mask, Number, Seed, Task, Text

STARTS = ("noise", "ddim")
TASKS = {"edit": "noise", "edit_inverted": "ddim"}  # task of a method -> where it starts
LARGEST_GUIDANCE = 3.0  # of a start by inversion, which is exact for 1 alone: beyond, it drifts


class Model(NamedTuple):
    """A latent diffusion model that edits, as functions.

    Attributes:
      encode: pictures (B, H, W, 3) in [-1, 1] -> latents, the mean, as the network sees them.
      decode: those latents -> pictures, cut to [-1, 1].
      read: symbols int32 (B, length) -> text states (B, length, width).
      predict: latents, steps (B,), text states -> what the schedule says that it predicts.
      schedule: of the diffusion.
      factor: of the autoencoder.
    """

    encode: Callable[[jax.Array], jax.Array]
    decode: Callable[[jax.Array], jax.Array]
    read: Callable[[jax.Array], jax.Array]
    predict: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    schedule: Schedule
    factor: int


def edit(
    model: Model, inputs: Mapping[str, jax.Array], rng: jax.Array, steps: int, start: str
) -> jax.Array:
    """Returns edited pictures (B, H, W, 3) in [-1, 1]. Pure.

    Args:
      model: see `Model`.
      inputs: as `task` says; all traced, so that one program serves every strength, guidance,
        prompt and mask of a size.
      rng: one key, or one per sample.
      steps: N.
      start: one of `STARTS`.
    """
    latents = model.encode(inputs["image"])
    mask = latent_mask(inputs["mask"], None, model.factor, 0)
    moves = sampling.moves_of(inputs["strength"], steps)
    predict = sampling.guided(
        model.predict, model.read(inputs["prompt"]), model.read(inputs["negative"]),
        inputs["guidance"],
    )
    if start == "ddim":
        plain = sampling.conditioned(model.predict, model.read(inputs["caption"]))
        begin, passed = sampling.invert(model.schedule, plain, latents, steps, moves=moves)
        levels = sampling.inverted_levels(latents, passed)
    else:
        keys = sample_keys(rng, len(latents))
        noise = jax.vmap(lambda key: jax.random.normal(key, latents.shape[1:]))(keys)
        begin = sampling.noised_start(model.schedule, latents, noise, steps, moves)
        levels = sampling.noised_levels(model.schedule, latents, noise, steps)
    edited, _ = sampling.sample(
        model.schedule, predict, begin, steps, moves=moves, blend=sampling.Blend(mask, levels)
    )
    return model.decode(edited)


def task(
    encode: Callable[[Sequence[str]], np.ndarray],
    *,
    start: str,
    factor: int,
    trained_on: int,
    strength: float,
    guidance: float,
) -> Task:
    """Returns the inputs and outputs of `edit`.

    Args:
      encode: texts -> int32 (texts, length); raises UserError for one that is too long.
      start: one of `STARTS`; "ddim" reads a `caption` of the source, empty by default.
      factor: of the autoencoder.
      trained_on: side in pixels of the pictures that the network was trained on.
      strength, guidance: what they are by default.
    """
    text = lambda name, default=None: Text(lambda texts: {name: encode(texts)}, default)
    inputs = {
        "image": Image(), "mask": Mask(),
        "prompt": text("prompt"), "negative": text("negative", ""),
        "strength": Number(0, 1, strength), "guidance": Number(0, 100, guidance), "seed": Seed(),
    }
    if start == "ddim":
        inputs["caption"] = text("caption", "")
    # Few sizes, so few programs: an eighth of a training picture's side apart.
    multiple = factor * max(1, trained_on // (8 * factor))
    return Task(inputs, {"image": Image()}, multiple=multiple, minimum=4 * factor,
                trained_on=trained_on)
