"""SCAT's training step (section "training" of the paper; order of the published code).

One forward pass of the generator; the discriminator's losses on the detached composite and its
update; the generator's losses with the updated discriminator, on the same prediction; one joint
update of the generator and the MLP. `Settings.simultaneous` gives AOT-GAN's step instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxedit.layers import spectral
from jaxedit.method import Batch, State, Sums
from jaxedit.methods.scat.objectives import Objectives, Settings
from jaxedit.optim import gradients

PyTree = Any


def initial_variables(
    networks: Mapping[str, nn.Module], rng: jax.Array, size: tuple[int, int]
) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
    """Returns (params, stats) of freshly initialised networks. Pure.

    Args:
      networks: `generator`, and where they are used `discriminator` and `head`.
      rng: a key.
      size: height and width of the training images.

    Returns:
      params: network name -> parameters; stats: `discriminator` -> spectral vectors, {} where
      there is no spectral normalisation.
    """
    rngs = dict(zip(("generator", "discriminator", "head"), jax.random.split(rng, 3), strict=True))
    image, mask = jnp.zeros((1, *size, 3)), jnp.zeros((1, *size, 1))
    params = {"generator": networks["generator"].init(rngs["generator"], image, mask)["params"]}
    stats = {}
    if "discriminator" in networks:
        network = networks["discriminator"]
        variables = network.init(rngs["discriminator"], image)
        params["discriminator"] = variables["params"]
        stats["discriminator"] = variables.get(spectral.COLLECTION, {})
    if "head" in networks:
        pooled = jnp.zeros((1, 16 * networks["discriminator"].channels))
        params["head"] = networks["head"].init(rngs["head"], pooled)["params"]
    return params, stats


def initial_optimizer_states(
    params: Mapping[str, PyTree], optimizers: Mapping[str, optax.GradientTransformation]
) -> dict[str, PyTree]:
    """Returns `State.opt`: `generator` for generator and head together, `discriminator`."""
    states = {"generator": optimizers["generator"].init(_generator_group(params))}
    if "discriminator" in params:
        states["discriminator"] = optimizers["discriminator"].init(params["discriminator"])
    return states


def training_step(
    state: State,
    batch: Batch,
    *,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, optax.GradientTransformation],
    settings: Settings,
    axis_name: str | None = None,
) -> tuple[State, Sums]:
    """Returns the state after one training step and what to log. Pure; nothing in it is random.

    Args:
      state: `params` and `stats` as `initial_variables`, `opt` as `initial_optimizer_states`;
        `frozen["vgg19"]` with VGG-19's variables where the settings use it; `ema["generator"]`
        where `ema_decay` is not 0.
      batch: `image` (B, H, W, 3) in [-1, 1] and `mask` (B, H, W, 1), 1 = hole.
      networks: see `Objectives`.
      optimizers: `generator` (for generator and head) and `discriminator`.
      settings: weights and alternatives.
      axis_name: the mapped axis under pmap; gradients are averaged over it.

    Returns:
      The state, `step` unchanged, and Sums: `loss/<term>`, each weighted as in its total, and
      `grad_norm/<network>`.
    """
    objectives = Objectives(networks, settings)
    data = (batch["image"], batch["mask"])
    if settings.simultaneous and settings.trains_discriminator:
        state, sums = _simultaneous(state, data, objectives, optimizers, axis_name)
    elif settings.accumulate == 1:
        state, sums = _alternating(state, data, objectives, optimizers, axis_name)
    else:
        state, sums = _accumulating(state, data, objectives, optimizers, axis_name)
    if settings.ema_decay:
        state = state.replace(ema=_average(state, settings.ema_decay))
    return state, sums


def _alternating(state, data, objectives, optimizers, axis_name) -> tuple[State, Sums]:
    """The published step: the generator's forward pass serves both updates."""
    prediction, pull_back = jax.vjp(
        lambda params: objectives.generate(params, *data), state.params["generator"]
    )
    sums: Sums = {}
    if objectives.settings.trains_discriminator:
        (_, (terms, vectors)), gradient = jax.value_and_grad(
            objectives.discriminator, has_aux=True
        )(state.params["discriminator"], _vectors(state), prediction, *data)
        state = _update_discriminator(state, gradient, vectors, optimizers, axis_name, sums)
        sums |= _log(terms)
    (_, (terms, vectors)), (of_prediction, of_head) = jax.value_and_grad(
        objectives.generator, argnums=(0, 1), has_aux=True
    )(prediction, *_context(state), *data)
    gradient = {"generator": pull_back(of_prediction)[0], "head": of_head}
    state = _update_generator(state, gradient, vectors, optimizers, axis_name, sums)
    return state, sums | _log(terms)


def _accumulating(state, data, objectives, optimizers, axis_name) -> tuple[State, Sums]:
    """The same in two passes over micro-batches, first the discriminator's, then the generator's.

    The generator runs forward in both passes: keeping its activations of all micro-batches would
    need the memory that accumulation is to save.
    """
    steps = objectives.settings.accumulate
    sums: Sums = {}
    if objectives.settings.trains_discriminator:

        def discriminator_pass(params, vectors, part):
            prediction = objectives.generate(state.params["generator"], *part)
            (_, aux), gradient = jax.value_and_grad(objectives.discriminator, has_aux=True)(
                params, vectors, prediction, *part
            )
            return aux, gradient

        (terms, vectors), gradient = gradients.accumulate(
            discriminator_pass, state.params["discriminator"], _vectors(state), data, steps
        )
        state = _update_discriminator(state, gradient, vectors, optimizers, axis_name, sums)
        sums |= _log(terms)
    _, discriminator, vectors, frozen = _context(state)

    def generator_pass(params, vectors, part):
        def total(params):
            prediction = objectives.generate(params["generator"], *part)
            head = params.get("head", {})
            return objectives.generator(
                prediction, head, discriminator, vectors, frozen, *part
            )

        (_, aux), gradient = jax.value_and_grad(total, has_aux=True)(params)
        return aux, gradient

    (terms, vectors), gradient = gradients.accumulate(
        generator_pass, _generator_group(state.params), vectors, data, steps
    )
    state = _update_generator(state, gradient, vectors, optimizers, axis_name, sums)
    return state, sums | _log(terms)


def _simultaneous(state, data, objectives, optimizers, axis_name) -> tuple[State, Sums]:
    """AOT-GAN's published step: one sum of all losses is differentiated in all parameters."""
    frozen = state.frozen

    def joint_pass(params, vectors, part):
        def total(params):
            prediction = objectives.generate(params["generator"], *part)
            discriminator, head = params["discriminator"], params.get("head", {})
            of_generator, (terms, after) = objectives.generator(
                prediction, head, discriminator, vectors, frozen, *part
            )
            of_discriminator, (more, after) = objectives.discriminator(
                discriminator, after, lax.stop_gradient(prediction), *part
            )
            return of_generator + of_discriminator, (terms | more, after)

        (_, aux), gradient = jax.value_and_grad(total, has_aux=True)(params)
        return aux, gradient

    (terms, vectors), gradient = gradients.accumulate(
        joint_pass, state.params, _vectors(state), data, objectives.settings.accumulate
    )
    sums: Sums = {}
    state = _update_discriminator(
        state, gradient["discriminator"], vectors, optimizers, axis_name, sums
    )
    state = _update_generator(state, gradient, vectors, optimizers, axis_name, sums)
    return state, sums | _log(terms)


def _vectors(state: State) -> PyTree:
    return state.stats.get("discriminator", {})


def _context(state: State) -> tuple[PyTree, PyTree, PyTree, Mapping[str, PyTree]]:
    """Returns what the generator's objective takes after the prediction."""
    params = state.params
    return params.get("head", {}), params.get("discriminator", {}), _vectors(state), state.frozen


def _generator_group(params: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Returns what one optimizer trains together: the generator and, if there is one, the MLP."""
    return {name: params[name] for name in ("generator", "head") if name in params}


def _update_discriminator(state, gradient, vectors, optimizers, axis_name, sums) -> State:
    gradient = gradients.synchronise(gradient, axis_name)
    updates, opt = optimizers["discriminator"].update(
        gradient, state.opt["discriminator"], state.params["discriminator"]
    )
    params = optax.apply_updates(state.params["discriminator"], updates)
    sums["grad_norm/discriminator"] = _once(gradients.norm(gradient))
    return state.replace(
        params={**state.params, "discriminator": params},
        stats={**state.stats, "discriminator": vectors},
        opt={**state.opt, "discriminator": opt},
    )


def _update_generator(state, gradient, vectors, optimizers, axis_name, sums) -> State:
    group = _generator_group(state.params)
    gradient = gradients.synchronise({name: gradient[name] for name in group}, axis_name)
    updates, opt = optimizers["generator"].update(gradient, state.opt["generator"], group)
    group = optax.apply_updates(group, updates)
    sums["grad_norm/generator"] = _once(gradients.norm(gradient["generator"]))
    if "discriminator" in state.params:
        state = state.replace(stats={**state.stats, "discriminator": vectors})
    return state.replace(
        params={**state.params, **group}, opt={**state.opt, "generator": opt}
    )


def _average(state: State, decay: float) -> dict[str, PyTree]:
    average = optax.incremental_update(
        state.params["generator"], state.ema["generator"], step_size=1 - decay
    )
    return {**state.ema, "generator": average}


def _log(terms: Mapping[str, jax.Array]) -> Sums:
    return {f"loss/{name}": _once(value) for name, value in terms.items()}


def _once(value: jax.Array) -> tuple[jax.Array, jax.Array]:
    return value, jnp.ones((), jnp.float32)
