"""Semantic segmentation as a `Method`: a small U-Net that labels every pixel of a photograph.

It belongs to no paper: label-to-image synthesis is judged by it, its features make losses, and
`jaxedit label` makes layouts of photographs with it.
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

from jaxedit.data import classes as classes_lib
from jaxedit.data import sources
from jaxedit.data.classes import UNLABELLED, Classes
from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.host.names import check_choice
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.segmentation import bounds
from jaxedit.methods.segmentation.data import Transform
from jaxedit.metrics import Keys, segmentation
from jaxedit.models.segmenter import GROUP, Segmenter
from jaxedit.optim import gradients
from jaxedit.task import Image, Labels

PyTree = Any
NETWORK = "segmenter"
BOUNDS = bounds.BOUNDS
_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Segmentation(Method):
    """Trains a `Segmenter` with cross-entropy over labelled pixels."""

    def __init__(self, config: ml_collections.ConfigDict, axis_name: str | None = None):
        super().__init__(config, axis_name)
        check_choice("precision.compute", config.precision.compute, _DTYPES)
        self.classes = _classes(config)
        if any(channels % GROUP for channels in config.network.channels):
            raise UserError(
                f"network.channels={tuple(config.network.channels)}: each must be a multiple of "
                f"{GROUP}, the channels that are normalised together."
            )
        if any(side % self._network.multiple for side in config.image_size):
            raise UserError(
                f"image_size is {tuple(config.image_size)}; both sides must be multiples of "
                f"{self._network.multiple}, as the network halves them "
                f"{len(config.network.channels) - 1} times."
            )

    @property
    def _network(self) -> Segmenter:
        config = self.config
        return Segmenter(
            self.classes.count,
            tuple(config.network.channels),
            _DTYPES[config.precision.compute],
        )

    def networks(self) -> dict[str, nn.Module]:
        return {NETWORK: self._network}

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns AdamW with a linear warm-up and a cosine to zero."""
        optim = self.config.optim
        warmup = min(optim.warmup, max(1, total_steps // 2))
        rate = optax.warmup_cosine_decay_schedule(0.0, optim.lr, warmup, max(2, total_steps))
        return {NETWORK: optax.adamw(rate, weight_decay=optim.weight_decay)}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        size = tuple(self.config.image_size)
        return {
            "image": jax.ShapeDtypeStruct((batch_size, *size, 3), jnp.float32),
            "label": jax.ShapeDtypeStruct((batch_size, *size), jnp.int32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        params = self._network.init(rng, image)["params"]
        return State(step=jnp.zeros((), jnp.int32), params={NETWORK: params})

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {NETWORK: params[NETWORK]}

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del rng, phase  # nothing in a step is random, and there is one phase

        def loss(params, batch):
            scores = self._network.apply({"params": params}, batch["image"])
            # Runs of before this key had none.
            balance = self.config.loss.get("balance", 0.0)
            return cross_entropy(scores, batch["label"], self.config.loss.smoothing, balance)

        def value_and_grad(params, carried, batch):
            value, grads = jax.value_and_grad(loss, has_aux=True)(params, batch)
            return (value, carried), grads

        ((value, accuracy), _), grads = gradients.accumulate(
            value_and_grad, state.params[NETWORK], (), batch, self.config.train.accumulate
        )
        grads = gradients.synchronise(grads, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[NETWORK]
        updates, opt = optimizer.update(grads, state.opt[NETWORK], state.params[NETWORK])
        params = optax.apply_updates(state.params[NETWORK], updates)
        average = optax.incremental_update(params, state.ema[NETWORK], 1 - self.config.optim.ema)
        weight = jnp.float32(batch["image"].shape[0])
        state = state.replace(
            params={NETWORK: params}, opt={NETWORK: opt}, ema={NETWORK: average}
        )
        return state, {
            "loss/cross_entropy": (value * weight, weight),
            "accuracy": (accuracy * weight, weight),
        }

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `label`, and `confidence`: the probability of that class, 0 to 1."""
        del rng, task
        params = state.ema.get(NETWORK, state.params[NETWORK])
        scores = self._network.apply({"params": params}, inputs["image"])
        return {
            "label": scores.argmax(-1).astype(jnp.int32),
            "confidence": jax.nn.softmax(scores).max(-1, keepdims=True),
        }

    @property
    def tasks(self) -> dict[str, Task]:
        outputs = {"label": Labels(classes=self.classes.count), "confidence": Image(channels=1)}
        multiple = self._network.multiple
        return {"label": Task({"image": Image()}, outputs, multiple=multiple, minimum=4 * multiple)}

    def transform(self, *, train: bool) -> Transform:
        """Returns the transform.

        Raises:
          UserError: the classes that `data.source` describes are not those of `classes.names`.
        """
        config = self.config
        check_source(config.data.source, self.classes)
        return Transform(
            tuple(config.image_size), self.classes.count, train, tuple(config.data.scale),
            config.data.jitter,
        )

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns pixel accuracy and mean IoU over the whole set, and the IoU of each class."""
        metric = segmentation.SegmentationMetric(
            self.classes.count, Keys("label", "label"), named=self.classes.names
        )
        return {"segmentation": Evaluation(
            task="label",
            prediction="label",
            target="label",
            metrics=(metric,),
            baselines={"largest class of each": self._largest},
            best=("mean_iou", "max"),
            picture=self.classes.paint,
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            "photograph": levels.of_picture(batch["image"]),
            "labels": self.classes.paint(outputs["label"]),
            "truth": self.classes.paint(batch["label"]),
        }

    def _largest(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns label maps of one class each, the one that covers most of the picture in truth.

        It is told the best single answer, and knows nothing of shapes.
        """
        result = np.empty_like(batch["label"])
        for one, label in zip(result, batch["label"], strict=True):
            counts = np.bincount(label[label != UNLABELLED], minlength=self.classes.count)
            one[...] = counts.argmax()
        return result


def cross_entropy(
    scores: jax.Array, label: jax.Array, smoothing: float = 0.0, balance: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Returns the cross-entropy and the share of right classes, over labelled pixels.

    Args:
      scores: (B, H, W, classes).
      label: int32 (B, H, W), UNLABELLED where a pixel does not count.
      smoothing: the share of the probability that is spread over all classes.
      balance: pixels of a class weigh (its share of the batch's labelled pixels) ** -balance: 0 is
        alike, at 1 each class that is there counts as much as any other.
    """
    counted = label != UNLABELLED
    safe = jnp.where(counted, label, 0)
    logs = jax.nn.log_softmax(scores)
    right = jnp.take_along_axis(logs, safe[..., None], -1)[..., 0]
    each = -(1 - smoothing) * right - smoothing * logs.mean(-1)
    total = jnp.maximum(counted.sum(), 1)
    correct = (scores.argmax(-1) == label) & counted
    weight = counted.astype(jnp.float32)
    if balance:
        of_class = jnp.sum(jax.nn.one_hot(safe, scores.shape[-1]) * weight[..., None], (0, 1, 2))
        weight *= (jnp.maximum(of_class, 1)[safe] / total) ** -balance
    loss = (weight * each).sum() / jnp.maximum(weight.sum(), 1e-6)
    return loss, correct.sum() / total


def check_source(name: str, classes: Classes) -> None:
    """Raises UserError where a source describes other classes than `classes`."""
    source = sources.create(name, lambda one: "train", **(
        {"check_headers": 0} if name.startswith("folder:") else {}
    ))
    if source.classes is None:
        return
    found = classes_lib.of_source(source)
    if found.names != classes.names:
        raise UserError(
            f"{source.description} has other classes than classes.names: {', '.join(found.names)}. "
            f'Add --config.classes.names="{found.names!r}" --config.classes.colours="()".'
        )


def _classes(config: ml_collections.ConfigDict) -> Classes:
    names, colours = tuple(config.classes.names), tuple(config.classes.colours)
    if colours and len(colours) != len(names):
        raise UserError(
            f"classes.colours are {len(colours)} and classes.names {len(names)}. Give each class "
            "its colour, or write () to have them chosen."
        )
    if not colours:
        return classes_lib.of_names(names)
    return classes_lib.of_names(names, colours=tuple(map(tuple, colours)))


def create(config: ml_collections.ConfigDict, axis_name: str | None = None) -> Segmentation:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    return Segmentation(config, axis_name)
