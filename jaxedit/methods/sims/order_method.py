"""SIMS' ordering network as a `Method`: which of two touching segments is in front."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.method import Batch, State, Task
from jaxedit.methods.sims import layout, ordering_network
from jaxedit.methods.sims.ordering_network import OrderingNetwork
from jaxedit.methods.sims.samples import OrderSamples
from jaxedit.methods.sims.training import Part
from jaxedit.metrics.base import Keys, MeanMetric
from jaxedit.task import Array

PyTree = Any


class Order(Part):
    """The class in front, of two segments."""

    name = "ordering"

    def networks(self) -> dict[str, nn.Module]:
        config = self.config
        return {self.name: OrderingNetwork(
            config.network.classes, config.network.width, config.order.pool,
            config.order.dropout, config.remat, self.dtype,
        )}

    def example(self) -> tuple[jax.Array, ...]:
        return (jnp.zeros((1, 32, 32, 6)),)

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        count = self.config.data.pairs
        entry = lambda dtype, *shape: jax.ShapeDtypeStruct((batch_size, *shape), dtype)
        return {
            "label": entry(jnp.int32, *self.size), "pair": entry(jnp.uint8, count, *self.size),
            "pair_classes": entry(jnp.int32, count, 2), "front": entry(jnp.int32, count),
            "present": entry(jnp.float32, count),
        }

    def loss(
        self, params: PyTree, frozen: Mapping[str, PyTree], batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the cross-entropy over the pairs that are there."""
        del frozen
        logits = self.logits({"params": params}, batch, train=True, rngs={"dropout": rng})
        if self.config.order.get("among", "all") == "pair":  # older runs do not have the key
            logits = ordering_network.of_pair(logits, batch["pair_classes"])
        total, right = ordering_network.loss(logits, batch["front"], batch["present"])
        return total, {"loss/order": total, "accuracy": right}

    def logits(self, variables: PyTree, batch: Batch, **options: Any) -> jax.Array:
        """Returns the logits (B, P, classes + 1) of pairs, see `ordering_network`."""
        palette = self.config.order.get("colours", "hues")  # runs of before that key have none
        colours = jnp.asarray(layout.colours(self.config.network.classes, palette))
        x = ordering_network.network_input(
            batch["label"], batch["pair"], batch["pair_classes"], colours
        )
        flat = self.network.apply(variables, x.reshape(-1, *x.shape[2:]), **options)
        return flat.reshape(*x.shape[:2], -1)

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `probabilities` (B, P, classes + 1) of each class to be the one in front."""
        del rng, task
        return {"probabilities": nn.softmax(self.logits(self.trained(state), inputs), axis=-1)}

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `order`: a layout and pairs of its segments, of the size of the network."""
        return {"order": Task(
            {"label": dataclasses.replace(layout.KIND, size=self.size),
             "pair": Array((None, *self.size), np.uint8),
             "pair_classes": Array((None, 2), np.int32)},
            {"probabilities": Array((None, self.config.network.classes + 1))},
        )}

    def transform(self, *, train: bool) -> OrderSamples:
        del train
        return OrderSamples(self.config)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns how often the class in front is told rightly, beside rules without a network.

        `lower edge` takes the segment that reaches further down; `objects first` the one of
        `data.objects` where exactly one of the two is of them, else the lower edge. The truth is
        what the depth says (`pairs.DepthRule`).
        """
        objects = tuple(self.config.data.objects)
        return {"ordering": Evaluation(
            task="order",
            prediction="probabilities",
            target="front",
            region="present",
            metrics=("front_accuracy", *(("front_accuracy_objects",) if objects else ())),
            own={
                "front_accuracy": FrontAccuracy,
                "front_accuracy_objects": lambda keys: FrontAccuracy(keys, objects),
            },
            baselines={"lower edge": self._lower_edge, "objects first": self._objects_first},
            best=("front_accuracy", "max"),
            picture=_bars,
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns the layout, the first pair, and of every pair the probabilities of classes."""
        palette = layout.palette(self.config.network.classes)
        shown = np.where(batch["pair"][:, 0] > 0, 0, 255).astype(np.uint8)[..., None]
        shown = np.repeat(shown, 3, axis=-1)
        shown[batch["pair"][:, 0] == 2] = (230, 120, 30)
        return {
            "layout": layout.coloured(batch["label"], palette),
            "first pair": shown,
            "probabilities": _bars(outputs["probabilities"]),
            "truth": _bars(np.eye(len(palette))[batch["front"]] * batch["present"][..., None]),
        }

    def _lower_edge(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        rows = np.arange(1, batch["pair"].shape[2] + 1)
        bottoms = [((batch["pair"] == one).any(-1) * rows).max(-1) for one in (1, 2)]
        front = np.where(
            bottoms[1] > bottoms[0], batch["pair_classes"][..., 1], batch["pair_classes"][..., 0]
        )
        return np.eye(self.config.network.classes + 1, dtype=np.float32)[front]

    def _objects_first(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        classes = batch["pair_classes"]
        objects = np.isin(classes, self.config.data.objects)
        front = np.where(objects[..., 1], classes[..., 1], classes[..., 0])
        told = np.eye(self.config.network.classes + 1, dtype=np.float32)[front]
        single = objects.sum(-1, keepdims=True) == 1
        return np.where(single, told, self._lower_edge(batch))


def _bars(probabilities: np.ndarray) -> np.ndarray:
    """Returns pictures of probabilities (N, P, C): a row for each pair, white is 1; 8 pixels each.
    """
    return levels.of_opacity(probabilities).repeat(8, 1).repeat(8, 2)[..., None]


class FrontAccuracy(MeanMetric):
    """The share of a picture's pairs of which the class in front is told rightly.

    With `objects`, classes, only pairs whose segments are both of them count: there no rule of
    classes helps.
    """

    def __init__(self, keys: Keys, objects: Sequence[int] = ()):
        what = "touching pairs of objects" if objects else "touching pairs"
        super().__init__(
            "front_accuracy_objects" if objects else "front_accuracy",
            f"share of {what} ordered rightly", True, f"no {what}",
        )
        self._keys, self._objects = keys, tuple(objects)

    def values(self, outputs, batch):
        probabilities, classes = outputs[self._keys.prediction], batch["pair_classes"]
        of_pair = np.take_along_axis(probabilities, classes, axis=-1)
        told = np.where(of_pair[..., 1] > of_pair[..., 0], classes[..., 1], classes[..., 0])
        present = batch[self._keys.region] > 0
        if self._objects:
            present = present & np.isin(classes, self._objects).all(-1)
        right = (told == batch[self._keys.target]) & present
        count = present.sum(-1)
        return right.sum(-1) / np.maximum(count, 1), count > 0
