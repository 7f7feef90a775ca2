"""Training of the judge of attributes on the embedded portraits, as a `Method`."""

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
from jaxedit.methods.one_network import OneNetwork
from jaxedit.methods.sdic import judge as judge_lib
from jaxedit.methods.sdic.attributes import NAMES
from jaxedit.methods.sdic.data import Transform
from jaxedit.metrics import Keys
from jaxedit.models.judge import Judge, check_channels
from jaxedit.task import Array, Image

NETWORK = "judge"
PyTree = Any


class JudgeMethod(OneNetwork):
    """Trains a `Judge` by squared errors, with Adam whose rate falls to zero along a cosine."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        check_channels(config.judge.channels)

    @property
    def _network(self) -> Judge:
        return network_of(self.config)

    def networks(self) -> dict[str, nn.Module]:
        return {NETWORK: self._network}

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        rate = optax.cosine_decay_schedule(self.config.optim.lr, max(1, total_steps))
        return {NETWORK: optax.adam(rate)}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        size = tuple(self.config.image_size)
        return {
            "image": jax.ShapeDtypeStruct((batch_size, *size, 3), jnp.float32),
            "attributes": jax.ShapeDtypeStruct((batch_size, len(NAMES)), jnp.float32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        params = self._network.init(rng, image)["params"]
        return State(step=jnp.zeros((), jnp.int32), params={NETWORK: params})

    def loss(
        self, state: State, params: PyTree, batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        del state
        found = self._network.apply({"params": params}, batch["image"])
        value = judge_lib.mean_error(found, batch["attributes"])
        return value, {"loss/squared_error": value}

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `attributes`, each from 0 to 1."""
        del rng, task
        params = state.params[NETWORK]
        return {"attributes": self._network.apply({"params": params}, inputs["image"])}

    @property
    def tasks(self) -> dict[str, Task]:
        image = Image(size=tuple(self.config.image_size))
        return {"judge": Task({"image": image}, {"attributes": Array((len(NAMES),))})}

    def transform(self, *, train: bool) -> Transform:
        return Transform(self.config, train, attributes=True)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns the accuracy on held-out renders: the ceiling of what the judge can say."""
        metric = judge_lib.Agreement(Keys("attributes", "attributes"))
        return {"judge": Evaluation(
            task="judge", prediction="attributes", target="attributes", metrics=(metric,),
            baselines={"the middle": lambda batch: np.full_like(batch["attributes"], 0.5)},
            best=("error", "min"), picture=_bars,
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns portraits, and bars of the attributes as they were read and as they are."""
        return {
            "portrait": levels.of_picture(batch["image"]),
            f"read: {', '.join(NAMES)}": _bars(outputs["attributes"]),
            "truth": _bars(batch["attributes"]),
        }


def network_of(config: ml_collections.ConfigDict) -> Judge:
    """Returns the network of a configuration."""
    return Judge(len(NAMES), tuple(config.judge.channels), middle=0.5)  # of each range


def _bars(values: np.ndarray) -> np.ndarray:
    """Returns attributes (B, n) as bars, uint8 (B, 8 n, 64, 1): black up to the value."""
    columns = (np.arange(64) + 0.5) / 64
    bars = np.where(columns < np.asarray(values)[..., None], 0, 255).astype(np.uint8)
    return np.repeat(bars, 8, axis=1)[..., None]
