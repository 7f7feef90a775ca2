"""SIMS' synthesis network as a `Method`: feature loss and semantic head, prediction, evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.layers.resampling import resize_bilinear
from jaxedit.method import Batch, State, Task
from jaxedit.methods.sims import features, growth, layout, synthesis
from jaxedit.methods.sims.metrics import CopyRate, MissingL1, SpectrumDistance, judged
from jaxedit.methods.sims.samples import SynthesisSamples
from jaxedit.methods.sims.synthesis import SynthesisNetwork
from jaxedit.methods.sims.training import Part
from jaxedit.metrics import Keys, Metric
from jaxedit.models import vgg
from jaxedit.state import StartingValue
from jaxedit.task import Image, Labels, Mask

PyTree = Any
_FROZEN = "features"
# In `State.extra`, so that a network that was trained without canvas is measured without one, also
# where it is compared with one that was trained on it.
_SEES = "sees_canvas"
_HALVED = 3  # from so many stages on, the feature loss sees half the size


class Synthesis(Part):
    """From a canvas and its layout to a photograph."""

    name = "synthesis"

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None, artifacts=None
    ):
        super().__init__(config, axis_name, artifacts)
        _check(config, self.size)

    def networks(self) -> dict[str, nn.Module]:
        """Returns the synthesis network; the one of the feature loss is frozen."""
        config = self.config
        return {
            self.name: SynthesisNetwork(
                config.network.classes, config.network.stages, config.network.width,
                config.remat, self.dtype,
            )
        }

    @property
    def feature_network(self) -> vgg.VGG:
        """Returns the network whose features are compared."""
        published = self.config.loss.features == "vgg19"
        return features.network(64 if published else self.config.loss.feature_channels)

    def example(self) -> tuple[jax.Array, ...]:
        side = self.network.multiple
        return (jnp.zeros((1, side, side, self.config.network.classes + 5)),)

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        entry = lambda dtype, *rest: jax.ShapeDtypeStruct((batch_size, *self.size, *rest), dtype)
        return {
            "image": entry(jnp.float32, 3), "canvas": entry(jnp.float32, 3),
            "presence": entry(jnp.float32, 1),
            "label": entry(jnp.int32), "layout": entry(jnp.int32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        state = super().variables(rng, spec).replace(extra={_SEES: jnp.float32(self._sees)})
        if self.config.loss.features == "random_features":
            state = state.replace(frozen={_FROZEN: vgg.random_features(self.feature_network)})
        return state

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns VGG-19's weights where the feature loss uses them."""
        published = self.config.loss.features == "vgg19"
        return (("weights:vgg19", f"frozen/{_FROZEN}"),) if published else ()

    def fit(self, value: StartingValue, fresh: PyTree | None) -> PyTree:
        """Grows a network of fewer stages, see `growth`."""
        if value.target != f"params/{self.name}":
            return value.tree
        return growth.grown(value.tree, fresh, value.source)

    def loss(
        self, params: PyTree, frozen: Mapping[str, PyTree], batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the feature loss plus the weighted cross-entropy of the semantic head."""
        del rng
        loss = self.config.loss
        picture, logits = self._apply({"params": params}, batch, self._sees)
        real = (batch["image"] + 1) * 127.5
        if self.config.network.stages >= _HALVED:
            size = tuple(side // 2 for side in real.shape[1:3])
            real, picture = (resize_bilinear(x, size, align_corners=True) for x in (real, picture))
        make = features.of_torchvision if loss.features == "vgg19" else features.of_random
        of = make(self.feature_network, frozen[_FROZEN])
        total, terms = features.loss(real, picture, of, tuple(loss.weights))
        logged = {"loss/features": total, "loss/l1": terms[0]}
        if loss.semantic:
            entropy = semantic_loss(logits, batch["label"], self.config.network.classes)
            logged["loss/semantic"] = loss.semantic * entropy
            total += logged["loss/semantic"]
        return total, logged

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `image`, cut to [-1, 1]; `classes`, what the semantic head sees where.

        `classes` int32 is at the size of the semantic head, repeated up to that of the picture.
        """
        del rng, task
        picture, logits = self._apply(self.trained(state), inputs, state.extra[_SEES])
        image = jnp.clip(picture / 127.5 - 1, -1, 1)
        seen = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        repeat = image.shape[1] // seen.shape[1]
        return {"image": image, "classes": seen.repeat(repeat, 1).repeat(repeat, 2)}

    @property
    def _sees(self) -> bool:
        """Whether the network sees the canvas; without it, it is purely parametric."""
        return self.config.data.canvas != "none"

    def _apply(
        self, variables: PyTree, batch: Batch, sees: bool | jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        # In training and evaluation the layout belongs to the canvas, and is worth less without it.
        given = batch["layout"]
        given = jnp.where(sees, given, batch.get("label", given))
        x = synthesis.network_input(
            given, sees * batch["canvas"], sees * batch["presence"],
            self.config.network.classes,
        )
        return self.network.apply(variables, x)

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `synthesize`: `layout` (H, W), `canvas` in [0, 1] and `presence` to `image`."""
        return {"synthesize": Task(
            {"layout": layout.KIND, "canvas": Image(), "presence": Mask()},
            {"image": Image(), "classes": Labels()},
            multiple=self.network.multiple,
            minimum=self.network.multiple,
        )}

    def transform(self, *, train: bool) -> SynthesisSamples:
        return SynthesisSamples(self.config, train)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns `evaluation`, with the canvas itself and what is copied of it where it is seen.
        """
        if not self._sees:
            return {"synthesis": evaluation(self.config, "synthesize")}
        canvas = {"canvas": lambda batch: 2 * batch["canvas"] - 1}
        return {"synthesis": evaluation(
            self.config, "synthesize", (CopyRate("image"),), canvas
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        palette = layout.palette(self.config.network.classes)
        return {
            "layout": layout.coloured(batch["layout"], palette),
            "canvas": levels.of_picture(2 * batch["canvas"] - 1),
            "synthesised": levels.of_picture(outputs["image"]),
            "truth": levels.of_picture(batch["image"]),
        }


def evaluation(
    config: ml_collections.ConfigDict, task: str, extra: tuple[Metric, ...] = (),
    baselines: Mapping[str, Callable] | None = None,
) -> Evaluation:
    """Returns distances to the photograph of the layout, and what the judge says, if any.

    The photographs themselves are a system too: what the judge says of them is the ceiling.

    Args:
      config: of the stage.
      task: whose output `image` is measured.
      extra: metrics beside those of `config.evaluate`.
      baselines: that come first, before the nearest picture and the photographs.
    """
    evaluate = config.evaluate
    metrics, best = (*evaluate.metrics, *extra), None
    baselines = dict(baselines or {})
    makers: dict[str, Callable[[Keys], Metric]] = {}
    if evaluate.get("nearest", False):  # older runs have neither key
        baselines["nearest picture"] = lambda batch: batch["nearest"]
    if "psnr" in metrics:
        best = "psnr", "max"
    if evaluate.get("judge", ""):
        makers |= judged(evaluate.judge, config.network.classes)
        metrics += tuple(makers)
        baselines["photograph"] = lambda batch: batch["image"]
        best = "mean_iou_by_segmenter", "max"
    return Evaluation(
        task=task,
        prediction="image",
        target="image",
        metrics=metrics,
        own={"spectrum_distance": SpectrumDistance, "l1_missing": MissingL1, **makers},
        baselines=baselines,
        best=best,
        ceilings=("photograph",),
    )


def semantic_loss(logits: jax.Array, label: jax.Array, classes: int) -> jax.Array:
    """Returns the mean cross-entropy with the layout of the photograph, a scalar.

    Args:
      logits: (B, h, w, classes + 1), float32.
      label: int (B, H, W), h = H or a whole part of it: then every H / h-th pixel counts.
      classes: how many there are; what is none of them is the class "unlabelled".
    """
    step = label.shape[1] // logits.shape[1]
    target = layout.known(label[:, ::step, ::step], classes)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, target))


def _check(config: ml_collections.ConfigDict, size: tuple[int, int]) -> None:
    multiple = 64 * 2 ** (config.network.stages - 1)
    if any(side % multiple for side in size):
        nearest = tuple(max(multiple, round(side / multiple) * multiple) for side in size)
        raise UserError(
            f"image_size={size}: the sides of training pictures must divide by {multiple}. The "
            f"nearest is {nearest}. (Pictures to synthesise may have any size; they are padded.)"
        )
