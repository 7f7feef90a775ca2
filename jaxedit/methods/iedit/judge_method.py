"""Training of the judge of the small world's attributes: part `judge`.

It judges edits: whether the wanted attribute has changed, and the others have not. What it tells of
held-out scenes rightly is the ceiling of what it can say of edits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.method import Batch, State, Task
from jaxedit.methods.iedit import zero_shot
from jaxedit.methods.iedit.one_network import OneNetwork
from jaxedit.methods.iedit.text_data import Shown
from jaxedit.models.judge import Judge, check_channels
from jaxedit.task import Array, Image

PyTree = Any
NETWORK = "judge"


class JudgeMethod(OneNetwork):
    """Trains a `Judge` by the cross-entropy of each attribute."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        check_channels(config.judge.channels)

    def networks(self) -> dict[str, nn.Module]:
        return {NETWORK: Judge(zero_shot.ANSWERS, tuple(self.config.judge.channels))}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        side = self.config.image_size
        return {
            "image": jax.ShapeDtypeStruct((batch_size, side, side, 3), jnp.float32),
            "attributes": jax.ShapeDtypeStruct((batch_size, zero_shot.COUNT), jnp.int32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        params = self.networks()[NETWORK].init(rng, image)["params"]
        return State(step=jnp.zeros((), jnp.int32), params={NETWORK: params})

    def loss(
        self, state: State, params: PyTree, batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        del state
        scores = self.networks()[NETWORK].apply({"params": params}, batch["image"])
        value = cross_entropy(scores, batch["attributes"])
        return value, {"loss/cross_entropy": value}

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `answers` (B, answers): probabilities, which sum to 1 for each attribute."""
        del rng, task
        params = (state.ema or state.params)[NETWORK]
        scores = self.networks()[NETWORK].apply({"params": params}, inputs["image"])
        told = [jax.nn.softmax(part) for part in zero_shot.parts(scores)]
        return {"answers": jnp.concatenate(told, -1)}

    @property
    def tasks(self) -> dict[str, Task]:
        side = self.config.image_size
        return {"judge": Task({"image": Image(size=(side, side))},
                              {"answers": Array((zero_shot.ANSWERS,))})}

    def transform(self, *, train: bool) -> Shown:
        data = self.config.data
        return Shown(self.config.image_size, train, data.scale, data.flip)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns the accuracy on held-out scenes: the ceiling of what the judge can say."""
        return {"judge": Evaluation(
            task="judge", prediction="answers", target="attributes",
            metrics=zero_shot.metrics("answers"), best=("subject_accuracy", "max"),
            prepare=lambda batch: {"image": batch["image"]}, picture=zero_shot.picture,
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {"picture": levels.of_picture(batch["image"])}


def cross_entropy(scores: jax.Array, attributes: jax.Array) -> jax.Array:
    """Returns the sum over the attributes of the mean cross-entropy.

    Args:
      scores: (B, answers).
      attributes: int32 (B, attributes), which answer is right.
    """
    each = [
        optax.softmax_cross_entropy_with_integer_labels(part, attributes[:, place]).mean()
        for place, part in enumerate(zero_shot.parts(scores))
    ]
    return sum(each)
