"""Finds directions of edits of a generator: by a judge, by principal components, in closed form.

Shen et al., CVPR 2020 (a separating plane of judged codes); Harkonen et al., NeurIPS 2020
(principal components of codes); Shen and Zhou, CVPR 2021 (eigenvectors of the layers' weights).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.methods.sdic import editing
from jaxedit.methods.sdic.attributes import NAMES
from jaxedit.methods.sdic.directions import Direction
from jaxedit.models.stylegan2.generator import Generator

PyTree = Any
_BATCH = 16  # pictures that are made at once
_ALONE = "-alone"  # ends the name of a direction that leaves the other attributes
_TRIED = 64  # codes that a direction's effects are measured on


@dataclasses.dataclass(frozen=True)
class Settings:
    """How directions are looked for.

    Attributes:
      codes: how many are drawn and judged.
      components: how many principal components are kept.
      closed: how many directions in closed form.
      seed: of the codes.
    """

    codes: int = 10_000
    components: int = 20
    closed: int = 10
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Made:
    """A generator with its variables, and what a judge says of its pictures.

    Attributes:
      generator: the network.
      variables: its linen variables.
      judge: pictures (B, s, s, 3) -> attributes (B, n), pure; None judges nothing.
    """

    generator: Generator
    variables: PyTree
    judge: Callable[[jax.Array], jax.Array] | None = None

    @functools.cached_property
    def _drawn(self) -> Callable:
        draw = lambda variables, z: self.generator.apply(variables, z, method="map")
        return jax.jit(draw)

    @functools.cached_property
    def _judged(self) -> Callable:
        def judged(variables, codes):
            pictures, _ = self.generator.apply(variables, codes, method="synthesise")
            return self.judge(pictures)

        return jax.jit(judged)

    def codes(self, count: int, seed: int) -> np.ndarray:
        """Returns codes (count, W) of random vectors."""
        z = np.random.default_rng(seed).standard_normal((count, self.generator.style_width))
        parts = np.array_split(z.astype(np.float32), -(-count // 1000))
        return np.concatenate([np.asarray(self._drawn(self.variables, part)) for part in parts])

    def scores(self, codes: np.ndarray) -> np.ndarray:
        """Returns what the judge says of codes (N, W) or (N, n, W): (N, attributes)."""
        if codes.ndim == 2:
            codes = np.repeat(codes[:, None], self.generator.codes, 1)
        rows = []
        for start in range(0, len(codes), _BATCH):
            part = codes[start : start + _BATCH]
            filled = np.pad(part, ((0, _BATCH - len(part)), (0, 0), (0, 0)))
            rows.append(np.asarray(self._judged(self.variables, jnp.asarray(filled)))[: len(part)])
        return np.concatenate(rows)


def find(
    made: Made, settings: Settings, say: Callable[[str], None] = lambda line: None
) -> dict[str, Direction]:
    """Returns directions by name, with the effects that the judge saw, if there is one.

    By the judge `ATTRIBUTE`, and `ATTRIBUTE-alone`, which is at right angles to all others;
    principal components `pc0`, `pc1`, ..; in closed form `sefa0`, `sefa1`, .. An attribute whose
    plane cannot be found is named by `say` and left out.
    """
    codes = made.codes(settings.codes, settings.seed)
    found: dict[str, Direction] = {}
    if made.judge is not None:
        found |= _by_judge(made, codes, say)
    layers, length = made.generator.codes, "length of every layer's code"
    everywhere = lambda vector: np.repeat(vector[None], layers, 0)
    components = editing.principal_components(codes, settings.components)
    for number, (vector, deviation) in enumerate(
        zip(components.vectors[:, 0], components.deviations, strict=True)
    ):
        found[f"pc{number}"] = Direction(
            f"pc{number}", "component", vector, "deviations of the generator's codes",
            mean=components.mean[0], deviation=float(deviation),
        )
    kernels = editing.modulation_kernels(made.variables["params"], range(layers - 1))
    for number, vector in enumerate(editing.closed_form(kernels, settings.closed)):
        name = f"sefa{number}"
        found[name] = Direction(name, "linear", everywhere(vector), length)
    if made.judge is None:
        return found
    tried = codes[:: max(1, len(codes) // _TRIED)][:_TRIED]
    return {
        name: dataclasses.replace(one, effects=effects(made, tried, one))
        for name, one in found.items()
    }


def effects(made: Made, codes: np.ndarray, direction: Direction) -> dict[str, float]:
    """Returns attribute -> by how much strength 1 changes it, as the judge sees it.

    It is the slope between one deviation of the codes to either side, of the mean of `codes`
    (N, W): far from them a generator's pictures break down, and near by the judge sees noise.
    """
    if direction.kind == "component":
        step, move = 1.0, direction.deviation * direction.array[None]
    else:
        axis = direction.array.mean(0)
        step = max(float(np.std(codes @ axis) / max(np.linalg.norm(axis), 1e-12)), 1e-6)
        move = direction.array
    spread = np.repeat(codes[:, None], made.generator.codes, 1)
    up, down = (made.scores((spread + sign * step * move).astype(np.float32)) for sign in (1, -1))
    slope = (up - down).mean(0) / (2 * step)
    return {name: float(value) for name, value in zip(NAMES, slope, strict=True)}


def _by_judge(
    made: Made, codes: np.ndarray, say: Callable[[str], None]
) -> dict[str, Direction]:
    scores = made.scores(codes)
    planes: dict[str, np.ndarray] = {}
    for place, name in enumerate(NAMES):
        try:
            plane = editing.separating_plane(codes, scores[:, place])
        except UserError as error:
            say(f"no direction of {name}: {error}")
            continue
        planes[name] = plane.normal
        say(f"{name}: the plane puts {plane.accuracy:.0%} of held-out codes on the right side")
    found = {}
    for name, normal in planes.items():
        others = [other for key, other in planes.items() if key != name]
        versions = {name: normal}
        try:
            versions[name + _ALONE] = editing.conditional(normal, others)
        except UserError as error:
            say(f"no direction {name}{_ALONE}: {error}")
        for title, vector in versions.items():
            array = np.repeat(vector[None], made.generator.codes, 0)
            found[title] = Direction(title, "linear", array, "length of every layer's code")
    return found


def table(found: Mapping[str, Direction]) -> str:
    """Returns the directions as a Markdown table: what they are, and what the judge saw."""
    judged = NAMES if any(one.effects for one in found.values()) else ()
    head = ["direction", "kind", "strength 1 is", *judged]
    rows = [head, ["---"] * len(head)]
    for one in found.values():
        seen = [f"{one.effects[name]:+.3f}" if name in one.effects else "" for name in judged]
        rows.append([one.name, one.kind, one.unit, *seen])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
