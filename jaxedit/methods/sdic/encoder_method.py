"""Training of e4e, the encoder that SDIC starts from (Tov et al., SIGGRAPH 2021), as a `Method`.

The first code is learnt alone, for all layers; what the others differ by it is switched on one by
one, and held small. A discriminator tells the encoder's codes from those of the mapping network.

What a later stage takes from it:

    STAGE:params/encoder  -> frozen/encoder/params
    STAGE:stats/encoder   -> frozen/encoder/batch_stats
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax

from jaxedit.errors import UserError
from jaxedit.layers.normalization import COLLECTION
from jaxedit.losses import gradient_penalty
from jaxedit.method import Batch, State, Sums
from jaxedit.methods.sdic import latent_discriminator, losses
from jaxedit.methods.sdic.inversion import Noise
from jaxedit.methods.sdic.inverting import AVERAGE, Inverting
from jaxedit.methods.sdic.latent_discriminator import LatentDiscriminator
from jaxedit.models.stylegan2.generator import code_count
from jaxedit.optim import gradients
from jaxedit.optim.ranger import ranger

PyTree = Any
ENCODER, DISCRIMINATOR = "encoder", "latent_discriminator"
REAL, FAKE = "real_pool", "fake_pool"


class EncoderMethod(Inverting):
    """Trains an `e4e.Encoder` for a frozen generator."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        encoder = config.encoder
        last = encoder.delta_start + encoder.delta_every * (code_count(config.network.size) - 2)
        if 0 < config.train.steps <= last:
            raise UserError(
                f"train.steps={config.train.steps}: the last code is switched on at step {last}, "
                "and later stages use all codes. Train longer, or lower encoder.delta_start and "
                "encoder.delta_every."
            )
        if axis_name is not None and self._adversarial and encoder.pool:
            raise UserError(
                "sharding.mode=pmap: every replica would have pools of its own. Use jit, or "
                "encoder.pool=0."
            )

    def networks(self) -> dict[str, nn.Module]:
        networks = {ENCODER: self.inversion.encoder}
        if self._adversarial:
            networks[DISCRIMINATOR] = LatentDiscriminator(self.config.encoder.layers)
        return networks

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns Ranger for the encoder, Adam for the discriminator."""
        del total_steps
        optim = self.config.optim
        optimizers = {ENCODER: ranger(
            optim.lr, betas=tuple(optim.betas), epsilon=optim.eps,
            weight_decay=optim.weight_decay, lookahead=optim.lookahead,
        )}
        if self._adversarial:
            optimizers[DISCRIMINATOR] = optax.adam(self.config.encoder.discriminator_lr)
        return optimizers

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        keys, inversion = jax.random.split(rng, 3), self.inversion
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        encoder = inversion.encoder.init(keys[0], image)
        params, extra = {ENCODER: encoder["params"]}, {}
        width = inversion.generator.style_width
        if self._adversarial:
            network = self.networks()[DISCRIMINATOR]
            params[DISCRIMINATOR] = network.init(keys[1], jnp.zeros((1, width)))["params"]
            pool = lambda: latent_discriminator.empty_pool(self.config.encoder.pool, width)
            extra = {REAL: pool(), FAKE: pool()}
        return State(
            step=jnp.zeros((), jnp.int32), params=params, stats={ENCODER: encoder[COLLECTION]},
            frozen=self.fresh_frozen(keys[2]), extra=extra,
        )

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the networks that the configuration names; the trunk is ArcFace's at first."""
        values = super().starting_values()
        if name := self.config.encoder.initial:
            values += (
                (f"weights:{name}:params/trunk", f"params/{ENCODER}/trunk"),
                (f"weights:{name}:{COLLECTION}/trunk", f"stats/{ENCODER}/trunk"),
            )
        return values

    def phases(self, step: int) -> tuple[str, ...]:
        """Returns "d" or, every `r1_every` steps, "d_reg", and "e"; without discriminator "e"."""
        if not self._adversarial:
            return ("e",)
        return ("d" if step % self.config.encoder.r1_every else "d_reg", "e")

    def active(self, step: jax.Array) -> jax.Array:
        """Returns how many codes after the first differ from it at a step, int32 ()."""
        encoder, most = self.config.encoder, code_count(self.config.network.size) - 1
        since = step - encoder.delta_start
        if not encoder.delta_every:
            return jnp.where(since >= 0, most, 0)
        return jnp.where(since >= 0, jnp.minimum(since // encoder.delta_every + 1, most), 0)

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        if phase == "e":
            return self._train_encoder(state, batch["image"], rng)
        return self._train_discriminator(state, batch["image"], rng, phase == "d_reg")

    def found(
        self, state: State, image: jax.Array, noise: tuple[Noise, Noise]
    ) -> dict[str, jax.Array]:
        """Returns what the encoder finds: nothing is compensated."""
        variables = {"params": state.params[ENCODER], COLLECTION: state.stats[ENCODER]}
        codes = self.inversion.encoder.apply(
            variables, image, train=False, deltas=self.active(state.step)
        ) + state.frozen[AVERAGE]
        picture, feature = self.inversion.generate(state.frozen, codes, noise[0])
        return {
            "codes": codes, "compensated_codes": codes, "feature": feature,
            "compensated_feature": feature, "picture": picture, "initial_picture": picture,
        }

    @property
    def predicts_discrepancy(self) -> bool:
        return False

    def _train_encoder(
        self, state: State, image: jax.Array, rng: jax.Array
    ) -> tuple[State, Sums]:
        inversion, config = self.inversion, self.config.encoder
        active = self.active(state.step)

        def loss(params, stats, key, image):
            codes, stats = self._encode(params, stats, state, image)
            noise, = self.drawn_noise(key, len(image), 1)
            picture, _ = inversion.generate(state.frozen, codes, noise)
            terms = losses.alike(
                self.settings, state.frozen, image, inversion.pooled(picture)
            )
            terms["deltas"] = config.delta_penalty * delta_norms(codes, active)
            if self._adversarial:
                scores = self.networks()[DISCRIMINATOR].apply(
                    {"params": state.params[DISCRIMINATOR]}, codes
                )[..., 0]
                used = jnp.arange(codes.shape[1]) <= active
                each = jnp.where(used, jax.nn.softplus(-scores).mean(0), 0)
                terms["adversarial"] = config.adversarial * each.sum() / (active + 1)
            total = sum(terms.values())
            return total, (terms | {"total": total}, stats)

        def value_and_grad(params, carried, part):
            stats, key = carried
            key, now = jax.random.split(key)
            (_, (terms, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(
                params, stats, now, part["image"]
            )
            return (terms, (stats, key)), gradient

        (terms, (stats, _)), gradient = gradients.accumulate(
            value_and_grad, state.params[ENCODER], (state.stats[ENCODER], rng), {"image": image},
            self.config.train.accumulate,
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        state = self._stepped(state, ENCODER, gradient).replace(stats={ENCODER: stats})
        once = jnp.ones((), jnp.float32)
        sums = {f"loss/{name}": (value, once) for name, value in terms.items()}
        sums["deltas"] = (active.astype(jnp.float32), once)
        return state, sums | {f"grad_norm/{ENCODER}": (gradients.norm(gradient), once)}

    def _train_discriminator(
        self, state: State, image: jax.Array, rng: jax.Array, penalise: bool
    ) -> tuple[State, Sums]:
        """One step on real and encoded codes, and where it is due one of the gradient penalty."""
        network, config = self.networks()[DISCRIMINATOR], self.config.encoder
        keys = jax.random.split(rng, 4)
        generator = self.inversion.generator
        z = jax.random.normal(keys[0], (len(image), generator.style_width))
        real = generator.apply(state.frozen["generator"], z, method="map")
        # As published, this pass moves the encoder's running statistics too.
        codes, stats = self._encode(state.params[ENCODER], state.stats[ENCODER], state, image)
        fake = _one_of(codes, self.active(state.step), keys[1]) if config.pool else codes[:, 0]
        real, real_pool = latent_discriminator.query(state.extra[REAL], real, keys[2])
        fake, fake_pool = latent_discriminator.query(state.extra[FAKE], fake, keys[3])

        def loss(params):
            score = lambda codes: network.apply({"params": params}, codes)
            return (jax.nn.softplus(-score(real)) + jax.nn.softplus(score(fake))).mean()

        def penalty(params):
            score = lambda codes: network.apply({"params": params}, codes)
            squared = gradient_penalty.r1(score, real)
            return config.r1 / 2 * config.r1_every * squared

        once, sums = jnp.ones((), jnp.float32), {}
        parts = {"discriminator": loss} | ({"penalty": penalty} if penalise else {})
        for name, function in parts.items():
            value, gradient = jax.value_and_grad(function)(state.params[DISCRIMINATOR])
            gradient = gradients.synchronise(gradient, self.axis_name)
            state = self._stepped(state, DISCRIMINATOR, gradient)
            sums[f"loss/{name}"] = (value, once)
        return state.replace(
            stats={ENCODER: stats}, extra={**state.extra, REAL: real_pool, FAKE: fake_pool}
        ), sums

    def _encode(
        self, params: PyTree, stats: PyTree, state: State, image: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """Returns codes (B, n, W) in training mode, and the running statistics after them."""
        codes, new = self.inversion.encoder.apply(
            {"params": params, COLLECTION: stats}, image, train=True,
            deltas=self.active(state.step), mutable=[COLLECTION],
        )
        return codes + state.frozen[AVERAGE], new[COLLECTION]

    def _stepped(self, state: State, name: str, gradient: PyTree) -> State:
        optimizer = self.optimizers(self.config.train.steps)[name]
        updates, opt = optimizer.update(gradient, state.opt[name], state.params[name])
        return state.replace(
            params={**state.params, name: optax.apply_updates(state.params[name], updates)},
            opt={**state.opt, name: opt},
        )

    @property
    def _adversarial(self) -> bool:
        return self.config.encoder.adversarial > 0


def delta_norms(codes: jax.Array, active: jax.Array) -> jax.Array:
    """Returns the sum of the mean lengths by which codes (B, n, W) differ from the first, ().

    Of the `active` ones all but the last that was switched on count, as the published loop has it.
    """
    squares = jnp.square(codes[:, 1:] - codes[:, :1]).sum(-1)
    # A root's gradient at nothing is infinite.
    lengths = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0).mean(0)
    return jnp.where(jnp.arange(1, codes.shape[1]) < active, lengths, 0).sum()


def _one_of(codes: jax.Array, active: jax.Array, rng: jax.Array) -> jax.Array:
    """Returns one of the codes (B, n, W) of each sample that are switched on, (B, W)."""
    places = jax.random.randint(rng, (len(codes),), 0, active + 1)
    return jnp.take_along_axis(codes, places[:, None, None], 1)[:, 0]
