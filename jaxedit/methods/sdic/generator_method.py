"""Training of the generator that SDIC inverts: StyleGAN2 against its discriminator, as a `Method`.

What a later stage takes from it:

    STAGE:ema/generator      -> frozen/generator/params
    STAGE:stats/generator    -> frozen/generator/noise
    STAGE:extra/average      -> frozen/average       latent_avg, of the averaged generator
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

from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.layers.randomness import sample_keys
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.sdic import generator_losses
from jaxedit.methods.sdic.data import Transform
from jaxedit.methods.sdic.generator_losses import (
    AUGMENTATION,
    AVERAGE,
    DISCRIMINATOR,
    GENERATOR,
    PATH_LENGTH,
    Augmentation,
    Objectives,
    Settings,
    variables,
)
from jaxedit.methods.sdic.inversion import generator_of
from jaxedit.models.stylegan2 import augmentation
from jaxedit.models.stylegan2.discriminator import Discriminator
from jaxedit.models.stylegan2.generator import (
    NOISE,
    average_code,
    draw_noise_of_samples,
    truncate,
)
from jaxedit.optim import gradients
from jaxedit.task import Array, Image, Number, Seed

PyTree = Any
# The network that a phase trains.
PHASES = {"d": DISCRIMINATOR, "d_reg": DISCRIMINATOR, "g": GENERATOR, "g_reg": GENERATOR}
# Steps after which the average code is taken anew, beside those after which the state is saved.
_AVERAGE_EVERY = 16


class GeneratorMethod(Method):
    """Trains a `Generator`, keeps its average and the mean of its codes, and draws pictures."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        size = config.network.size
        if tuple(config.image_size) != (size, size):
            raise UserError(
                f"image_size={tuple(config.image_size)}: a generator of network.size={size} learns "
                f"pictures of {size} x {size} pixels. Make them agree."
            )
        if config.remat:
            raise UserError("remat=True: this part computes nothing twice; it must be False.")

    @property
    def objectives(self) -> Objectives:
        """Returns both networks with what they are trained for."""
        network, loss, augment = self.config.network, self.config.loss, self.config.augment
        return Objectives(
            generator_of(network),
            Discriminator(
                network.size, channel_multiplier=network.channel_multiplier,
                most_channels=network.most_channels,
            ),
            Settings(
                mixing=loss.mixing, r1=loss.r1, r1_every=loss.r1_every,
                path_length=loss.path_length, path_length_every=loss.path_length_every,
                path_length_share=loss.path_length_share,
                path_length_decay=loss.path_length_decay,
            ),
            Augmentation(augment.pipe, augment.target, augment.every, augment.speed),
            self.axis_name,
        )

    def networks(self) -> dict[str, nn.Module]:
        objectives = self.objectives
        return {GENERATOR: objectives.generator, DISCRIMINATOR: objectives.discriminator}

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns Adam for each network; one that is also regularised takes more, smaller steps.

        Of k + 1 updates in k steps each is by k / (k + 1) of the rate, and forgets as much less.
        """
        del total_steps
        optim, loss = self.config.optim, self.config.loss

        def adam(weight: float, every: int) -> optax.GradientTransformation:
            share = every / (every + 1) if weight > 0 else 1.0
            b1, b2 = (beta**share for beta in optim.betas)
            return optax.adam(share * optim.lr, b1=b1, b2=b2, eps=optim.eps)

        return {
            GENERATOR: adam(loss.path_length, loss.path_length_every),
            DISCRIMINATOR: adam(loss.r1, loss.r1_every),
        }

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {GENERATOR: params[GENERATOR]}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, *self.config.image_size, 3)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        objectives, keys = self.objectives, jax.random.split(rng)
        width = objectives.generator.style_width
        generator = objectives.generator.init(keys[0], jnp.zeros((1, width)))
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        discriminator = objectives.discriminator.init(keys[1], image)
        extra = {PATH_LENGTH: jnp.zeros(()), AVERAGE: jnp.zeros(width)}
        if objectives.augment.on:
            extra[AUGMENTATION] = augmentation.start(self.config.augment.strength)
        return State(
            step=jnp.zeros((), jnp.int32),
            params={GENERATOR: generator["params"], DISCRIMINATOR: discriminator["params"]},
            stats={GENERATOR: generator[NOISE]},
            extra=extra,
        )

    def init(self, rng, spec, start=()) -> State:
        """As `Method.init`; the average code is that of the parameters that result."""
        return self._with_average(super().init(rng, spec, start))

    def phases(self, step: int) -> tuple[str, ...]:
        """Returns d and g, with their penalties where they are due; then the average code.

        That is taken anew whenever the state is saved by plan, so it always fits its generator; in
        a state that was saved on request it is of at most 15 steps before.
        """
        phases = generator_losses.schedule(self.objectives.settings, step)
        train, done = self.config.train, step + 1
        due = (_AVERAGE_EVERY, train.checkpoint_every, train.evaluate_every or train.steps)
        if done == train.steps or any(done % every == 0 for every in due):
            phases += (AVERAGE,)
        return phases

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        if phase == AVERAGE:
            return self._with_average(state), {}
        name = PHASES[phase]
        objective = generator_losses.objective(self.objectives, phase)

        def value_and_grad(params, carried, part):
            extra, key = carried
            key, now = jax.random.split(key)
            (_, (terms, extra)), gradient = jax.value_and_grad(objective, has_aux=True)(
                params, state, extra, now, part["image"]
            )
            return (terms, (extra, key)), gradient

        own = jax.random.fold_in(rng, list(PHASES).index(phase))  # all phases get one key
        (terms, (extra, _)), gradient = gradients.accumulate(
            value_and_grad, state.params[name], (state.extra, own), dict(batch),
            self.config.train.accumulate,
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[name]
        updates, opt = optimizer.update(gradient, state.opt[name], state.params[name])
        params = optax.apply_updates(state.params[name], updates)
        state = state.replace(
            params={**state.params, name: params}, opt={**state.opt, name: opt}, extra=extra
        )
        if name == GENERATOR:
            state = state.replace(ema={name: self._averaged(state, phase)})
        terms[f"grad_norm/{phase}"] = gradients.norm(gradient)
        return state, {key: (value, jnp.ones(())) for key, value in terms.items()}

    def _averaged(self, state: State, phase: str) -> PyTree:
        """Returns the average of the generator's parameters, which moves once a step, at its end.
        """
        loss, count = self.config.loss, self.config.train.batch_size
        decay = jnp.float32(0.5 ** (count / self.config.optim.ema_half_life))
        if phase == "g" and loss.path_length > 0:
            last = state.step % loss.path_length_every != 0
            decay = jnp.where(last, decay, 1.0)
        return optax.incremental_update(
            state.params[GENERATOR], state.ema[GENERATOR], step_size=1 - decay
        )

    def _with_average(self, state: State) -> State:
        averaged = variables(state, state.ema[GENERATOR])
        code = average_code(self.objectives.generator, averaged, self.config.sample.codes)
        return state.replace(extra={**state.extra, AVERAGE: code})

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Draws pictures, or makes those of given codes, with the averaged generator."""
        objectives, averaged = self.objectives, variables(state, state.ema[GENERATOR])
        generator = objectives.generator
        if task == "synthesise":
            return {"image": objectives.synthesise(averaged, inputs["codes"], None)}
        count = len(next(iter(inputs.values())))
        keys = sample_keys(rng, count)
        z = jax.vmap(lambda key: jax.random.normal(key, (generator.style_width,)))(keys)
        noise = draw_noise_of_samples(keys, generator.size, 1)
        drawn = objectives.map(averaged, z)

        def made(truncation: jax.Array | float) -> tuple[jax.Array, jax.Array]:
            codes = truncate(drawn, state.extra[AVERAGE], truncation)[:, None]
            codes = jnp.broadcast_to(codes, (count, generator.codes, generator.style_width))
            return objectives.synthesise(averaged, codes, noise), codes

        if task == "sample":
            image, codes = made(inputs["truncation"][:, None])
            return {"image": image, "codes": codes}
        shown = {"drawn": 1.0, "truncated": self.config.sample.truncation}
        return {name: jnp.clip(made(psi)[0], -1, 1) for name, psi in shown.items()}

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `sample` and `synthesise` for use, and `measure`, one drawn beside each picture.

        `sample` gives the codes of its pictures, of which `synthesise` makes them again, but for
        the noise: drawn in the one, stored in the other.
        """
        generator = self.objectives.generator
        image = Image(size=(generator.size, generator.size))
        codes = Array((generator.codes, generator.style_width))
        return {
            "sample": Task(
                {"truncation": Number(-2.0, 2.0, default=1.0), "seed": Seed()},
                {"image": image, "codes": codes},
            ),
            "synthesise": Task({"codes": codes}, {"image": image}),
            "measure": Task({"image": image}, {"drawn": image, "truncated": image}),
        }

    def transform(self, *, train: bool) -> Transform:
        return Transform(self.config, train)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns distances between drawn and real pictures as sets; no two belong together.

        The mirrored real pictures say how small the figures can become.
        """
        names = tuple(self.config.evaluate.metrics)
        first = next((name for name in names if name.startswith("fid")), None)
        return {"samples": Evaluation(
            task="measure",
            prediction="drawn",
            target="image",
            metrics=names,
            systems={"truncated": "truncated"},
            baselines={"real pictures, mirrored": lambda batch: batch["image"][:, :, ::-1]},
            best=(first, "min") if first else None,
            ceilings=("real pictures, mirrored",),
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns real pictures and drawn ones; truncated ones are a system, and stand beside."""
        return {
            "real": levels.of_picture(batch["image"]),
            "drawn": levels.of_picture(outputs["drawn"]),
        }
