"""What the generator that SDIC inverts is trained for: StyleGAN2's four objectives.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, in the form of the
PyTorch code whose checkpoints SDIC builds on: non-saturating logistic losses, R1 in the real
pictures before augmentation, path lengths in the codes of a smaller batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.losses import adversarial, gradient_penalty
from jaxedit.models.stylegan2 import augmentation
from jaxedit.models.stylegan2.discriminator import Discriminator
from jaxedit.models.stylegan2.generator import NOISE, Generator, draw_noise
from jaxedit.optim import gradients
from jaxedit.state import State

PyTree = Any
Result = tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, PyTree]]]
GENERATOR, DISCRIMINATOR = "generator", "discriminator"
# What is carried from step to step, in `State.extra`.
PATH_LENGTH, AVERAGE, AUGMENTATION = "path_length", "average", "augmentation"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Weights of the objectives, and how often those that are not at every step are.

    Attributes:
      mixing: probability that the pictures of a batch have two codes each.
      r1, r1_every: weight, and steps from one to the next.
      path_length, path_length_every: likewise.
      path_length_share: pictures of a batch for each one whose path length is taken.
      path_length_decay: of the running mean.
    """

    mixing: float
    r1: float
    r1_every: int
    path_length: float
    path_length_every: int
    path_length_share: int
    path_length_decay: float


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How pictures are augmented before the discriminator sees them.

    Attributes:
      pipe: one of `augmentation.PIPES`, or "none".
      target, every, speed: as of `augmentation.adapted`; a target of 0 leaves the strength alone.
    """

    pipe: str
    target: float
    every: int
    speed: float

    @property
    def on(self) -> bool:
        return self.pipe != "none"

    def __call__(
        self, image: jax.Array, key: jax.Array, extra: Mapping[str, PyTree]
    ) -> jax.Array:
        """Returns the pictures as the discriminator is to see them."""
        if not self.on:
            return image
        return augmentation.augment(image, key, extra[AUGMENTATION]["strength"], self.pipe)


@dataclasses.dataclass(frozen=True)
class Objectives:
    """The objectives of two networks: each is differentiated in its first argument.

    They take that network's parameters, the state (for everything else), what of `State.extra` is
    handed on, a key and real pictures, and return (what is minimised, (terms for the log, `extra`
    after it)).

    Attributes:
      generator, discriminator: the networks.
      settings: weights.
      augment: what is done to pictures that the discriminator sees.
      axis_name: the mapped axis under pmap, for what all devices must agree on.
    """

    generator: Generator
    discriminator: Discriminator
    settings: Settings
    augment: Augmentation
    axis_name: str | None = None

    def judge(
        self, params: PyTree, state: State, extra: Mapping[str, PyTree], key: jax.Array,
        image: jax.Array,
    ) -> Result:
        """The discriminator `params` tells real pictures from those of the generator."""
        generator, keys = variables(state, state.params[GENERATOR]), jax.random.split(key, 3)
        fake = lax.stop_gradient(self.draw(generator, keys[0], len(image)))
        real_scores = self.score(params, self.augment(image, keys[1], extra))
        fake_scores = self.score(params, self.augment(fake, keys[2], extra))
        loss = adversarial.discriminator_loss("nsgan", real_scores, fake_scores)
        terms = {
            "loss/discriminator": loss, "scores/real": real_scores.mean(),
            "scores/fake": fake_scores.mean(), "signs/real": jnp.sign(real_scores).mean(),
        }
        adapted = self._adapted(extra, real_scores)
        if self.augment.on:
            terms["augmentation"] = adapted[AUGMENTATION]["strength"]
        return loss, (terms, adapted)

    def judge_penalty(
        self, params: PyTree, state: State, extra: Mapping[str, PyTree], key: jax.Array,
        image: jax.Array,
    ) -> Result:
        """R1 of the discriminator `params`, for all the steps up to the next one.

        It is taken in the pictures as they are before they are augmented.
        """
        del state
        settings = self.settings
        penalty = gradient_penalty.r1(
            lambda x: self.score(params, self.augment(x, key, extra)), image
        )
        loss = settings.r1 / 2 * settings.r1_every * penalty
        return loss, ({"penalty/r1": penalty}, dict(extra))

    def deceive(
        self, params: PyTree, state: State, extra: Mapping[str, PyTree], key: jax.Array,
        image: jax.Array,
    ) -> Result:
        """Pictures of the generator `params` are to pass the discriminator."""
        keys = jax.random.split(key)
        fake = self.draw(variables(state, params), keys[0], len(image))
        scores = self.score(state.params[DISCRIMINATOR], self.augment(fake, keys[1], extra))
        loss = adversarial.generator_loss("nsgan", scores)
        return loss, ({"loss/generator": loss}, dict(extra))

    def path_penalty(
        self, params: PyTree, state: State, extra: Mapping[str, PyTree], key: jax.Array,
        image: jax.Array,
    ) -> Result:
        """Codes of the generator `params` are to move pictures equally far."""
        settings, generator = self.settings, variables(state, params)
        count = max(1, len(image) // settings.path_length_share)
        code_key, noise_key, direction_key = jax.random.split(key, 3)
        codes = self.codes(generator, code_key, count)
        noise = draw_noise(noise_key, self.generator.size, count)
        lengths = gradient_penalty.path_lengths(
            lambda codes: self.synthesise(generator, codes, noise), codes,
            jax.random.normal(direction_key, (count, *image.shape[1:])),
        )
        penalty, moved = gradient_penalty.path_length_penalty(
            lengths, extra[PATH_LENGTH], settings.path_length_decay
        )
        loss = settings.path_length * settings.path_length_every * penalty
        terms = {"penalty/path_length": penalty,
                 "path_length": gradients.synchronise(lengths.mean(), self.axis_name)}
        moved = gradients.synchronise(moved, self.axis_name)
        return loss, (terms, {**extra, PATH_LENGTH: moved})

    def _adapted(
        self, extra: Mapping[str, PyTree], real_scores: jax.Array
    ) -> dict[str, PyTree]:
        if not self.augment.on or not self.augment.target:
            return dict(extra)
        signs = lax.stop_gradient(jnp.sign(real_scores).mean())
        count = len(real_scores)
        if self.axis_name is not None:
            count *= lax.axis_size(self.axis_name)
        found = augmentation.adapted(
            extra[AUGMENTATION], count * gradients.synchronise(signs, self.axis_name), count,
            target=self.augment.target, every=self.augment.every, speed=self.augment.speed,
        )
        return {**extra, AUGMENTATION: found}

    def draw(self, generator: PyTree, key: jax.Array, count: int) -> jax.Array:
        """Returns pictures of drawn codes and noise, (count, size, size, 3)."""
        code_key, noise_key = jax.random.split(key)
        noise = draw_noise(noise_key, self.generator.size, count)
        return self.synthesise(generator, self.codes(generator, code_key, count), noise)

    def codes(self, generator: PyTree, key: jax.Array, count: int) -> jax.Array:
        """Returns mapped codes (count, n, W).

        With probability `mixing` all those of the batch are of one random vector up to some place,
        of another from there on.
        """
        total, width = self.generator.codes, self.generator.style_width
        keys = jax.random.split(key, 4)
        first, second = (
            self.map(generator, jax.random.normal(key, (count, width))) for key in keys[:2]
        )
        mixed = jax.random.bernoulli(keys[2], self.settings.mixing)
        place = jax.random.randint(keys[3], (), 1, total)
        own = jnp.arange(total) < jnp.where(mixed, place, total)
        return jnp.where(own[:, None], first[:, None], second[:, None])

    def map(self, generator: PyTree, z: jax.Array) -> jax.Array:
        """(B, W) -> (B, W)."""
        return self.generator.apply(generator, z, method="map")

    def synthesise(self, generator: PyTree, codes: jax.Array, noise: Any) -> jax.Array:
        """(B, n, W), noise -> (B, size, size, 3)."""
        return self.generator.apply(generator, codes, noise, method="synthesise")[0]

    def score(self, params: PyTree, image: jax.Array) -> jax.Array:
        """(B, size, size, 3) -> (B, 1)."""
        return self.discriminator.apply({"params": params}, image)


def variables(state: State, params: PyTree) -> dict[str, PyTree]:
    """Returns a generator's variables: parameters, and the state's stored noise."""
    return {"params": params, NOISE: state.stats[GENERATOR]}


def schedule(settings: Settings, step: int) -> tuple[str, ...]:
    """Returns the phases of a step, in the published order."""
    every = lambda weight, steps: weight > 0 and step % steps == 0
    regular = ("d_reg",) if every(settings.r1, settings.r1_every) else ()
    lengths = ("g_reg",) if every(settings.path_length, settings.path_length_every) else ()
    return ("d", *regular, "g", *lengths)


def objective(objectives: Objectives, phase: str) -> Callable[..., Result]:
    """Returns what a phase minimises."""
    return {
        "d": objectives.judge, "d_reg": objectives.judge_penalty,
        "g": objectives.deceive, "g_reg": objectives.path_penalty,
    }[phase]
