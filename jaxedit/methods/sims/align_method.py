"""SIMS' alignment network as a `Method`: segments that were moved away learn their way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.method import Batch, State, Task
from jaxedit.methods.sims import affine, alignment, layout
from jaxedit.methods.sims.alignment import AlignmentNetwork
from jaxedit.methods.sims.samples import AlignSamples, MovedSegments
from jaxedit.methods.sims.training import Part
from jaxedit.task import Array, Image, Mask

PyTree = Any


class Align(Part):
    """An affine map for a retrieved segment."""

    name = "alignment"

    def networks(self) -> dict[str, nn.Module]:
        config = self.config
        return {self.name: AlignmentNetwork(
            config.network.width, config.align.shrink, config.remat, self.dtype
        )}

    def example(self) -> tuple[jax.Array, ...]:
        side = 32 * self.config.align.shrink
        return (jnp.zeros((1, side, side, self.config.network.classes + 5)),)

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        count = self.config.data.segments
        entry = lambda dtype, *shape: jax.ShapeDtypeStruct((batch_size, *shape), dtype)
        return {
            "image": entry(jnp.float32, *self.size, 3), "label": entry(jnp.int32, *self.size),
            "targets": entry(jnp.uint8, count, *self.size),
            "jitter": entry(jnp.float32, count, 6),
        }

    def loss(
        self, params: PyTree, frozen: Mapping[str, PyTree], batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean over the pictures of `alignment.loss`."""
        del frozen, rng
        targets = batch["targets"].astype(jnp.float32)[..., None]
        shape = targets.shape
        flat = targets.reshape(-1, *shape[2:])
        each = lambda x: jnp.repeat(x, shape[1], axis=0)
        colour = (batch["image"] + 1) / 2
        moved = affine.warp(
            each(colour) * flat, batch["jitter"].reshape(-1, 6), self.config.align.rule
        )
        theta = self.theta({"params": params}, moved, flat, each(batch["label"]))
        warped = affine.warp(moved, theta, self.config.align.rule)
        warped = warped.reshape(*shape[:-1], 3)
        total = jnp.mean(alignment.loss(255 * colour, 255 * warped, targets))
        still = moved.reshape(*shape[:-1], 3)
        before = jnp.mean(alignment.loss(255 * colour, 255 * still, targets))
        return total, {"loss/aligned": total, "loss/before": before}

    def theta(
        self, variables: PyTree, colour: jax.Array, target: jax.Array, label: jax.Array
    ) -> jax.Array:
        """Returns the maps (B, 6) of segments, see `alignment.network_input`."""
        x = alignment.network_input(colour, target, label, self.config.network.classes)
        return self.network.apply(variables, x)

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `colour`, `mask` and `theta` of segments moved onto their places."""
        del rng, task
        # Black outside, whatever a padding has reflected there.
        colour, mask = (inputs["colour"] + 1) / 2 * inputs["mask"], inputs["mask"]
        if self.needs_no_network:
            theta = affine.by_moments(mask, inputs["target"])
        else:
            theta = self.theta(self.trained(state), colour, inputs["target"], inputs["label"])
        kind = self.config.align.kind
        if kind in ("shift", "off"):
            identity = jnp.asarray(affine.IDENTITY, theta.dtype)
            shift = jnp.asarray((0, 0, 1, 0, 0, 1), theta.dtype) if kind == "shift" else 0
            theta = identity + shift * (theta - identity)
        colour, mask, theta = affine.align(
            colour, mask, inputs["target"], theta, rule=self.config.align.rule,
            whole=self.config.align.rounded, discard=self.config.align.discard,
        )
        return {"colour": 2 * colour - 1, "mask": mask, "theta": theta}

    @property
    def needs_no_network(self) -> bool:
        """Whether `predict` reads no parameters."""
        return self.config.align.kind == "moments"

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `align`: of a segment `colour` in [-1, 1] and `mask`, its `target`, `label`."""
        return {"align": Task(
            {"colour": Image(), "mask": Mask(), "target": Mask(), "label": layout.KIND},
            {"colour": Image(), "mask": Mask(), "theta": Array((6,))},
            multiple=32 * self.config.align.shrink,
            minimum=32 * self.config.align.shrink,
        )}

    def transform(self, *, train: bool) -> AlignSamples:
        return AlignSamples(self.config) if train else MovedSegments(self.config)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns how near aligned segments come to their own places, beside those left alone."""
        return {"alignment": Evaluation(
            task="align",
            prediction="colour",
            target="original",
            metrics=("l1",),  # segments that were not moved have no finite PSNR
            baselines={"unaligned": lambda batch: batch["colour"], "moments": self._by_moments},
            best=("l1", "min"),
        )}

    def _by_moments(self, batch: Batch) -> np.ndarray:
        """Returns segments moved by their masks' moments, (B, H, W, 3) in [-1, 1]."""
        mask, target = batch["mask"], batch["target"]
        rules = self.config.align
        colour, _, _ = affine.align(
            (batch["colour"] + 1) / 2 * mask, mask, target, affine.by_moments(mask, target),
            rule=rules.rule, whole=rules.rounded, discard=rules.discard,
        )
        return 2 * np.asarray(colour) - 1

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            "moved away": levels.of_picture(batch["colour"]),
            "aligned": levels.of_picture(outputs["colour"]),
            "truth": levels.of_picture(batch["original"]),
        }
