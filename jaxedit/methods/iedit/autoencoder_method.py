"""Training of the autoencoder as a `Method`: `autoencoder_loss` says for what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax import lax

from jaxedit.data import transforms
from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.host.names import check_choice
from jaxedit.layers.randomness import sample_keys
from jaxedit.losses import adversarial
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.iedit import autoencoder_loss, latent_scale, optimization
from jaxedit.methods.iedit.data import Pictures
from jaxedit.models import autoencoder_kl, vgg
from jaxedit.models.autoencoder_kl import AutoencoderKL
from jaxedit.models.diffusion.configs import AutoencoderConfig
from jaxedit.models.diffusion.patch_discriminator import PatchDiscriminator
from jaxedit.optim import gradients
from jaxedit.task import Image

PyTree = Any
NETWORK, SCALAR, JUDGE, FEATURES = "autoencoder", "log_variance", "discriminator", "features"
FEATURES_OF_LOSS = ("lpips", "random_features")
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def description(config: ml_collections.ConfigDict) -> AutoencoderConfig:
    """Returns the autoencoder that `config.autoencoder` describes.

    Its scale is 1: that of one's own latents is measured, see `latent_scale`.
    """
    autoencoder = config.autoencoder
    count = len(autoencoder.channels)
    return AutoencoderConfig(
        latent_channels=autoencoder.latent_channels,
        block_out_channels=tuple(autoencoder.channels),
        down_block_types=("DownEncoderBlock2D",) * count,
        up_block_types=("UpDecoderBlock2D",) * count,
        layers_per_block=autoencoder.layers,
        norm_num_groups=autoencoder.groups,
        scaling_factor=1.0,
        mid_block_add_attention=autoencoder.attention,
    )


class Autoencoder(Method):
    """Trains an `AutoencoderKL`, from `loss.adversarial_start` on against a discriminator."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        factor = description(config).factor
        if config.image_size % factor:
            raise UserError(
                f"image_size={config.image_size}: it must be a multiple of {factor}, as "
                f"autoencoder.channels has {len(config.autoencoder.channels)} levels."
            )
        if config.loss.perceptual:
            check_choice("For an autoencoder, loss.features", config.loss.features,
                         FEATURES_OF_LOSS)

    @property
    def _adversarial(self) -> bool:
        """Whether there is ever a discriminator."""
        loss = self.config.loss
        return loss.adversarial > 0 and loss.adversarial_start < self.config.train.steps

    def networks(self) -> dict[str, nn.Module]:
        """Returns autoencoder and learned scalar, and the discriminator where it takes part."""
        config, dtype = self.config, DTYPES[self.config.precision.compute]
        networks = {
            NETWORK: AutoencoderKL(description(config), config.remat, dtype),
            SCALAR: autoencoder_loss.LogVariance(),
        }
        if self._adversarial:
            discriminator = config.discriminator
            networks[JUDGE] = PatchDiscriminator(
                discriminator.channels, discriminator.layers, self.axis_name, dtype
            )
        return networks

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns AdamW for the autoencoder with its scalar, and for the discriminator."""
        names = (NETWORK, JUDGE) if self._adversarial else (NETWORK,)
        return {name: optimization.adamw(self.config.optim, total_steps) for name in names}

    def optimizer_states(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        optimizers = self.optimizers(self.config.train.steps)
        return {
            name: tx.init(_group(params) if name == NETWORK else params[name])
            for name, tx in optimizers.items()
        }

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {NETWORK: params[NETWORK]} if self.config.optim.ema else {}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        side = self.config.image_size
        return {"image": jax.ShapeDtypeStruct((batch_size, side, side, 3), jnp.float32)}

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        networks = self.networks()
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        keys = jax.random.split(rng)
        params = {
            NETWORK: networks[NETWORK].init(keys[0], image)["params"],
            SCALAR: networks[SCALAR].init(keys[0])["params"],
        }
        stats = {}
        if self._adversarial:
            judge = networks[JUDGE].init(keys[1], image)
            params[JUDGE], stats[JUDGE] = judge["params"], judge["batch_stats"]
        frozen = {}
        loss = self.config.loss
        if loss.perceptual and loss.features == "random_features":
            network = autoencoder_loss.random_network(loss.feature_channels)
            frozen[FEATURES] = vgg.random_features(network)
        measured = latent_scale.start()
        extra = {"latents": measured, "latent_scale": latent_scale.scale(measured)}
        return State(step=jnp.zeros((), jnp.int32), params=params, stats=stats, frozen=frozen,
                     extra=extra)

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns LPIPS' weights where the loss uses them."""
        loss = self.config.loss
        if not loss.perceptual or loss.features != "lpips":
            return ()
        return (("weights:vgg16", f"frozen/{FEATURES}/backbone"),
                ("weights:lpips-vgg", f"frozen/{FEATURES}/heads"))

    def phases(self, step: int) -> tuple[str, ...]:
        """Returns ("alone",), and from the discriminator's start on ("adversarial", "judge")."""
        started = self._adversarial and step >= self.config.loss.adversarial_start
        return ("adversarial", "judge") if started else ("alone",)

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        if phase == "judge":
            return self._update_judge(state, batch, rng)
        return self._update_autoencoder(state, batch, rng, judged=phase == "adversarial")

    def _update_autoencoder(self, state, batch, rng, *, judged):
        run = lambda params, carried, part: self._gradient(state, params, carried, part, judged)
        group = _group(state.params)
        (terms, (_, measured)), gradient = gradients.accumulate(
            run, group, (rng, state.extra["latents"]), dict(batch), self.config.train.accumulate
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[NETWORK]
        updates, opt = optimizer.update(gradient, state.opt[NETWORK], group)
        group = optax.apply_updates(group, updates)
        scale = latent_scale.scale(measured)
        state = state.replace(
            params={**state.params, **group},
            opt={**state.opt, NETWORK: opt},
            extra={"latents": measured, "latent_scale": scale},
        )
        if self.config.optim.ema:
            average = optimization.average(
                state.ema[NETWORK], group[NETWORK], self.config.optim.ema, state.step
            )
            state = state.replace(ema={NETWORK: average})
        terms = {f"loss/{name}": value for name, value in terms.items()}
        terms |= {f"grad_norm/{NETWORK}": gradients.norm(gradient), "latent_scale": scale}
        return state, _once(terms)

    def _gradient(self, state, params, carried, batch, judged):
        """Returns ((terms, carried), gradients) of one micro-batch.

        The decoder runs backwards once: the weight of the adversarial term is found in its last
        layer alone.
        """
        (rng, measured), image, loss = carried, batch["image"], self.config.loss
        key, rng = jax.random.split(rng)
        (made, moments, features, latents), pull_back = jax.vjp(
            lambda params: self._forward(params, image, key), params[NETWORK]
        )
        measured = latent_scale.measure(measured, latents, self.axis_name)
        distance = self._distance(state.frozen)
        reconstruction = lambda made, scalar: autoencoder_loss.reconstruction(
            image, made, scalar["value"], distance, loss.perceptual
        )
        (total, terms), (of_made, of_scalar) = jax.value_and_grad(
            reconstruction, argnums=(0, 1), has_aux=True
        )(made, params[SCALAR])
        kl, of_moments = jax.value_and_grad(
            lambda moments: autoencoder_kl.divergence(moments).mean()
        )(moments)
        terms |= {"reconstruction": total, "kl": kl, "log_variance": params[SCALAR]["value"]}
        if judged:
            deceive = lambda made: adversarial.generator_loss("hinge", self._judge(state, made)[0])
            terms["adversarial"], of_judged = jax.value_and_grad(deceive)(made)
            kernel = params[NETWORK]["decoder"]["conv_out"]["kernel"]
            lengths = (autoencoder_loss.last_layer_norm(features, kernel, cotangent)
                       for cotangent in (of_made, of_judged))
            weight = loss.adversarial * autoencoder_loss.balance(*lengths)
            of_made += weight * of_judged
            terms["adversarial_weight"] = weight
        (gradient,) = pull_back((of_made, loss.kl * of_moments, jnp.zeros_like(features),
                                 jnp.zeros_like(latents)))
        return (terms, (rng, measured)), {NETWORK: gradient, SCALAR: of_scalar}

    def _forward(self, params, image, rng):
        """Returns the picture, the moments, what the last layer reads, and the latents."""
        network, variables = self.networks()[NETWORK], {"params": params}
        moments = network.apply(variables, image, method="encode")
        latents = autoencoder_kl.draw(moments, noise(rng, moments))
        made, captured = network.apply(
            variables, latents, method="decode",
            capture_intermediates=lambda module, _: module.name == "conv_norm_out",
        )
        (features,) = captured["intermediates"]["decoder"]["conv_norm_out"]["__call__"]
        return made, moments, features, latents

    def _judge(self, state, image, params=None):
        """Returns logits, and the discriminator's batch statistics after them."""
        variables = {
            "params": state.params[JUDGE] if params is None else params,
            "batch_stats": state.stats[JUDGE],
        }
        logits, changed = self.networks()[JUDGE].apply(
            variables, image, train=True, mutable=["batch_stats"]
        )
        return logits, changed["batch_stats"]

    def _update_judge(self, state, batch, rng):
        def run(params, carried, part):
            rng, stats = carried
            key, rng = jax.random.split(rng)
            made, *_ = self._forward(state.params[NETWORK], part["image"], key)
            made = lax.stop_gradient(made)

            def loss(params):
                now = state.replace(stats={JUDGE: stats})
                real, after = self._judge(now, part["image"], params)
                fake, after = self._judge(now.replace(stats={JUDGE: after}), made, params)
                terms = {"logits/real": real.mean(), "logits/fake": fake.mean()}
                return adversarial.discriminator_loss("hinge", real, fake), (terms, after)

            (total, (terms, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
            return ({**terms, "loss/discriminator": total}, (rng, stats)), gradient

        params = state.params[JUDGE]
        (terms, (_, stats)), gradient = gradients.accumulate(
            run, params, (rng, state.stats[JUDGE]), dict(batch), self.config.train.accumulate
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[JUDGE]
        updates, opt = optimizer.update(gradient, state.opt[JUDGE], params)
        state = state.replace(
            params={**state.params, JUDGE: optax.apply_updates(params, updates)},
            opt={**state.opt, JUDGE: opt}, stats={JUDGE: stats},
        )
        return state, _once({**terms, f"grad_norm/{JUDGE}": gradients.norm(gradient)})

    def _distance(self, frozen: Mapping[str, PyTree]) -> autoencoder_loss.Distance | None:
        loss = self.config.loss
        if not loss.perceptual:
            return None
        if loss.features == "lpips":
            return autoencoder_loss.published_distance(frozen[FEATURES])
        network = autoencoder_loss.random_network(loss.feature_channels)
        return autoencoder_loss.random_distance(network, frozen[FEATURES])

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `image`, the picture again of the mean of its latents, cut to [-1, 1]."""
        del rng, task
        params = state.ema.get(NETWORK, state.params[NETWORK])
        image = self.networks()[NETWORK].apply({"params": params}, inputs["image"])
        return {"image": jnp.clip(image, -1, 1)}

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `reconstruct`: a picture of any size, and the same again."""
        factor = description(self.config).factor
        return {"reconstruct": Task(
            {"image": Image()}, {"image": Image()}, multiple=factor, minimum=factor,
            trained_on=self.config.image_size,
        )}

    def transform(self, *, train: bool) -> Pictures:
        data = self.config.data
        return Pictures(self.config.image_size, train, data.scale, data.flip)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns how far pictures are from themselves; beside it, pictures made small and large.

        That baseline has as many values as the latents where those have three channels.
        """
        return {"reconstruction": Evaluation(
            task="reconstruct",
            prediction="image",
            target="image",
            metrics=tuple(self.config.evaluate.metrics),
            baselines={"small picture": self._small},
            best=("psnr", "max") if "psnr" in self.config.evaluate.metrics else None,
        )}

    def _small(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        factor = description(self.config).factor
        made = []
        for image in levels.of_picture(batch["image"]):
            height, width = image.shape[:2]
            small = transforms.resize(image, height // factor, width // factor)
            made.append(transforms.to_unit_range(transforms.resize(small, height, width)))
        return np.stack(made)

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            "picture": levels.of_picture(batch["image"]),
            "again": levels.of_picture(outputs["image"]),
            "small picture": levels.of_picture(self._small(batch)),
        }


def _group(params: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Returns what the autoencoder's optimizer trains."""
    return {name: params[name] for name in (NETWORK, SCALAR)}


def noise(rng: jax.Array, moments: jax.Array) -> jax.Array:
    """Returns normal noise for latents of `moments`; `rng` is one key, or one per sample."""
    shape = (*moments.shape[1:-1], moments.shape[-1] // 2)
    keys = sample_keys(rng, len(moments))
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def _once(terms: Mapping[str, jax.Array]) -> Sums:
    return {name: (value, jnp.ones((), jnp.float32)) for name, value in terms.items()}
