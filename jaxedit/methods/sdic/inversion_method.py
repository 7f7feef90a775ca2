"""SDIC's training as a `Method`: DIPN and DICN learn, encoder and generator are frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxedit.layers.normalization import COLLECTION
from jaxedit.method import Batch, State, Sums
from jaxedit.methods.sdic import losses
from jaxedit.methods.sdic.inversion import Inversion, Noise
from jaxedit.methods.sdic.inverting import AVERAGE, Inverting
from jaxedit.optim import gradients
from jaxedit.optim.ranger import ranger

PyTree = Any


class InversionMethod(Inverting):
    """Trains the networks that compensate an inversion, and inverts and edits with them.

    Frozen is `encoder` (linen variables) too.
    """

    def networks(self) -> dict[str, nn.Module]:
        """Returns those that are trained."""
        inversion = self.inversion
        trained = {"dicn": inversion.dicn}
        if inversion.source == "dipn":
            trained["dipn"] = inversion.dipn
        return trained

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns Ranger for each network: it goes tensor by tensor."""
        optim = self.config.optim
        make = lambda: ranger(
            optim.lr, betas=tuple(optim.betas), epsilon=optim.eps,
            weight_decay=optim.weight_decay, lookahead=optim.lookahead,
        )
        return {name: make() for name in self.networks()}

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        inversion = self.inversion
        keys = dict(zip(("encoder", "generator", "dipn", "dicn"), jax.random.split(rng, 4),
                        strict=True))
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        frozen = self.fresh_frozen(keys["generator"])
        codes = frozen[AVERAGE][None]
        _, feature = jax.eval_shape(inversion.generate, frozen, codes)
        drawn = {"dicn": inversion.dicn.init(
            keys["dicn"], inversion.squared(image), jnp.zeros(feature.shape), codes
        )}
        if inversion.source == "dipn":
            drawn["dipn"] = inversion.dipn.init(keys["dipn"], image, image)
        state = State(
            step=jnp.zeros((), jnp.int32),
            params={name: one["params"] for name, one in drawn.items()},
            stats={name: one[COLLECTION] for name, one in drawn.items()},
            frozen={"encoder": inversion.encoder.init(keys["encoder"], image), **frozen},
        )
        return _with_encoder_statistics(state) if self._batch_encoder else state

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the published networks that the configuration names."""
        name = self.config.network.weights
        encoder = ((f"weights:{name}:encoder", "frozen/encoder"),) if name else ()
        return (*encoder, *super().starting_values())

    def init(self, rng, spec, start=()) -> State:
        state = super().init(rng, spec, start)
        told = any(value.target.startswith("stats/encoder") for value in start)
        return state if told or not self._batch_encoder else _with_encoder_statistics(state)

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del phase  # there is one
        inversion = self.inversion

        def loss(params, stats, key, image):
            noise = self.drawn_noise(key, len(image), 2)
            found, new = inversion(
                _variables(params, stats, state.frozen), image, noise, train=True,
                train_encoder=self._batch_encoder,
            )
            picture = inversion.pooled(found["picture"])
            total, terms = losses.objective(
                self.settings, state.frozen, image, picture, found
            )
            return total, (terms | {"total": total}, {**stats, **new})

        def value_and_grad(params, carried, part):
            stats, key = carried
            key, now = jax.random.split(key)
            (_, (terms, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(
                params, stats, now, part["image"]
            )
            return (terms, (stats, key)), gradient

        (terms, (stats, _)), gradient = gradients.accumulate(
            value_and_grad, state.params, (state.stats, rng), dict(batch),
            self.config.train.accumulate,
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        params, opt = {}, {}
        for name, optimizer in self.optimizers(self.config.train.steps).items():
            updates, opt[name] = optimizer.update(
                gradient[name], state.opt[name], state.params[name]
            )
            params[name] = optax.apply_updates(state.params[name], updates)
        once = jnp.ones((), jnp.float32)
        sums = {f"loss/{name}": (value, once) for name, value in terms.items()}
        sums |= {f"grad_norm/{name}": (gradients.norm(g), once) for name, g in gradient.items()}
        return state.replace(params=params, stats=stats, opt=opt), sums

    def found(
        self, state: State, image: jax.Array, noise: tuple[Noise, Noise]
    ) -> dict[str, jax.Array]:
        variables = _variables(state.params, state.stats, state.frozen)
        return self._of(state.params)(variables, image, noise)[0]

    def edited_before(
        self, state: State, found: Mapping[str, jax.Array], move: jax.Array
    ) -> jax.Array:
        """Returns pictures (B, s, s, 3) whose codes (B, n, W) were moved before they are
        compensated; `found` is what `found` returns."""
        variables = _variables(state.params, state.stats, state.frozen)
        inversion = self._of(state.params)
        return inversion.edit_before(variables, found["codes"] + move, found["discrepancy"])

    def _of(self, params: Mapping[str, PyTree]) -> Inversion:
        """Returns the networks that parameters are of: `evaluate.compare` brings those of stages
        with another source of the discrepancy, or with one path of the compensation alone."""
        inversion, has = self.inversion, set(params["dicn"])
        parts = {(True, True): "both", (True, False): "feature", (False, True): "codes"}
        found = parts["conv_layer1_0" in has, "aff1d" in has]
        gate = "att_0" in has if found != "codes" else inversion.dicn.gate
        return dataclasses.replace(
            inversion, dicn=inversion.dicn.clone(parts=found, gate=gate),
            source="dipn" if "dipn" in params else "residual",
        )

    @property
    def _batch_encoder(self) -> bool:
        """Whether the frozen encoder normalises by the batch, and its statistics drift."""
        return self.config.network.encoder_norm == "batch"


def _variables(params: PyTree, stats: PyTree, frozen: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Returns the networks' variables, as `Inversion` takes them."""
    trained = {
        name: {"params": one, COLLECTION: stats[name]} for name, one in params.items()
    }
    encoder = frozen["encoder"]
    if "encoder" in stats:
        encoder = {**encoder, COLLECTION: stats["encoder"]}
    return {
        **trained, "encoder": encoder, "generator": frozen["generator"],
        "average": frozen[AVERAGE],
    }


def _with_encoder_statistics(state: State) -> State:
    """Gives the state the running statistics that the encoder comes with, to drift from."""
    return state.replace(stats={**state.stats, "encoder": state.frozen["encoder"][COLLECTION]})
