"""DPT and MatteFormer as a `Method`: one network, pre-trained or fine-tuned as configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.matting import (
    bounds,
    evaluation,
    matte,
    objectives,
    optimization,
    update,
    weights,
)
from jaxedit.methods.matting.data import Transform
from jaxedit.methods.matting.network import MULTIPLE, MattingNetwork
from jaxedit.state import StartingValue

PyTree = Any
BOUNDS = bounds.BOUNDS
NETWORK = update.NETWORK
_FRESH = 101  # purpose of the key that fills what published weights lack
_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Matting(Method):
    """Alpha mattes from a photograph and a trimap."""

    def __init__(self, config: ml_collections.ConfigDict, axis_name: str | None = None):
        super().__init__(config, axis_name)
        _check(config)
        self.settings = objectives.Settings(
            alpha=config.loss.alpha,
            composition=config.loss.composition,
            laplacian=config.loss.laplacian,
            regions=config.loss.regions,
            warmup=config.loss.warmup,
            band=tuple(config.loss.band),
            band_side=config.loss.band_side,
        )

    def networks(self) -> dict[str, nn.Module]:
        """Returns the one network, under the name `network`."""
        network = self.config.network
        return {
            NETWORK: MattingNetwork(
                backbone=network.backbone,
                embed_dim=network.embed_dim,
                depths=tuple(network.depths),
                heads=tuple(network.heads),
                window=network.window,
                drop_path=network.drop_path,
                decoder_blocks=tuple(network.decoder_blocks),
                width=network.width,
                guided_attention=network.guided_attention,
                axis_name=self.axis_name,
                remat=self.config.remat,
                dtype=_DTYPES[self.config.precision.compute],
            )
        }

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        return {NETWORK: optimization.create(self.config.optim, total_steps)}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        size = self.config.image_size

        def entry(channels: int) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((batch_size, size, size, channels), jnp.float32)

        return {
            "image": entry(3), "trimap": entry(1), "alpha": entry(1),
            "foreground": entry(3), "background": entry(3),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        del spec
        params, stats = update.initial_variables(self.networks()[NETWORK], rng)
        return State(
            step=jnp.zeros((), jnp.int32), params={NETWORK: params}, stats={NETWORK: stats}
        )

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the published weights that `network.initial` names."""
        name = self.config.network.initial
        return weights.starting_values(name, NETWORK) if name else ()

    def fit(self, value: StartingValue, fresh: PyTree | None) -> PyTree:
        """Fills what ImageNet's Swin lacks, and checks the shapes of published networks."""
        kind, _, name = value.source.partition(":")
        if kind != "weights" or fresh is None:
            return value.tree
        rng = jax.random.fold_in(jax.random.key(self.config.train.seed), _FRESH)
        return weights.fit(name, value.tree, fresh, rng)

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del phase  # there is one
        return update.training_step(
            state,
            batch,
            rng,
            network=self.networks()[NETWORK],
            optimizer=self.optimizers(self.config.train.steps)[NETWORK],
            settings=self.settings,
            accumulate=self.config.train.accumulate,
            axis_name=self.axis_name,
        )

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `alpha` (B, H, W, 1) in [0, 1], refined, with the trimap's known pixels."""
        del rng, task
        variables = {"params": state.params[NETWORK], **state.stats[NETWORK]}
        return matte.predict(
            self.networks()[NETWORK], variables, inputs["image"], inputs["trimap"]
        )

    @property
    def tasks(self) -> dict[str, Task]:
        return {"matte": matte.task(self.config.evaluate.margin)}

    def transform(self, *, train: bool) -> Transform:
        return Transform(self.config, train)

    def evaluations(self) -> dict[str, Evaluation]:
        return {"mattes": evaluation.create(self.config)}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return evaluation.pictures(batch, outputs)


def create(config: ml_collections.ConfigDict, axis_name: str | None = None) -> Matting:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    return Matting(config, axis_name)


def _check(config: ml_collections.ConfigDict) -> None:
    """Raises UserError where values do not fit together, naming key and remedy."""
    size = config.image_size
    if size % 32 or size < 64:
        raise UserError(
            f"image_size={size}: the network and the Laplacian loss need a multiple of 32 of at "
            f"least 64. The nearest is {max(64, round(size / 32) * 32)}."
        )
    margin = config.evaluate.margin
    if margin < 0 or margin % MULTIPLE:
        raise UserError(
            f"evaluate.margin={margin}: the reflected margin must be a multiple of {MULTIPLE} "
            "pixels. MatteFormer has 32, DPT 0."
        )
    optim = config.optim
    per_unit = optim.steps_per_epoch if optim.schedule == "epochs" else 1
    total = optim.total or -(-config.train.steps // per_unit)
    if not 0 <= optim.warmup < total:
        raise UserError(
            f"optim.warmup={optim.warmup} is not below the {total} {optim.schedule} in which the "
            "cosine reaches 0: lower optim.warmup, or raise train.steps (or optim.total)."
        )
    if config.data.task == "finetune" and not config.data.foregrounds:
        raise UserError(
            "data.task='finetune' needs data.foregrounds: a source of subjects with alphas, for "
            "example scenes or folder:PATH with images/ and alphas/."
        )
    if config.network.initial == "swin-tiny" and config.network.backbone != "swin":
        raise UserError(
            "network.initial='swin-tiny' fits network.backbone='swin' only; choose '' or that."
        )
