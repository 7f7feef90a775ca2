"""What the parts of SDIC share that turn pictures into codes: networks, losses, tasks, evaluation.

Where nothing is trained, noise is the generator's stored one; `measure` draws it as training does.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

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
from jaxedit.method import Batch, Method, State, Task
from jaxedit.methods.sdic import dicn, edit_evaluation, editing, losses, metrics
from jaxedit.methods.sdic.data import EditTransform, Transform
from jaxedit.methods.sdic.dicn import DICN
from jaxedit.methods.sdic.dipn import DIPN, MULTIPLE
from jaxedit.methods.sdic.e4e import encoder_of
from jaxedit.methods.sdic.inversion import Inversion, Noise, generator_of
from jaxedit.models.stylegan2.generator import draw_noise, draw_noise_of_samples
from jaxedit.models.vgg import random_features
from jaxedit.state import StartingValue
from jaxedit.task import Array, Image, Number

PyTree = Any
AVERAGE = "average"  # of the generator's codes: a frozen array (n, W)
REFINING_RATE = 0.01  # of Adam on codes, whose entries are of size 1 [R]


class Inverting(Method):
    """A method that inverts pictures and edits inversions.

    Frozen are `generator` (linen variables) and `average` (n, W), and what losses look through:
    published ones where `network.weights` names them, those of earlier stages where
    `config.stages` says so.
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
            compensation=loss.get("compensation", 0.0),  # an encoder compensates nothing
            feature_share=loss.get("feature_share", 0.0),
            residual=loss.get("residual", 0.0), features=loss.features,
            identity_network=loss.identity_network, feature_channels=loss.feature_channels,
        )

    @abc.abstractmethod
    def found(
        self, state: State, image: jax.Array, noise: tuple[Noise, Noise]
    ) -> dict[str, jax.Array]:
        """Returns what `Inversion` finds for pictures (B, H, W, 3), without `discrepancy` where
        the part predicts none."""

    @property
    def inversion(self) -> Inversion:
        """Returns the four networks; of a part that trains the encoder, two of them unused."""
        config, network = self.config, self.config.network
        return Inversion(
            encoder_of(
                network.size, style_width=network.style_width,
                blocks=tuple(network.encoder_blocks), width=network.encoder_width,
                # Runs from before there was a choice have the published width.
                head_width=network.get("encoder_heads", 0),
                axis_name=self.axis_name, remat=config.remat,
            ),
            generator_of(network),
            DIPN(network.get("attention", "original"), network.get("shared_down", False),
                 self.axis_name, config.remat),
            DICN(side=network.tap, parts=network.get("parts", "both"),
                 gate=network.get("gate", True), axis_name=self.axis_name),
            network.tap, config.image_size[0], network.get("discrepancy", "dipn"),
        )

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, *self.config.image_size, 3)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def fresh_frozen(self, rng: jax.Array) -> dict[str, PyTree]:
        """Returns the drawn generator, the average code and the stand-in of the perceptual loss."""
        generator = self.inversion.generator
        code = jnp.zeros((1, generator.style_width))
        frozen = {
            "generator": generator.init(rng, code),
            AVERAGE: jnp.zeros((generator.codes, generator.style_width)),
        }
        if self._looks and self.settings.features == "random_features":
            frozen[losses.PERCEPTUAL] = random_features(self.settings.random)
        return frozen

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the published networks that the configuration names."""
        values = []
        if name := self.config.network.weights:
            values += [
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

    def drawn_noise(self, key: jax.Array, count: int, passes: int) -> tuple[Noise, ...]:
        """Returns the noise of so many passes of the generator in training, as configured."""
        if self.config.network.noise != "random":
            return (None,) * passes
        size = self.inversion.generator.size
        return tuple(draw_noise(one, size, count) for one in jax.random.split(key, passes))

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Inverts a picture, edits an inversion or comes closer to the picture; see `tasks`."""
        inversion, variables = self.inversion, {"generator": state.frozen["generator"]}
        if task == "edit":
            codes = editing.move(inputs["codes"], inputs["direction"], inputs["strength"])
            return {"image": inversion.edit(variables, codes, inputs["residual"])[0]}
        if task == "restyle":
            moves = inputs["strength"][:, None] * inputs["moves"]
            offsets = editing.style_offsets(moves, self.style_widths, inversion.generator.size)
            edited = inversion.edit(
                variables, inputs["codes"], inputs["residual"], style_offsets=offsets
            )
            return {"image": edited[0]}
        if task == "refine":
            return self._refined(state, inputs)
        if task == edit_evaluation.TASK:
            return edit_evaluation.predict(self, state, inputs)
        noise = (None, None)
        if task == "measure" and self.config.network.noise == "random":
            keys = sample_keys(rng, len(inputs["image"]))
            size = inversion.generator.size
            noise = tuple(draw_noise_of_samples(keys, size, number) for number in range(2))
        found = self.found(state, inputs["image"], noise)
        predicted = {key: found[key] for key in ("discrepancy",) if key in found}
        if task == "measure":
            seen = lambda key: jnp.clip(inversion.pooled(found[key]), -1, 1)
            return {
                "reconstruction": seen("picture"), "initial": seen("initial_picture"), **predicted,
            }
        return {
            "image": found["picture"],
            "initial": found["initial_picture"],
            "encoded": found["codes"],
            "codes": found["compensated_codes"],
            "residual": found["compensated_feature"] - found["feature"],
            **predicted,
        }

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns what a command may ask for.

        `invert` makes an inversion: `codes` and `residual`, which `edit` takes, so that it may be
        kept and edited many times; `encoded` are the codes before they were compensated, which
        `restyle` takes: StyleCLIP moves their styles. `refine` brings codes closer to a picture,
        seen through what `edit` would make of them at strength 0.
        """
        inversion = self.inversion
        size, generator = tuple(self.config.image_size), inversion.generator
        _, feature = jax.eval_shape(self._plain_pass)
        codes, residual = Array((generator.codes, generator.style_width)), Array(feature.shape[1:])
        image, made = Image(size=size), Image(size=(generator.size, generator.size))
        predicted = {"discrepancy": image} if self.predicts_discrepancy else {}
        moves = Array((sum(self.style_widths),))
        strength = Number(default=1.0)
        measured = {
            edit_evaluation.TASK: edit_evaluation.task(
                size, self.predicts_discrepancy, self.moves_before
            )
        } if self.measures_edits else {}
        return {
            **measured,
            "invert": Task({"image": image}, {
                "image": made, "initial": made, "encoded": codes, "codes": codes,
                "residual": residual, **predicted,
            }),
            "edit": Task({
                "codes": codes, "residual": residual, "direction": codes, "strength": strength,
            }, {"image": made}),
            "restyle": Task({
                "codes": codes, "residual": residual, "moves": moves, "strength": strength,
            }, {"image": made}),
            "refine": Task({
                "image": image, "codes": codes, "residual": residual, "steps": Number(low=0),
            }, {"image": made, "codes": codes, "error": Array(())}),
            "measure": Task({"image": image}, {
                "reconstruction": image, "initial": image, **predicted,
            }),
        }

    @property
    def style_widths(self) -> tuple[int, ...]:
        """The channels of each style that StyleCLIP moves, from the first convolution on."""
        generator = self.inversion.generator
        code = jnp.zeros((1, generator.style_width))
        shapes = jax.eval_shape(lambda: generator.init(jax.random.key(0), code))
        return editing.style_widths(shapes["params"])

    @property
    def predicts_discrepancy(self) -> bool:
        """Whether `invert` says what the encoder missed."""
        return True

    @property
    def measures_edits(self) -> bool:
        """Whether edits are compared with true ones: records must be portraits."""
        return self.config.evaluate.get("editing", False)

    @property
    def moves_before(self) -> bool:
        """Whether edits that are compensated after they were moved are measured too."""
        # Runs from before there was a choice lack the key.
        return self.predicts_discrepancy and self.config.evaluate.get("move_before", False)

    def transform(self, *, train: bool) -> Transform:
        if train or not self.measures_edits:
            return Transform(self.config, train)
        return EditTransform(self.config, self.config.evaluate.shares)

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns distortion, of the reconstruction and of the encoder alone, and edits."""
        names = tuple(self.config.evaluate.metrics)
        editing_too = {"editing": edit_evaluation.evaluation(
            self.config.evaluate.shares, self.predicts_discrepancy,
            tuple(self.config.evaluate.compare), before=self.moves_before,
        )} if self.measures_edits else {}
        return {"inversion": Evaluation(
            task="measure",
            prediction="reconstruction",
            target="image",
            metrics=names,
            own=metrics.OF_PAIRS,
            systems={"encoder alone": "initial"} if self.predicts_discrepancy else {},
            best=("psnr", "max") if "psnr" in names else None,
        ), **editing_too}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        shown = {"original": levels.of_picture(batch["image"])}
        if "edited" in outputs:
            return shown | {
                "true edit": levels.of_picture(batch["truths"][:, -1]),
                "edited": levels.of_picture(outputs["edited"]),
            }
        if "discrepancy" not in outputs:
            return shown | {"encoded": levels.of_picture(outputs["reconstruction"])}
        return shown | {
            "encoder alone": levels.of_picture(outputs["initial"]),
            "compensated": levels.of_picture(outputs["reconstruction"]),
            "discrepancy": levels.of_picture(np.clip(outputs["discrepancy"], -1, 1)),
        }

    def _refined(self, state: State, inputs: Batch) -> dict[str, jax.Array]:
        """Moves codes by Adam, and returns the best of all steps: `codes`, `image` and `error`."""
        inversion, variables = self.inversion, {"generator": state.frozen["generator"]}
        image, residual = inputs["image"], inputs["residual"]
        looks = losses.PERCEPTUAL in state.frozen

        def errors(codes):
            made = inversion.edit(variables, codes, residual)[0]
            each = losses.likeness(
                self.settings, state.frozen if looks else {}, image, inversion.pooled(made)
            )
            return each.sum(), each

        slope = jax.value_and_grad(errors, has_aux=True)
        optimizer = optax.adam(REFINING_RATE)

        def closer(codes, now, best):
            better = now < best[1]
            return jnp.where(better[:, None, None], codes, best[0]), jnp.minimum(now, best[1])

        def body(_, carried):
            codes, optimizing, best = carried
            (_, now), gradient = slope(codes)
            best = closer(codes, now, best)
            updates, optimizing = optimizer.update(gradient, optimizing)
            return optax.apply_updates(codes, updates), optimizing, best

        start = inputs["codes"]
        # Samples have one number of steps: a command refines one picture at a time.
        steps = jnp.max(inputs["steps"]).astype(jnp.int32)
        best = (start, jnp.full(len(start), jnp.inf))
        last, _, best = lax.fori_loop(0, steps, body, (start, optimizer.init(start), best))
        codes, error = closer(last, errors(last)[1], best)
        return {
            "image": inversion.edit(variables, codes, residual)[0], "codes": codes, "error": error,
        }

    def _plain_pass(self) -> tuple[jax.Array, jax.Array]:
        inversion = self.inversion
        code = jnp.zeros((1, inversion.generator.style_width))
        variables = {"generator": inversion.generator.init(jax.random.key(0), code)}
        return inversion.generate(
            variables, jnp.zeros((1, inversion.generator.codes, code.shape[1]))
        )

    @property
    def _looks(self) -> bool:
        return self.settings.perceptual > 0

    @property
    def _knows(self) -> bool:
        return self.settings.identity > 0 and self.settings.identity_network != "none"


def _check(config: ml_collections.ConfigDict) -> None:
    """Raises UserError for sizes that do not belong together."""
    network, (height, width) = config.network, config.image_size
    sides = [2**power for power in range(3, network.size.bit_length() - 1)]
    if network.tap not in sides:
        raise UserError(
            f"network.tap={network.tap}: a generator of {network.size} pixels can be tapped at "
            f"{', '.join(map(str, sides)) or 'no size'}; the tap must be below the generator's "
            f"size, {network.size} pixels: injected at that size, pixels would merely be copied."
        )
    side = dicn.SCALE * network.tap
    if width != side or height > width or height % MULTIPLE or (width - height) % 2:
        raise UserError(
            f"image_size={(height, width)}: with network.tap={network.tap}, pictures are {side} "
            f"pixels wide and at most as high, a multiple of {MULTIPLE}."
        )
    if config.get("evaluate", {}).get("editing", False) and (
        tuple(config.evaluate.shares[-1:]) != (1.0,)
    ):
        raise UserError(
            f"evaluate.shares={tuple(config.evaluate.shares)}: they must end with 1, the whole of "
            "an edit."
        )
    dicn.rows(DICN().maps, network.tap, network.style_width)
    face = config.loss.identity and config.loss.identity_network == "arcface"
    if face and height != width:
        raise UserError(
            f"loss.identity_network='arcface' looks at square faces, and image_size is "
            f"{(height, width)}. Use 'moco', or 'none'."
        )
