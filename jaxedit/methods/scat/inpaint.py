"""The published inpainting generators, SCAT's and AOT-GAN's, ready for `jaxedit.apply.applier`.

Both publish the same network with the same names (Zuo et al., 2023; Zeng et al., 2022); they
differ in how the decoder doubles its maps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxedit.methods.scat.generator import Generator, composite, corrupt
from jaxedit.state import find
from jaxedit.task import Image, Mask, Task
from jaxedit.weights import convert, shipped

# Side in pixels of the pictures that the publishers trained on.
_PUBLISHED_SIDES = {"scat": 256, "aotgan": 512}


def task(generator: Generator, trained_on: int) -> Task:
    """Returns what `generator`, trained on pictures of so many pixels a side, can be applied to."""
    # Reflection by the largest rate, at a quarter of the size, needs more pixels than the rate.
    smallest = 4 * (max(generator.rates) + 1)
    return Task(
        {"image": Image(), "mask": Mask()}, {"composite": Image(), "prediction": Image()},
        multiple=4, minimum=smallest, trained_on=trained_on,
    )


def fill(
    generator: Generator, variables: Mapping[str, Any], image: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
    """Returns `prediction`, the network's whole picture, and `composite`, the filled one.

    Args:
      generator: the network.
      variables: its variables, {"params": ...}.
      image: (B, H, W, 3) in [-1, 1]; what lies under the mask has no influence.
      mask: (B, H, W, 1), 1 = hole.
    """
    prediction = generator.apply(variables, corrupt(image, mask), mask)
    return {"prediction": prediction, "composite": composite(image, prediction, mask)}


def beginning(name: str) -> tuple[str, str]:
    """Returns the (from, to) pair by which a state begins with the generator of some weights.

    Args:
      name: of weights that hold this paper's generator, published or come with jaxedit.
    """
    # What comes with jaxedit holds fields of a state, published weights one network.
    inside = "params/generator" if name in shipped.names() else "params"
    return f"weights:{name}:{inside}", "params/generator"


def as_it_came(
    generator: Generator, name: str
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Returns batch -> what `generator` fills with weights that come by name, as a baseline.

    They are read, and a program compiled, when it is first called.
    """

    @functools.cache
    def ready():
        params = find(convert.load(name), beginning(name)[0].split(":")[2])
        return jax.jit(
            lambda image, mask: fill(generator, {"params": params}, image, mask)["composite"]
        )

    return lambda batch: np.asarray(ready()(batch["image"], batch["mask"]))


def published(name: str):
    """Returns (predict, variables, task) of a published generator, for `apply.Applier`.

    Args:
      name: scat-places2, scat-celeba, aotgan-places2 or aotgan-celebahq.

    Raises:
      UserError: the weights are absent or belong to another network.
    """
    generator = Generator(upsample="bilinear_ac" if name.startswith("aotgan") else "nearest")

    def predict(variables, inputs, rng):
        del rng
        return fill(generator, variables, inputs["image"], inputs["mask"])

    return predict, convert.load(name), task(
        generator, _PUBLISHED_SIDES[name.split("-")[0]]
    )
