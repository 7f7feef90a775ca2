"""SCAT as a `Method`: networks, one training phase, prediction and evaluation of inpainting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.layers import spectral
from jaxedit.losses import perceptual
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.scat import (
    baselines,
    bounds,
    contrastive,
    discriminators,
    inpaint,
    metrics,
    suspicion,
    update,
)
from jaxedit.methods.scat.data import Transform
from jaxedit.methods.scat.generator import Generator
from jaxedit.methods.scat.objectives import Settings
from jaxedit.methods.scat.patch_discriminator import PatchDiscriminator
from jaxedit.models.vgg import VGG, random_features
from jaxedit.optim import schedules

PyTree = Any
BOUNDS = bounds.BOUNDS
_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class SCAT(Method):
    """Inpainting with segmentation-confusion adversarial training and contrastive learning."""

    def __init__(self, config: ml_collections.ConfigDict, axis_name: str | None = None):
        super().__init__(config, axis_name)
        self.settings = _settings(config)

    def networks(self) -> dict[str, nn.Module]:
        """Returns generator, discriminator, head and vgg19, as far as the losses use them."""
        config, settings = self.config, self.settings
        dtype = _DTYPES[config.precision.compute]
        networks: dict[str, nn.Module] = {
            "generator": Generator(
                channels=config.generator.channels,
                blocks=config.generator.blocks,
                rates=tuple(config.generator.rates),
                upsample=config.generator.upsample,
                init_scheme=config.generator.init,
                seam=config.generator.get("seam", "as_is"),  # runs of before the key lack it
                remat=config.remat,
                dtype=dtype,
            )
        }
        if settings.patch:
            networks["discriminator"] = PatchDiscriminator(
                config.discriminator.channels, config.discriminator.spectral_norm, dtype
            )
        elif settings.uses_discriminator:
            networks["discriminator"] = discriminators.create(
                config.discriminator.kind,
                channels=config.discriminator.channels,
                attention=config.discriminator.attention,
                spectral_norm=config.discriminator.spectral_norm,
                dtype=dtype,
            )
        if settings.semantic and config.head.mlp:
            networks["head"] = contrastive.ProjectionHead(config.head.channels)
        if settings.uses_vgg:
            published = config.loss.features == "vgg19"
            networks["vgg19"] = VGG(
                depth=19,
                layers=(*perceptual.PERCEPTUAL_LAYERS, *perceptual.STYLE_LAYERS),
                channels=64 if published else config.loss.feature_channels,
                dtype=dtype,
            )
        return networks

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns Adam for the generator (with the head) and for the discriminator."""
        optim = self.config.optim

        def adam(lr: float) -> optax.GradientTransformation:
            return optax.adam(
                _schedule(optim.schedule, lr, optim.warmup, total_steps),
                b1=optim.betas[0], b2=optim.betas[1], eps=optim.eps,
            )

        optimizers = {"generator": adam(optim.lr)}
        if self.settings.uses_discriminator:
            optimizers["discriminator"] = adam(optim.lr_discriminator)
        return optimizers

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        size = self.config.image_size
        return {
            "image": jax.ShapeDtypeStruct((batch_size, size, size, 3), jnp.float32),
            "mask": jax.ShapeDtypeStruct((batch_size, size, size, 1), jnp.float32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        params, stats = update.initial_variables(
            self.networks(), rng, spec["image"].shape[1:3]
        )
        stand_in = self.settings.uses_vgg and self.config.loss.features == "random_features"
        return State(
            step=jnp.zeros((), jnp.int32),
            params=params,
            stats=stats,
            frozen={"vgg19": random_features(self.networks()["vgg19"])} if stand_in else {},
        )

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the generator that `generator.initial` names, and VGG-19 where a loss needs it.

        VGG-19 is needed where perceptual or style losses are on.
        """
        pairs = (inpaint.beginning(self._initial),) if self._initial else ()
        if self.settings.uses_vgg and self.config.loss.features == "vgg19":
            pairs = (*pairs, ("weights:vgg19", "frozen/vgg19"))
        return pairs

    def optimizer_states(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return update.initial_optimizer_states(params, self._optimizers())

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {"generator": params["generator"]} if self.settings.ema_decay else {}

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del rng, phase  # nothing in a step is random, and there is one phase
        return update.training_step(
            state,
            batch,
            networks=self.networks(),
            optimizers=self._optimizers(),
            settings=self.settings,
            axis_name=self.axis_name,
        )

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Fills holes: `composite` keeps the known pixels, `prediction` is the raw output.

        The task "suspect" tells filled pixels from others instead, and "measure" does both.
        """
        del rng
        if task == "suspect":
            return {suspicion.OUTPUT: self._suspicion(state, inputs["image"])}
        params = state.ema.get("generator", state.params["generator"])
        generator = self.networks()["generator"]
        filled = inpaint.fill(generator, {"params": params}, inputs["image"], inputs["mask"])
        if task == "measure":
            filled[suspicion.OUTPUT] = self._suspicion(state, filled["composite"])
        return filled

    @property
    def tasks(self) -> dict[str, Task]:
        filling = inpaint.task(self.networks()["generator"], self.config.image_size)
        if not self.settings.segmentation:
            return {"inpaint": filling}
        return {
            "inpaint": filling, "suspect": suspicion.TASK, "measure": suspicion.measured(filling),
        }

    def transform(self, *, train: bool) -> Transform:
        return Transform(self.config, train)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns the published evaluation: PSNR, SSIM and L1 on values that are not rounded."""
        names = tuple(self.config.evaluate.metrics)
        suspects = self.settings.segmentation and set(names) & set(suspicion.OWN)
        return {"inpainting": Evaluation(
            task="measure" if suspects else "inpaint",
            prediction="composite",
            target="image",
            metrics=names,
            region="mask",
            own=metrics.OWN | suspicion.OWN,
            groups=baselines.LABELS,
            group=baselines.bin_labels,
            baselines={**self._beginning(), **baselines.BASELINES},
            best=("psnr", "max"),
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        hole = batch["mask"]
        return {
            "input": levels.of_picture(batch["image"] * (1 - hole) + hole),
            "filled": levels.of_picture(outputs["composite"]),
            "raw output": levels.of_picture(outputs["prediction"]),
            "truth": levels.of_picture(batch["image"]),
        }

    @property
    def _initial(self) -> str:
        return self.config.generator.get("initial", "")  # runs of before the key lack it

    def _beginning(self) -> dict[str, Callable[[Batch], np.ndarray]]:
        """Returns the weights that training began with, to be measured beside what it made."""
        if not self._initial:
            return {}
        generator = self.networks()["generator"]
        return {self._initial: inpaint.as_it_came(generator, self._initial)}

    def _suspicion(self, state: State, image: jax.Array) -> jax.Array:
        variables = {
            "params": state.params["discriminator"],
            spectral.COLLECTION: state.stats.get("discriminator", {}),
        }
        return suspicion.of_pictures(self.networks()["discriminator"], variables, image)

    def _optimizers(self) -> dict[str, optax.GradientTransformation]:
        return self.optimizers(self.config.train.steps)


def create(config: ml_collections.ConfigDict, axis_name: str | None = None) -> SCAT:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    return SCAT(config, axis_name)


def _schedule(kind: str, lr: float, warmup: int, total_steps: int) -> float | optax.Schedule:
    """Returns a rate; one that never changes is a number, of which Adam keeps no count of steps."""
    if kind == "constant" and not warmup:
        return lr
    return schedules.warmed_up(kind, lr, warmup, total_steps)


def _settings(config: ml_collections.ConfigDict) -> Settings:
    loss = config.loss
    return Settings(
        l1=loss.l1,
        global_adversarial=loss.global_adversarial,
        segmentation=loss.segmentation,
        textural=loss.textural,
        semantic=loss.semantic,
        perceptual=loss.perceptual,
        style=loss.style,
        patch=loss.patch,
        global_kind=loss.global_gan,
        segmentation_kind=loss.scat_gan,
        segmentation_region=loss.scat_g_region,
        textural_levels=tuple(loss.textural_levels),
        semantic_temperature=loss.semantic_temperature,
        semantic_negatives=loss.semantic_negatives,
        semantic_group=loss.semantic_group,
        patch_kind=loss.patch_gan,
        smgan_target=loss.smgan_target,
        smgan_masked=loss.smgan_masked,
        simultaneous=loss.simultaneous,
        accumulate=config.train.accumulate,
        ema_decay=config.optim.ema,
    )
