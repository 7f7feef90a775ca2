"""Noise schedules of diffusion (Ho et al., 2020; Nichol & Dhariwal, 2021) and the levels of DDIM.

Symbols: abar_t is the share of signal (variance) at step t,
z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) e with normal noise e.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice, did_you_mean

SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
SPACINGS = ("leading", "trailing", "linspace")
# Keys of published files that our samplers need not know, and those that must have one value.
_NOTES = (
    "_class_name", "_diffusers_version", "skip_prk_steps", "clip_sample_range",
    "dynamic_thresholding_ratio", "sample_max_value", "variance_type", "interpolation_type",
    "timestep_type", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
    "sigma_min", "sigma_max", "solver_order", "solver_type", "algorithm_type",
    "lower_order_final", "euler_at_final", "use_lu_lambdas", "lambda_min_clipped",
    "final_sigmas_type",
)
_FIXED = {"clip_sample": (False,), "thresholding": (False,), "trained_betas": (None, [])}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A noise schedule; the defaults are Stable Diffusion 1.x's.

    Attributes:
      num_train_timesteps: steps of training, T.
      beta_start, beta_end: variance of noise added by the first and the last step.
      beta_schedule: "scaled_linear" (squares of equal steps), "linear", or "squaredcos_cap_v2",
        which has no need of `beta_start` and `beta_end`.
      prediction_type: what the network predicts: the noise e ("epsilon"), z_0 ("sample") or
        sqrt(abar) e - sqrt(1 - abar) z_0 ("v_prediction").
      set_alpha_to_one: the level below the first step is free of noise, not that of step 0.
      steps_offset: added to the time steps of "leading" spacing.
      timestep_spacing: which of the T steps are sampled, see `timesteps`.
      rescale_betas_zero_snr: the last step is pure noise (Lin et al., 2024).
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    prediction_type: str = "epsilon"
    set_alpha_to_one: bool = False
    steps_offset: int = 1
    timestep_spacing: str = "leading"
    rescale_betas_zero_snr: bool = False

    def __post_init__(self):
        check_choice("beta_schedule", self.beta_schedule, SCHEDULES)
        check_choice("prediction_type", self.prediction_type, PREDICTIONS)
        check_choice("timestep_spacing", self.timestep_spacing, SPACINGS)

    @classmethod
    def from_published(
        cls, published: Mapping[str, Any], where: str = "scheduler_config.json"
    ) -> Schedule:
        """Returns what a published `scheduler/scheduler_config.json` of any sampler describes.

        What a file leaves out is the published library's default of that sampler.

        Raises:
          UserError: it describes a schedule that this is not.
        """
        # The library's own defaults, where Stable Diffusion's files say otherwise.
        ddim = "DDIM" in str(published.get("_class_name", "DDIM"))
        chosen = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear",
                  "steps_offset": 0, "set_alpha_to_one": ddim}
        fields = {field.name for field in dataclasses.fields(cls)}
        for key, value in published.items():
            if key in fields:
                chosen[key] = value
            elif key in _FIXED:
                if value not in _FIXED[key]:
                    raise UserError(f"{where}: {key} is {value!r}; samplers here have "
                                    f"{_FIXED[key][0]!r} alone.")
            elif key not in _NOTES:
                raise UserError(f"{where}: {key!r} is not known of a schedule."
                                + did_you_mean(key, fields))
        try:
            return cls(**chosen)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    @functools.cached_property
    def betas(self) -> np.ndarray:
        """Variance of the noise that each step adds, (T,) float64."""
        count = self.num_train_timesteps
        if self.beta_schedule == "linear":
            betas = np.linspace(self.beta_start, self.beta_end, count)
        elif self.beta_schedule == "scaled_linear":
            betas = np.linspace(self.beta_start**0.5, self.beta_end**0.5, count) ** 2
        else:
            share = lambda at: math.cos((at + 0.008) / 1.008 * math.pi / 2) ** 2
            betas = np.array([
                min(1 - share((t + 1) / count) / share(t / count), 0.999) for t in range(count)
            ])
        return _without_signal_at_last(betas) if self.rescale_betas_zero_snr else betas

    @functools.cached_property
    def signal(self) -> np.ndarray:
        """abar of each step, (T,) float32."""
        return np.cumprod(1 - self.betas).astype(np.float32)

    @property
    def first_signal(self) -> float:
        """abar of the level below the first step."""
        return 1.0 if self.set_alpha_to_one else float(self.signal[0])

    def signal_at(self, time: jax.Array) -> jax.Array:
        """Returns abar of steps of any shape; of negative ones, `first_signal`."""
        time = jnp.asarray(time)
        known = jnp.asarray(self.signal)[jnp.clip(time, 0, self.num_train_timesteps - 1)]
        return jnp.where(time < 0, self.first_signal, known)

    def add_noise(self, latents: jax.Array, noise: jax.Array, time: jax.Array) -> jax.Array:
        """Returns z_t of z_0: latents and noise (B, ...), steps (B,) or one for all."""
        share = per_sample(self.signal_at(time), latents)
        return jnp.sqrt(share) * latents + jnp.sqrt(1 - share) * noise

    def target(self, latents: jax.Array, noise: jax.Array, time: jax.Array) -> jax.Array:
        """Returns what the network is to predict, given z_0 and e; shapes as `add_noise`."""
        if self.prediction_type == "epsilon":
            return noise
        if self.prediction_type == "sample":
            return latents
        share = per_sample(self.signal_at(time), latents)
        return jnp.sqrt(share) * noise - jnp.sqrt(1 - share) * latents

    def split(
        self, prediction: jax.Array, latents: jax.Array, share: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns z_0 and e as the network predicts them of z_t.

        Args:
          prediction, latents: (B, ...), what the network said of z_t, and z_t.
          share: abar of the level of `latents`, (B,) or one for all.
        """
        share = per_sample(share, latents)
        signal, spread = jnp.sqrt(share), jnp.sqrt(1 - share)
        if self.prediction_type == "epsilon":
            return (latents - spread * prediction) / signal, prediction
        if self.prediction_type == "sample":
            return prediction, (latents - signal * prediction) / spread
        return signal * latents - spread * prediction, signal * prediction + spread * latents

    def stride(self, steps: int) -> int:
        """Returns how many training steps one of `steps` sampling steps moves."""
        return self.num_train_timesteps // steps

    def timesteps(self, steps: int) -> np.ndarray:
        """Returns the steps at which a sampler of `steps` steps evaluates, descending, int32.

        "leading" counts multiples of the stride from `steps_offset`, "trailing" from the last step
        down, "linspace" spreads them over all.

        Raises:
          UserError: there are not so many steps, or the offset leads past the last one.
        """
        count = self.num_train_timesteps
        if not 1 <= steps <= count:
            raise UserError(f"Sampling in {steps} steps: it must be 1 to {count}.")
        if self.timestep_spacing == "leading":
            found = (np.arange(steps) * self.stride(steps))[::-1] + self.steps_offset
        elif self.timestep_spacing == "trailing":
            found = np.round(np.arange(count, 0, -count / steps)) - 1
        else:
            found = np.round(np.linspace(0, count - 1, steps))[::-1]
        if found[0] >= count:
            raise UserError(
                f"Sampling in {steps} steps with steps_offset={self.steps_offset} leads to step "
                f"{int(found[0])} of {count}. Take fewer steps."
            )
        return found.astype(np.int32)


def per_sample(values: jax.Array, like: jax.Array) -> jax.Array:
    """(B,) -> (B, 1, ..., 1), with as many axes as `like`; one value stays as it is."""
    return values.reshape(values.shape + (1,) * (like.ndim - 1)) if values.ndim else values


def _without_signal_at_last(betas: np.ndarray) -> np.ndarray:
    """Returns betas after which nothing of the signal is left (Lin et al., 2024, algorithm 1)."""
    root = np.sqrt(np.cumprod(1 - betas))
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    share = np.square(root)
    return 1 - np.concatenate([share[:1], share[1:] / share[:-1]])
