"""Canvases measured as they are, before any network paints them: `config.part = "pasted"`.

What decides on the canvas alone (the search, the bank, alignment, order) need not wait for the
synthesis network to be trained. Such a stage trains nothing: it has `train.steps = 0`, and
`evaluate.source` names the stage that made the canvases (`part = "compose"`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.method import Batch, Method, State
from jaxedit.methods.sims import layout, synthesis_method
from jaxedit.methods.sims.metrics import Filled, Followed
from jaxedit.methods.sims.samples import SynthesisSamples
from jaxedit.task import Image, Labels, Mask, Task


class Pasted(Method):
    """A canvas is its own result."""

    def networks(self) -> dict:
        """Returns none: there is nothing to train."""
        return {}

    def optimizers(self, total_steps: int) -> dict:
        if total_steps:
            self._refuse()
        return {}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, *self.config.image_size, 3)
        return {"canvas": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        del rng, spec
        return State(step=jnp.zeros((), jnp.int32))

    def update(self, state: State, batch: Batch, rng: jax.Array, *, phase: str) -> NoReturn:
        self._refuse()

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns the canvas as `image` in [-1, 1]; `layout` and `presence` as they are."""
        del state, rng, task
        return {"image": 2 * inputs["canvas"] - 1,
                "layout": inputs["layout"], "presence": inputs["presence"]}

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `paste`: what the synthesis network would be given, handed on."""
        return {"paste": Task(
            {"layout": layout.KIND, "canvas": Image(), "presence": Mask()},
            {"image": Image(), "layout": Labels(), "presence": Mask()},
        )}

    def transform(self, *, train: bool) -> SynthesisSamples:
        return SynthesisSamples(self.config, train)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns what is measured of results, and how much is filled, with the class asked for.

        The latter is exact and asks no judge; without `compose.rewrite` nobody knows the classes
        of what was pasted, and it is left out.
        """
        own = [Filled()]
        if self.config.compose.rewrite:
            own.append(Followed())
            if self.config.data.objects:
                own.append(Followed(tuple(self.config.data.objects)))
        return {"canvas": synthesis_method.evaluation(self.config, "paste", tuple(own))}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        palette = layout.palette(self.config.network.classes)
        return {
            "layout": layout.coloured(batch["label"], palette),
            "pasted shapes": layout.coloured(batch["layout"], palette),
            "canvas": levels.of_picture(outputs["image"]),
            "truth": levels.of_picture(batch["image"]),
        }

    def _refuse(self) -> NoReturn:
        raise UserError(
            f"part={self.config.part!r} measures canvases and trains nothing: give its stage "
            '{"train": {"steps": 0}} in config.stages.'
        )
