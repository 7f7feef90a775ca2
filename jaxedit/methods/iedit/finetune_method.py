"""iEdit's fine-tuning as a `Method`: a denoiser learns to edit from pairs, see `losses`.

Autoencoder and text encoder are frozen. What of the paper could be read is its abstract: paired
latents, masks that say what changes and what stays, a perceptual loss; every number is ours.

With a probability an item has the empty prompt and is to keep its source everywhere, so that
guidance contrasts editing with keeping; the terms on decoded pictures leave it out.
"""

from __future__ import annotations

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
from jaxedit.host.names import check_choice
from jaxedit.method import Batch, State, Sums, Task
from jaxedit.methods.iedit import (
    autoencoder_method,
    edit_evaluation,
    editing,
    features,
    losses,
    optimization,
    pair_data,
    partial,
)
from jaxedit.methods.iedit.diffusion_method import (
    AUTOENCODER,
    PARTS,
    TEXT,
    UNET,
    Diffusion,
    by_part,
    steps_of,
)
from jaxedit.models import autoencoder_kl
from jaxedit.optim import gradients
from jaxedit.task import Image

PyTree = Any
UNTUNED = "untuned"  # the UNet as it came, among the frozen networks
LOOK, STEP = "look", "step"  # phases: with the terms on decoded pictures, and without


class FineTuning(Diffusion):
    """Fine-tunes a `UNet` on pairs; edits with it, and measures the edits."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        loss = config.loss
        self.weights = losses.Weights(
            None if loss.pair < 0 else loss.pair, loss.mask, loss.perceptual, loss.text_image
        )
        self.looker = features.Looker(loss.features, loss.feature_channels, loss.clip)
        check_choice("In fine-tuning, loss.features", loss.features, features.KINDS)
        if loss.text_image and self.text.trained:
            raise UserError("loss.text_image compares pictures with prompts in CLIP's space, whose "
                            "tokens text.encoder=bytes does not make. Set text.encoder=clip.")

    @property
    def looks(self) -> bool:
        """Returns whether there is ever a term on decoded pictures."""
        return bool(self.config.loss.perceptual or self.config.loss.text_image)

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the published networks that the configuration names."""
        name, loss = self.config.network.weights, self.config.loss
        values = []
        if name:
            values += [
                (f"weights:{name}:unet/params", f"params/{UNET}"),
                (f"weights:{name}:vae", f"frozen/{AUTOENCODER}"),
                (f"weights:{name}:text_encoder", f"frozen/{TEXT}"),
            ]
        if loss.perceptual:
            values += self.looker.start()
        if loss.text_image and features.tower_start(loss.clip) not in values:
            values.append(features.tower_start(loss.clip))
        return tuple(values)

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        side, latents = self.config.image_size, self.side
        shape = lambda *sizes: jax.ShapeDtypeStruct((batch_size, *sizes), jnp.float32)
        spec = {key: shape(side, side, 1) for key in pair_data.MASKS}
        cached = self.config.latents.cached
        if self.looks or not cached:
            spec |= {key: shape(side, side, 3) for key in pair_data.PICTURES}
        if cached:
            moments = shape(latents, latents, 2 * self.unet.in_channels)
            spec |= {pair_data.MOMENTS: moments, pair_data.TARGET_MOMENTS: moments,
                     pair_data.STATES: shape(self.text.length, self.text.width)}
        symbols = jax.ShapeDtypeStruct((batch_size, self.text.length), jnp.int32)
        return spec | {pair_data.SYMBOLS: symbols}

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        del spec
        latents = jnp.zeros((1, self.side, self.side, self.unet.in_channels))
        states = jnp.zeros((1, self.text.length, self.text.width))
        params = self.networks()[UNET].init(rng, latents, jnp.zeros((1,)), states)["params"]
        frozen = self.looker.fresh() if self.config.loss.perceptual else {}
        return State(step=jnp.zeros((), jnp.int32), params={UNET: params}, frozen=frozen)

    def init(self, rng, spec, start=()) -> State:
        state = super().init(rng, spec, start)
        if not self.config.evaluate.untuned:
            return state
        return state.replace(frozen={**state.frozen, UNTUNED: self._trained(state.params)})

    def _trained(self, params: Mapping[str, PyTree]) -> PyTree:
        """Returns the part of the UNet's parameters that is trained."""
        return partial.part(params[UNET], self.config.finetune.scope)

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns AdamW for what is trained of the UNet."""
        return {UNET: optimization.adamw(self.config.optim, total_steps)}

    def optimizer_states(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        optimizer = self.optimizers(self.config.train.steps)[UNET]
        return {UNET: optimizer.init(self._trained(params))}

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {UNET: self._trained(params)} if self.config.optim.ema else {}

    def phases(self, step: int) -> tuple[str, ...]:
        """Returns ("look",) every `loss.every`-th step where pictures count, else ("step",)."""
        return (LOOK,) if self.looks and step % self.config.loss.every == 0 else (STEP,)

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        def run(trained, rng, part):
            rng, key = jax.random.split(rng)
            drawn = self.draw(state, part, key)
            (_, terms), gradient = jax.value_and_grad(self._loss_of, has_aux=True)(
                trained, state, part, drawn, phase == LOOK
            )
            return (terms, rng), gradient

        trained = self._trained(state.params)
        (terms, _), gradient = gradients.accumulate(
            run, trained, rng, dict(batch), self.config.train.accumulate
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[UNET]
        updates, opt = optimizer.update(gradient, state.opt[UNET], trained)
        trained = optax.apply_updates(trained, updates)
        state = state.replace(
            params={UNET: partial.merged(state.params[UNET], trained)}, opt={UNET: opt}
        )
        if self.config.optim.ema:
            state = state.replace(ema={UNET: optimization.average(
                state.ema[UNET], trained, self.config.optim.ema, state.step
            )})
        once = jnp.ones((), jnp.float32)
        sums = {f"loss/{name}": (value, once) for name, value in terms.items()
                if not name.startswith("parts/")}
        for number in range(PARTS):
            sums[f"loss/pair_{steps_of(self.schedule, number)}"] = tuple(
                terms[f"parts/{what}"][number] for what in ("errors", "counts")
            )
        return state, sums | {f"grad_norm/{UNET}": (gradients.norm(gradient), once)}

    def draw(self, state: State, part: Batch, rng: jax.Array) -> dict[str, jax.Array]:
        """Returns what a step draws of a batch, and what follows from it without the UNet.

        `source` and `target` latents (samples, not means), `noise`, `time`, `noised` the SOURCE's
        latents, `signal` abar of `time`, `text` states, `dropped` the items without a prompt and
        `mask` (B, h, w, 1).
        """
        keys, config = jax.random.split(rng, 5), self.config
        source = self._latents(state, part, pair_data.MOMENTS, "image", keys[0])
        target = source
        if config.data.target == "pair":
            target = self._latents(state, part, pair_data.TARGET_MOMENTS, "target", keys[1])
        time = jax.random.randint(
            keys[2], source.shape[:1], 0, self.schedule.num_train_timesteps
        )
        noise = jax.random.normal(keys[3], source.shape)
        dropped = jax.random.bernoulli(keys[4], config.text.drop, source.shape[:1])
        states = lambda symbols: self._states({}, symbols, state.frozen)
        if config.latents.cached:
            text = part[pair_data.STATES]
        else:
            text = states(part[pair_data.SYMBOLS])
        text = jnp.where(dropped[:, None, None], states(jnp.asarray(self._empty)), text)
        masks = [part[key] for key in pair_data.MASKS]
        mask = losses.latent_mask(
            masks[0], masks[1] if config.loss.mask_of == "union" else None,
            self.autoencoder.factor, config.loss.mask_grown,
        )
        drawn = {
            "source": source, "target": target, "noise": noise, "time": time, "mask": mask,
            "noised": self.schedule.add_noise(source, noise, time),
            "signal": self.schedule.signal_at(time), "text": text, "dropped": dropped,
        }
        return jax.tree.map(lax.stop_gradient, drawn)

    def _latents(
        self, state: State, part: Batch, moments: str, picture: str, key: jax.Array
    ) -> jax.Array:
        """Returns drawn latents, of moments that are kept or of a picture."""
        if not self.config.latents.cached:
            return self.encode(state, part[picture], key)
        noise = autoencoder_method.noise(key, part[moments])
        return autoencoder_kl.draw(part[moments], noise) * self.scale(state)

    def _loss_of(self, trained, state, part, drawn, looks):
        """Returns the loss, and its terms unweighted."""
        loss, signal = self.config.loss, drawn["signal"]
        network = self._network({UNET: partial.merged(state.params[UNET], trained)})
        predicted = network(drawn["noised"], drawn["time"], drawn["text"])
        # Of the noise, whatever the network predicts.
        clean, predicted = self.schedule.split(predicted, drawn["noised"], signal)
        terms, values = losses.noise_terms(
            predicted, drawn["noise"], drawn["noised"], drawn["target"],
            drawn["mask"] if loss.mask else None, signal, unconditional=drawn["dropped"],
            weighting=loss.weighting, form=loss.form,
        )
        if looks:
            terms |= self._terms_on_pictures(state, part, drawn, clean)
        total = self.weights.total(terms)
        counted = by_part(values, drawn["time"], self.schedule.num_train_timesteps)
        return total, {**terms, "total": total, **counted}

    def _terms_on_pictures(self, state, part, drawn, clean):
        loss = self.config.loss
        latents = clean / self.scale(state)
        made = self._autoencoder(state, latents, "decode")  # not cut: a gradient must pass
        used = (drawn["time"] < loss.largest_step) & ~drawn["dropped"]
        terms = {}
        if loss.perceptual:
            look = lambda images: self.looker(state.frozen, images)
            masks = [part[key] for key in pair_data.MASKS]
            union = jnp.maximum(*masks) if loss.mask_of == "union" else masks[0]
            target = part["target"] if self.config.data.target == "pair" else part["image"]
            terms["perceptual"] = losses.perceptual(
                look(made), look(part["image"]), look(target), union, used
            )
        if loss.text_image:
            of_pictures, of_tokens = features.embeddings(loss.clip, state.frozen)
            symbols = part[pair_data.SYMBOLS]
            same = (symbols[:, None] == symbols[None]).all(-1)
            terms["text_image"] = losses.text_image(
                of_pictures(made), of_tokens(symbols), used, how=loss.text_image_form,
                temperature=loss.temperature, same=same,
            )
        return terms

    def predicting(self, state: State) -> dict[str, PyTree]:
        """Returns the parameters that edits are made with: the averaged ones, where there are."""
        return {UNET: partial.merged(state.params[UNET], state.ema.get(UNET, {}))}

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Edits, see `editing`; `measure` does so with the UNet as it came, too."""
        if task != edit_evaluation.TASK:
            return super().predict(state, inputs, rng, task=task)
        sample, found = self.config.sample, {}
        run = lambda params, start: editing.edit(
            self.model(state, params), inputs, rng, sample.steps, start
        )
        found["image"] = run(self.predicting(state), sample.start)
        if UNTUNED in state.frozen:
            params = {UNET: partial.merged(state.params[UNET], state.frozen[UNTUNED])}
            found[edit_evaluation.UNTUNED] = run(params, sample.start)
            found[edit_evaluation.INVERTED] = run(params, "ddim")
        return found

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns the tasks of an edit, and that which is measured."""
        edits = self.edits()
        measured = edits["edit_inverted"]  # which reads the caption too
        others = edit_evaluation.SYSTEMS.values() if self.config.evaluate.untuned else ()
        names = ("image", *others)
        return edits | {edit_evaluation.TASK: Task(
            measured.inputs, dict.fromkeys(names, Image()), multiple=measured.multiple,
        )}

    def transform(self, *, train: bool) -> pair_data.Pairs | pair_data.Edits:
        config = self.config
        if train:
            return pair_data.Pairs(
                config.image_size, self.text, config.latents.cached, self.looks
            )
        return pair_data.Edits(config.image_size, self.text, config.evaluate.truth)

    def evaluations(self) -> dict[str, Evaluation]:
        return {"edits": edit_evaluation.evaluation(self.config, lambda: self._empty)}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            "picture": levels.of_picture(batch["image"]),
            "truth" if self.config.evaluate.truth else "pseudo-target":
                levels.of_picture(batch["target"]),
            "edited": levels.of_picture(outputs["image"]),
        }
