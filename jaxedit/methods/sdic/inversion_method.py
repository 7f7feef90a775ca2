"""SDIC's training as a `Method`: DIPN and DICN learn, encoder and generator are frozen."""

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
from jaxedit.layers.normalization import COLLECTION
from jaxedit.layers.randomness import sample_keys
from jaxedit.method import Batch, Method, State, Sums, Task
from jaxedit.methods.sdic import dicn, editing, losses
from jaxedit.methods.sdic.data import Transform
from jaxedit.methods.sdic.dicn import DICN
from jaxedit.methods.sdic.dipn import DIPN, MULTIPLE
from jaxedit.methods.sdic.e4e import encoder_of
from jaxedit.methods.sdic.inversion import Inversion
from jaxedit.models.stylegan2.generator import Generator, draw_noise
from jaxedit.models.vgg import random_features
from jaxedit.optim import gradients
from jaxedit.optim.ranger import ranger
from jaxedit.state import StartingValue
from jaxedit.task import Array, Image, Number

PyTree = Any
AVERAGE = "average"  # of the generator's codes: a frozen array


class InversionMethod(Method):
    """Trains the networks that compensate an inversion, and inverts and edits with them.

    Frozen are `encoder` and `generator` (linen variables) and `average` (n, W): published ones
    where `network.weights` names them, those of earlier stages where `config.stages` says so.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        _check(config)
        loss = config.loss
        self.settings = losses.Settings(
            l2=loss.l2, perceptual=loss.perceptual, identity=loss.identity,
            compensation=loss.compensation, feature_share=loss.feature_share,
            residual=loss.residual, features=loss.features,
            identity_network=loss.identity_network, feature_channels=loss.feature_channels,
        )

    @property
    def inversion(self) -> Inversion:
        """Returns the four networks."""
        config, network = self.config, self.config.network
        return Inversion(
            encoder_of(
                network.size, style_width=network.style_width,
                blocks=tuple(network.encoder_blocks), width=network.encoder_width,
                axis_name=self.axis_name,
            ),
            Generator(
                network.size, network.style_width, network.mapping_layers,
                channel_multiplier=network.channel_multiplier,
                most_channels=network.most_channels,
            ),
            DIPN(network.attention, network.shared_down, self.axis_name, config.remat),
            DICN(side=network.tap, parts=network.parts, gate=network.gate,
                 axis_name=self.axis_name),
            network.tap, config.image_size[0], network.discrepancy,
        )

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

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, *self.config.image_size, 3)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        inversion = self.inversion
        keys = dict(zip(("encoder", "generator", "dipn", "dicn"), jax.random.split(rng, 4),
                        strict=True))
        image = jnp.zeros((1, *spec["image"].shape[1:]))
        code = jnp.zeros((1, inversion.generator.style_width))
        codes = jnp.zeros((1, inversion.generator.codes, code.shape[1]))
        generator = inversion.generator.init(keys["generator"], code)
        _, feature = jax.eval_shape(inversion.generate, {"generator": generator}, codes)
        drawn = {"dicn": inversion.dicn.init(
            keys["dicn"], inversion.squared(image), jnp.zeros(feature.shape), codes
        )}
        if inversion.source == "dipn":
            drawn["dipn"] = inversion.dipn.init(keys["dipn"], image, image)
        frozen = {
            "encoder": inversion.encoder.init(keys["encoder"], image),
            "generator": generator,
            AVERAGE: codes[0],
        }
        if self._looks and self.settings.features == "random_features":
            frozen[losses.PERCEPTUAL] = random_features(self.settings.random)
        state = State(
            step=jnp.zeros((), jnp.int32),
            params={name: one["params"] for name, one in drawn.items()},
            stats={name: one[COLLECTION] for name, one in drawn.items()},
            frozen=frozen,
        )
        return _with_encoder_statistics(state) if self._batch_encoder else state

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the published networks that the configuration names."""
        values = []
        if name := self.config.network.weights:
            values += [
                (f"weights:{name}:encoder", "frozen/encoder"),
                (f"weights:{name}:generator", "frozen/generator"),
                (f"weights:{name}:average/codes", f"frozen/{AVERAGE}"),
            ]
        if self._looks and self.settings.features == "lpips_alex":
            values += [
                ("weights:alexnet", f"frozen/{losses.PERCEPTUAL}/backbone"),
                ("weights:lpips-alex", f"frozen/{losses.PERCEPTUAL}/heads"),
            ]
        if self._knows:
            network = {"arcface": "arcface", "moco": "moco-v2"}[self.settings.identity_network]
            values.append((f"weights:{network}", f"frozen/{losses.IDENTITY}"))
        return tuple(values)

    def fit(self, value: StartingValue, fresh: PyTree | None) -> PyTree:
        """Gives every layer the average code where there is one for all."""
        if value.target == f"frozen/{AVERAGE}" and jnp.ndim(value.tree) == 1:
            return jnp.broadcast_to(value.tree, (self.inversion.generator.codes, *value.tree.shape))
        return value.tree

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
            noise = (None, None)
            if self.config.network.noise == "random":
                noise = tuple(
                    draw_noise(one, inversion.generator.size, len(image))
                    for one in jax.random.split(key)
                )
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

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Inverts a picture, or edits an inversion; see `tasks`."""
        inversion = self.inversion
        variables = _variables(state.params, state.stats, state.frozen)
        if task == "edit":
            codes = editing.move(inputs["codes"], inputs["direction"], inputs["strength"])
            return {"image": inversion.edit(variables, codes, inputs["residual"])[0]}
        noise = (None, None)
        if task == "measure" and self.config.network.noise == "random":
            keys = sample_keys(rng, len(inputs["image"]))
            noise = _noise_of_samples(keys, inversion.generator.size)
        found, _ = inversion(variables, inputs["image"], noise)
        if task == "measure":
            seen = lambda key: jnp.clip(inversion.pooled(found[key]), -1, 1)
            return {
                "reconstruction": seen("picture"),
                "initial": seen("initial_picture"),
                "discrepancy": found["discrepancy"],
            }
        return {
            "image": found["picture"],
            "initial": found["initial_picture"],
            "discrepancy": found["discrepancy"],
            "codes": found["compensated_codes"],
            "residual": found["compensated_feature"] - found["feature"],
        }

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `invert` and `edit` for use, with stored noise, and `measure`, in training's way.

        `edit` takes `codes` and `residual` as `invert` gives them, so that an inversion may be kept
        and edited many times.
        """
        inversion = self.inversion
        size, generator = tuple(self.config.image_size), inversion.generator
        _, feature = jax.eval_shape(self._plain_pass)
        codes, residual = Array((generator.codes, generator.style_width)), Array(feature.shape[1:])
        image, made = Image(size=size), Image(size=(generator.size, generator.size))
        return {
            "invert": Task({"image": image}, {
                "image": made, "initial": made, "discrepancy": image, "codes": codes,
                "residual": residual,
            }),
            "edit": Task({
                "codes": codes, "residual": residual, "direction": codes,
                "strength": Number(default=1.0),
            }, {"image": made}),
            "measure": Task({"image": image}, {
                "reconstruction": image, "initial": image, "discrepancy": image,
            }),
        }

    def transform(self, *, train: bool) -> Transform:
        return Transform(self.config, train)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns distortion: the reconstruction, and that of the encoder alone."""
        metrics = tuple(self.config.evaluate.metrics)
        return {"inversion": Evaluation(
            task="measure",
            prediction="reconstruction",
            target="image",
            metrics=metrics,
            systems={"encoder alone": "initial"},
            best=("psnr", "max") if "psnr" in metrics else None,
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            "original": levels.of_picture(batch["image"]),
            "encoder alone": levels.of_picture(outputs["initial"]),
            "compensated": levels.of_picture(outputs["reconstruction"]),
            "discrepancy": levels.of_picture(np.clip(outputs["discrepancy"], -1, 1)),
        }

    def _plain_pass(self) -> tuple[jax.Array, jax.Array]:
        inversion = self.inversion
        code = jnp.zeros((1, inversion.generator.style_width))
        variables = {"generator": inversion.generator.init(jax.random.key(0), code)}
        return inversion.generate(
            variables, jnp.zeros((1, inversion.generator.codes, code.shape[1]))
        )

    @property
    def _batch_encoder(self) -> bool:
        """Whether the frozen encoder normalises by the batch, and its statistics drift."""
        return self.config.network.encoder_norm == "batch"

    @property
    def _looks(self) -> bool:
        return self.settings.perceptual > 0

    @property
    def _knows(self) -> bool:
        return self.settings.identity > 0 and self.settings.identity_network != "none"


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


def _noise_of_samples(keys: jax.Array, size: int) -> tuple:
    """Returns the noise of two passes, drawn sample by sample."""
    draw = lambda key: draw_noise(key, size, 1)
    passes = []
    for number in range(2):
        own = jax.vmap(lambda key, number=number: jax.random.fold_in(key, number))(keys)
        passes.append(tuple(one[:, 0] for one in jax.vmap(draw)(own)))
    return tuple(passes)


def _check(config: ml_collections.ConfigDict) -> None:
    """Raises UserError for sizes that do not belong together."""
    network, (height, width) = config.network, config.image_size
    if network.tap >= network.size:
        raise UserError(
            f"network.tap={network.tap}: the tap must be below the generator's size, "
            f"{network.size} pixels: injected at that size, pixels would merely be copied."
        )
    side = dicn.SCALE * network.tap
    if width != side or height > width or height % MULTIPLE or (width - height) % 2:
        raise UserError(
            f"image_size={(height, width)}: with network.tap={network.tap}, pictures are {side} "
            f"pixels wide and at most as high, a multiple of {MULTIPLE}."
        )
    dicn.rows(DICN().maps, network.tap, network.style_width)
    face = config.loss.identity and config.loss.identity_network == "arcface"
    if face and height != width:
        raise UserError(
            f"loss.identity_network='arcface' looks at square faces, and image_size is "
            f"{(height, width)}. Use 'moco', or 'none'."
        )
