"""Training of the diffusion model from nothing, on the latents of a frozen autoencoder.

Rombach et al. (2022), equation 3: a step t is drawn for every picture, uniformly, and the network
learns what the schedule's `prediction_type` says of z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) e;
with a probability the caption is replaced by the empty one, so that guidance has something to lead
away from.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax import lax

from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.layers.randomness import sample_keys
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.iedit import autoencoder_method, editing, optimization, text_states
from jaxedit.methods.iedit.autoencoder_method import DTYPES
from jaxedit.methods.iedit.data import Captioned
from jaxedit.methods.iedit.noise_error import NoiseError
from jaxedit.models import autoencoder_kl
from jaxedit.models.autoencoder_kl import AutoencoderKL
from jaxedit.models.diffusion import sampling
from jaxedit.models.diffusion.configs import UNetConfig
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.models.unet import UNet
from jaxedit.optim import gradients
from jaxedit.task import Array, Image, Number, Text

PyTree = Any
UNET, TEXT, AUTOENCODER, SCALE = "unet", "text", "autoencoder", "latent_scale"
OPTIMIZER = "diffusion"
PARTS = 4  # of the schedule, in which errors are told apart
_SHOWN = 1  # the part at whose middle the evaluation shows a picture


def unet_config(config: ml_collections.ConfigDict, text_width: int) -> UNetConfig:
    """Returns the UNet that `config.unet` describes."""
    unet = config.unet
    if len(unet.attention) != len(unet.channels):
        raise UserError(f"unet.attention={tuple(unet.attention)}: say of each of the "
                        f"{len(unet.channels)} levels of unet.channels whether it attends.")
    kind = lambda way: tuple(
        f"{'CrossAttn' if attends else ''}{way}Block2D" for attends in unet.attention
    )
    latents = config.autoencoder.latent_channels
    return UNetConfig(
        in_channels=latents, out_channels=latents,
        block_out_channels=tuple(unet.channels),
        down_block_types=kind("Down"), up_block_types=kind("Up")[::-1],
        layers_per_block=unet.layers, transformer_layers_per_block=unet.depth,
        attention_head_dim=unet.heads, cross_attention_dim=text_width,
        norm_num_groups=unet.groups,
    )


def noise_schedule(config: ml_collections.ConfigDict) -> Schedule:
    """Returns the schedule that `config.schedule` describes."""
    schedule = config.schedule
    return Schedule(
        num_train_timesteps=schedule.num_train_timesteps,
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule=schedule.beta_schedule,
        prediction_type=schedule.prediction_type,
        set_alpha_to_one=schedule.set_alpha_to_one,
        steps_offset=schedule.steps_offset,
        timestep_spacing=schedule.timestep_spacing,
        rescale_betas_zero_snr=schedule.rescale_betas_zero_snr,
    )


class Diffusion(Method):
    """Trains a `UNet` with its text encoder; samples and measures it."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        self.text = text_states.create(config, artifacts)
        self.unet = unet_config(config, self.text.width)
        self.autoencoder = autoencoder_method.description(config)
        self.schedule = noise_schedule(config)
        self.schedule.timesteps(config.sample.steps)  # refuses what cannot be
        if config.image_size % self.autoencoder.factor:
            raise UserError(f"image_size={config.image_size}: it must be a multiple of "
                            f"{self.autoencoder.factor}, the autoencoder's factor.")

    @property
    def side(self) -> int:
        """Returns the side of the latents."""
        return self.config.image_size // self.autoencoder.factor

    def networks(self) -> dict[str, nn.Module]:
        dtype = DTYPES[self.config.precision.compute]
        return {
            UNET: UNet(self.unet, self.config.remat, dtype),
            TEXT: self.text.network(dtype),
            # Float32 always: its latents are what everything else is measured by.
            AUTOENCODER: AutoencoderKL(self.autoencoder),
        }

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns the one AdamW of UNet and text encoder together."""
        return {OPTIMIZER: optimization.adamw(self.config.optim, total_steps)}

    def optimizer_states(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {OPTIMIZER: self.optimizers(self.config.train.steps)[OPTIMIZER].init(dict(params))}

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return dict(params) if self.config.optim.ema else {}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        side = self.config.image_size
        return {
            "image": jax.ShapeDtypeStruct((batch_size, side, side, 3), jnp.float32),
            "prompt": jax.ShapeDtypeStruct((batch_size, self.text.length), jnp.int32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        networks, keys = self.networks(), jax.random.split(rng)
        symbols = jnp.zeros((1, *spec["prompt"].shape[1:]), jnp.int32)
        latents = jnp.zeros((1, self.side, self.side, self.unet.in_channels))
        states = jnp.zeros((1, self.text.length, self.text.width))
        params = {UNET: networks[UNET].init(keys[0], latents, jnp.zeros((1,)), states)["params"]}
        if self.text.trained:
            params[TEXT] = networks[TEXT].init(keys[1], symbols)["params"]
        return State(step=jnp.zeros((), jnp.int32), params=params)

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del phase  # there is one

        def run(params, rng, part):
            rng, *keys = jax.random.split(rng, 5)
            latents = self.encode(state, part["image"], keys[0])
            (loss, terms), gradient = jax.value_and_grad(self._loss, has_aux=True)(
                params, latents, part["prompt"], keys[1:], state.frozen
            )
            return ({"loss/total": loss, **terms}, rng), gradient

        (terms, _), gradient = gradients.accumulate(
            run, dict(state.params), rng, dict(batch), self.config.train.accumulate
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[OPTIMIZER]
        updates, opt = optimizer.update(gradient, state.opt[OPTIMIZER], dict(state.params))
        params = optax.apply_updates(dict(state.params), updates)
        state = state.replace(params=params, opt={OPTIMIZER: opt})
        if self.config.optim.ema:
            state = state.replace(ema=optimization.average(
                dict(state.ema), params, self.config.optim.ema, state.step
            ))
        sums = {name: (value, jnp.ones((), jnp.float32)) for name, value in terms.items()
                if not name.startswith("parts/")}
        for part in range(PARTS):
            sums[f"loss/steps_{steps_of(self.schedule, part)}"] = tuple(
                terms[f"parts/{what}"][part] for what in ("errors", "counts")
            )
        sums["grad_norm/diffusion"] = gradients.norm(gradient), jnp.ones((), jnp.float32)
        return state, sums

    def _loss(self, params, latents, prompt, keys, frozen=None):
        """Returns the mean squared error, and its sums over parts of the schedule."""
        steps = self.schedule.num_train_timesteps
        time = jax.random.randint(keys[0], latents.shape[:1], 0, steps)
        noise = jax.random.normal(keys[1], latents.shape)
        dropped = jax.random.bernoulli(keys[2], self.config.text.drop, latents.shape[:1])
        prompt = jnp.where(dropped[:, None], self._empty, prompt)
        noisy = self.schedule.add_noise(latents, noise, time)
        predicted = self._network(params)(noisy, time, self._states(params, prompt, frozen))
        target = self.schedule.target(latents, noise, time)
        errors = jnp.square(predicted - target).mean((1, 2, 3))
        return errors.mean(), by_part(errors, time, steps)

    @property
    def _empty(self) -> np.ndarray:
        return self.text.symbols([""])

    def _network(self, params: Mapping[str, PyTree]):
        """Returns latents, steps and text states -> prediction."""
        unet = self.networks()[UNET]
        return lambda *inputs: unet.apply({"params": params[UNET]}, *inputs)

    def _states(
        self, params: Mapping[str, PyTree], symbols: jax.Array,
        frozen: Mapping[str, PyTree] | None = None,
    ) -> jax.Array:
        """Returns text states, of the encoder among `params` or of a frozen one."""
        variables = {"params": params[TEXT]} if TEXT in params else (frozen or {}).get(TEXT)
        if variables is None:
            raise UserError(
                "There is no text encoder. Give the stage what it is to start from: the pair "
                f"(STAGE:ema/{TEXT}, frozen/{TEXT}/params) of one that trains a network for bytes, "
                f"or (weights:NAME:text_encoder, frozen/{TEXT}) with text.encoder=clip."
            )
        return self.text.states(variables, symbols, DTYPES[self.config.precision.compute])

    def encode(self, state: State, image: jax.Array, rng: jax.Array | None) -> jax.Array:
        """Returns latents of deviation 1: drawn, one key or one per sample; their mean for None."""
        moments = self._autoencoder(state, image, "encode")
        if rng is None:
            latents, _ = autoencoder_kl.distribution(moments)
        else:
            latents = autoencoder_kl.draw(moments, autoencoder_method.noise(rng, moments))
        return lax.stop_gradient(latents * self.scale(state))

    def scale(self, state: State) -> jax.Array | float:
        """Returns what takes latents to deviation 1: as configured, or as measured in training."""
        fixed = self.config.autoencoder.get("scale", 0.0)
        return fixed or state.frozen[SCALE]

    def decode(self, state: State, latents: jax.Array) -> jax.Array:
        """Returns pictures of latents of deviation 1, cut to [-1, 1]."""
        latents = latents / self.scale(state)
        return jnp.clip(self._autoencoder(state, latents, "decode"), -1, 1)

    def _autoencoder(self, state: State, x: jax.Array, method: str) -> jax.Array:
        needed = {AUTOENCODER} if self.config.autoencoder.get("scale") else {AUTOENCODER, SCALE}
        if not needed <= set(state.frozen):
            raise UserError(
                "The diffusion model has no autoencoder to work on. Give its stage the pairs "
                f"(STAGE:ema/autoencoder, frozen/{AUTOENCODER}/params) and (STAGE:extra/{SCALE}, "
                f"frozen/{SCALE}) of a stage that trains one, as configs/iedit.py:diffusion does."
            )
        return self.networks()[AUTOENCODER].apply(state.frozen[AUTOENCODER], x, method=method)

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Samples, or measures how well noise is told from pictures.

        Returns:
          `sample`: `image`. `denoise`: `image`, as it is seen through the noise in the middle of
          the schedule's second quarter; `noise_error` (B, 4), mean squared errors in the middle of
          each quarter, and `untold_error`, the same under the empty prompt. `edit` and
          `edit_inverted`: `image`, see `editing`.
        """
        params = self.predicting(state)
        if task in editing.TASKS:
            return {"image": editing.edit(
                self.model(state, params), inputs, rng, self.config.sample.steps,
                editing.TASKS[task],
            )}
        keys, network = sample_keys(rng, len(inputs["prompt"])), self._network(params)
        states = lambda symbols: self._states(params, symbols, state.frozen)
        text = states(inputs["prompt"])
        if task == "denoise":
            return self._denoise(state, inputs["image"], network, text, states(self._empty), keys)
        negative = states(inputs["negative"])
        predict = sampling.guided(network, text, negative, inputs["guidance"])
        shape = (self.side, self.side, self.unet.in_channels)
        noise = jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
        latents, _ = sampling.sample(self.schedule, predict, noise, self.config.sample.steps)
        return {"image": self.decode(state, latents)}

    def _denoise(self, state, image, network, text, empty, keys):
        latents = self.encode(state, image, None)
        steps, count = self.schedule.num_train_timesteps, len(latents)
        shape = latents.shape[1:]
        draw = lambda key: jax.random.normal(key, (PARTS, *shape))
        noise = jax.vmap(draw, out_axes=1)(keys)  # parts, samples, ...
        time = jnp.asarray([steps * (2 * part + 1) // (2 * PARTS) for part in range(PARTS)])
        time = jnp.repeat(time, count)
        noise = noise.reshape(-1, *shape)
        noisy = self.schedule.add_noise(jnp.tile(latents, (PARTS, 1, 1, 1)), noise, time)
        # Once with the text and once without, all in one batch.
        twice = lambda values: jnp.concatenate([values, values])
        repeated = lambda states: jnp.tile(jnp.broadcast_to(states, text.shape), (PARTS, 1, 1))
        states = jnp.concatenate([repeated(text), repeated(empty)])
        predicted = network(twice(noisy), twice(time), states)
        clean, found = self.schedule.split(
            predicted, twice(noisy), twice(self.schedule.signal_at(time))
        )
        errors = jnp.square(found - twice(noise)).mean((1, 2, 3)).reshape(2, PARTS, count)
        shown = clean.reshape(2, PARTS, count, *shape)[0, _SHOWN]
        return {
            "image": self.decode(state, shown),
            "noise_error": errors[0].T, "untold_error": errors[1].T,
        }

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `sample`, a picture of a prompt; `denoise`, which evaluation measures; edits."""
        side = self.config.image_size
        picture = Image(size=(side, side))
        encode = lambda name: lambda texts: {name: self.text.checked(texts)}
        prompt = Text(encode("prompt"))
        return {
            "sample": Task(
                {"prompt": prompt, "negative": Text(encode("negative"), ""),
                 "guidance": Number(0, 100, self.config.sample.guidance)},
                {"image": picture},
            ),
            "denoise": Task(
                {"image": picture, "prompt": prompt},
                {"image": picture, "noise_error": Array((PARTS,)),
                 "untold_error": Array((PARTS,))},
            ),
            **self.edits(),
        }

    def predicting(self, state: State) -> Mapping[str, PyTree]:
        """Returns the parameters that predict: the averaged ones, where there are."""
        return state.ema or state.params

    def model(self, state: State, params: Mapping[str, PyTree]) -> editing.Model:
        """Returns what edits pictures with `params`, and with what is frozen in `state`."""
        return editing.Model(
            lambda image: self.encode(state, image, None), functools.partial(self.decode, state),
            lambda symbols: self._states(params, symbols, state.frozen), self._network(params),
            self.schedule, self.autoencoder.factor,
        )

    def edits(self) -> dict[str, Task]:
        """Returns the tasks that edit a picture under a prompt, by where they start."""
        sample = self.config.sample
        return {
            name: editing.task(
                self.text.checked, start=start, factor=self.autoencoder.factor,
                trained_on=self.config.image_size,
                strength=sample.get("strength", 0.7),  # that runs of before that key had
                guidance=sample.guidance,
            )
            for name, start in editing.TASKS.items()
        }

    def transform(self, *, train: bool) -> Captioned:
        data = self.config.data
        return Captioned(self.config.image_size, train, data.scale, data.flip, self.text)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns how well noise is told from pictures, with and without the caption, and samples.

        Where the text is of use, `noise_error` is the smaller one.
        """
        metrics = (NoiseError("noise_error", "with the caption"),
                   NoiseError("untold_error", "without it"))
        return {
            "denoising": Evaluation(
                task="denoise", prediction="image", target="image", metrics=("psnr", *metrics),
                best=("noise_error", "min"),
            ),
            "samples": Evaluation(
                task="sample", prediction="image", target="image",
                metrics=tuple(self.config.sample.metrics), prepare=self._with_guidance,
            ),
        }

    def _with_guidance(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(batch["prompt"])
        return {
            "prompt": batch["prompt"], "negative": np.repeat(self._empty, count, 0),
            "guidance": np.full(count, self.config.sample.guidance, np.float32),
        }

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        title = "denoised" if "noise_error" in outputs else "of the caption alone"
        return {
            "picture": levels.of_picture(batch["image"]), title: levels.of_picture(outputs["image"])
        }


def steps_of(schedule: Schedule, part: int) -> str:
    """Returns the steps of a part of the schedule in words, "250-499"; see `by_part`."""
    steps = schedule.num_train_timesteps
    return f"{part * steps // PARTS}-{(part + 1) * steps // PARTS - 1}"


def by_part(values: jax.Array, time: jax.Array, steps: int) -> dict[str, jax.Array]:
    """Returns sums and counts (PARTS,) of values (B,), by the part of the schedule of `time`."""
    member = jax.nn.one_hot(time * PARTS // steps, PARTS)
    return {"parts/errors": values @ member, "parts/counts": member.sum(0)}
