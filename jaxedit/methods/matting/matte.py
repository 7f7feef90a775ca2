"""Mattes of photographs: the network, its refinement and the pixels that the trimap knows.

Inference of MatteFormer (Park et al., CVPR 2022) and DPT, whose published networks are the same;
for `jaxedit.apply.applier`, which also pads pictures to the size that the network needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.data import trimaps
from jaxedit.methods.matting import colour, inference, refinement
from jaxedit.methods.matting.network import MULTIPLE, MattingNetwork
from jaxedit.task import Image, Task
from jaxedit.weights import convert


def task(margin: int) -> Task:
    """Returns what a matting network can be applied to, `margin` as in `Task`.

    Inputs: `image` (H, W, 3) in [-1, 1]; `trimap` (H, W, 1), labels 0 background, 1 unknown,
    2 foreground. Output: `alpha` (H, W, 1) in [0, 1] in steps of 1/255, exactly 0 and 1 where the
    trimap knows.
    """
    one = Image(channels=1)
    return Task(
        {"image": Image(), "trimap": one}, {"alpha": one}, multiple=MULTIPLE, minimum=64,
        margin=margin, finish=inference.finish,
    )


def predict(
    network: nn.Module, variables: Mapping[str, Any], image: jax.Array, trimap: jax.Array
) -> dict[str, jax.Array]:
    """Returns `alpha`, the refined matte.

    Args:
      network: a `MattingNetwork`.
      variables: its variables: params, batch_stats and spectral.
      image: (B, H, W, 3) in [-1, 1]; H and W multiples of 32.
      trimap: (B, H, W, 1) labels as float.

    Returns:
      {"alpha": (B, H, W, 1) float32 in [0, 1]}.
    """
    heads = network.apply(
        variables, colour.normalise(image), colour.one_hot(trimap), train=False
    )
    alpha = refinement.refine(heads["os8"], heads["os4"], heads["os1"]).astype(jnp.float32)
    known = trimap != trimaps.UNKNOWN
    return {"alpha": jnp.where(known, trimap / trimaps.FOREGROUND, alpha)}


def published(name: str):
    """Returns (predict, variables, task) of a published network, for `apply.Applier`.

    Args:
      name: dpt or matteformer.

    Raises:
      UserError: the weights are absent or belong to another network.
    """
    network = MattingNetwork()

    def forward(variables, inputs, rng):
        del rng
        return predict(network, variables, inputs["image"], inputs["trimap"])

    return forward, convert.load(name), task(inference.MARGINS[name])
