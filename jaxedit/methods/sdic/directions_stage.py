"""The host stage that finds directions of a run's generator: `config.part = "directions"`.

`start` brings the generator (`frozen/generator`) and, where attributes are to be judged, the judge
(`frozen/judge/params`). It reads `network` (the generator's), `image_size`, `judge.channels` and

    directions.codes       codes that are drawn and judged
    directions.components  principal components that are kept
    directions.closed      directions in closed form
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxedit.data.sources import Source
from jaxedit.errors import UserError
from jaxedit.layers.resampling import adaptive_average_pool
from jaxedit.method import State
from jaxedit.methods.host_stage import HostStage
from jaxedit.methods.sdic import directions, finding, inversion_file, judge_method
from jaxedit.methods.sdic.inversion import generator_of
from jaxedit.models.judge import Judge

PyTree = Any
JUDGE = "judge"  # of `State.frozen`
EDITS = "edits"  # what of the artefact evaluations read: `vectors` (attributes, n, W) and `effects`


class DirectionsStage(HostStage):
    """Finds directions; it trains nothing."""

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        """Writes the file in one piece: it takes minutes, and the first process alone finds it."""
        del source, process_count
        if process_index == 0 and not (folder / directions.FILE).exists():
            if "generator" not in start.frozen:
                raise UserError('A stage of part "directions" starts from a generator: name it in '
                                "`start`, as frozen/generator/params and frozen/generator/noise.")
            config = self.config
            made = made_of(config, start.frozen["generator"], start.frozen.get(JUDGE))
            wanted = config.directions
            settings = finding.Settings(
                wanted.codes, wanted.components, wanted.closed, config.train.seed
            )
            found = finding.find(made, settings, lambda line: print(line, flush=True))
            write(folder / directions.FILE, made, found)
        yield 1.0

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        super().merge(parts, folder)
        return {"file": directions.FILE}


def made_of(
    config: ml_collections.ConfigDict, generator: PyTree, judge: PyTree | None
) -> finding.Made:
    """Returns a generator and a judge as directions are found with them.

    Args:
      config: of a stage, with `network`, and `judge` where one judges.
      generator: linen variables.
      judge: likewise; None judges nothing.
    """
    judged = None
    if judge is not None:
        judged = seen_by(judge_method.network_of(config), judge, tuple(config.image_size))
    return finding.Made(generator_of(config.network), generator, judged)


def seen_by(network: Judge, variables: PyTree, size: tuple[int, int]) -> Any:
    """Returns generated pictures -> attributes: what the judge says of them at its size."""
    def judged(pictures: jax.Array) -> jax.Array:
        pictures = jnp.clip(pictures, -1, 1)
        if pictures.shape[1:3] != size:
            pictures = adaptive_average_pool(pictures, size)
        return network.apply(variables, pictures)

    return judged


def write(path: pathlib.Path, made: finding.Made, found: dict, more: dict | None = None) -> None:
    """Writes directions as a file, and what evaluations of edits read of them."""
    shape = (made.generator.codes, made.generator.style_width)
    arrays = dict(more or {})
    names = finding.NAMES
    if all(name in found for name in names):
        arrays[f"{EDITS}/vectors"] = np.stack([found[name].array for name in names])
        arrays[f"{EDITS}/effects"] = np.asarray(
            [found[name].effects[name] for name in names], np.float32
        )
    directions.write(path, directions.Directions(
        found, shape, inversion_file.fingerprint(made.variables), arrays
    ))
