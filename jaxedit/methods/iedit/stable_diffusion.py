"""A published Stable Diffusion 1.x as what edits: a folder, or weights that were converted.

    folder/scheduler/scheduler_config.json
    folder/tokenizer/vocab.json, merges.txt
    folder/text_encoder/, unet/, vae/
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.methods.iedit import editing, text_encoder
from jaxedit.methods.iedit.editing import Model
from jaxedit.methods.iedit.text_states import ClipEncoder
from jaxedit.models.autoencoder_kl import AutoencoderKL, distribution
from jaxedit.models.clip import folder as clip_folder
from jaxedit.models.clip import tokenizer as tokenizers
from jaxedit.models.clip.tokenizer import Tokenizer
from jaxedit.models.diffusion import folder as folders
from jaxedit.models.diffusion import single_file
from jaxedit.models.diffusion.configs import AutoencoderConfig, UNetConfig
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.models.unet import UNet
from jaxedit.task import Task
from jaxedit.weights import convert, manifest, published_folder
from jaxedit.weights.entry import Bundle

# As Stable Diffusion 1.x is commonly sampled; 0.7 is our choice.
STEPS, STRENGTH, GUIDANCE = 50, 0.7, 7.5
_SIDE = 64  # of the latents, where the UNet's description does not say
_SCHEDULE = "scheduler/scheduler_config.json"
_PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")


class Published(NamedTuple):
    """The networks of a published model.

    Attributes:
      unet, autoencoder: their descriptions.
      text: the text encoder.
      schedule: of the diffusion.
      side: of the pictures that it was trained on, in pixels.
      variables: of "unet", "vae" and "text_encoder".
    """

    unet: UNetConfig
    autoencoder: AutoencoderConfig
    text: ClipEncoder
    schedule: Schedule
    side: int
    variables: Mapping[str, Any]

    def model(self, variables: Mapping[str, Any], dtype: jnp.dtype = jnp.float32) -> Model:
        """Returns what edits with `variables`, which have the form of ours.

        Args:
          variables: of the three networks.
          dtype: what the UNet computes in; autoencoder and text encoder are float32.
        """
        autoencoder, unet = AutoencoderKL(self.autoencoder), UNet(self.unet, dtype=dtype)

        def encode(image: jax.Array) -> jax.Array:
            moments = autoencoder.apply(variables["vae"], image, method="encode")
            return autoencoder.to_diffusion(distribution(moments)[0])

        def decode(latents: jax.Array) -> jax.Array:
            latents = autoencoder.from_diffusion(latents)
            image = autoencoder.apply(variables["vae"], latents, method="decode")
            return jnp.clip(image, -1, 1)

        return Model(
            encode, decode, functools.partial(self.text.states, variables["text_encoder"]),
            functools.partial(unet.apply, variables["unet"]), self.schedule,
            self.autoencoder.factor,
        )

    def predict(
        self, variables: Mapping[str, Any], inputs: Mapping[str, jax.Array], rng: jax.Array,
        *, steps: int, start: str, dtype: jnp.dtype = jnp.float32,
    ) -> dict[str, jax.Array]:
        """Returns {"image": ...}, see `editing.edit`; as `apply.applier.Applier` calls it."""
        return {"image": editing.edit(self.model(variables, dtype), inputs, rng, steps, start)}

    def task(self, start: str) -> Task:
        """Returns what goes in and comes out."""
        return editing.task(
            self.text.checked, start=start, factor=self.autoencoder.factor, trained_on=self.side,
            strength=STRENGTH, guidance=GUIDANCE,
        )


def load(folder: str | pathlib.Path) -> Published:
    """Reads a published folder.

    Raises:
      UserError: it is incomplete, which is found before any weights are read, or holds another
        model.
    """
    folder = pathlib.Path(folder)
    lacking = [name for name in _PARTS if not (folder / name).is_dir()]
    if lacking:
        raise UserError(
            f"{folder} is no whole folder of a Stable Diffusion 1.x model: it lacks "
            f"{', '.join(f'{name}/' for name in lacking)}. Download all of it."
        )
    schedule = folders.load_schedule(folder)
    described = published_folder.read_json(folder / "unet" / published_folder.CONFIG, "")
    text = clip_folder.load(folder / "text_encoder")
    if text.config.text is None:
        raise UserError(f"{folder / 'text_encoder'} holds no text encoder.")
    tokenizer = tokenizers.load(folder, text.config.text.max_position_embeddings)
    parts = {name: folders.load(folder, name) for name in ("unet", "vae")}
    return _whole(
        {name: part.config for name, part in parts.items()} | {"text_encoder": text.config},
        {name: part.variables for name, part in parts.items()} | {"text_encoder": text.variables},
        tokenizer, schedule, described.get("sample_size") or _SIDE, str(folder),
    )


def load_file(path: str | pathlib.Path, tokenizer: str | pathlib.Path) -> Published:
    """Reads a model in one file in the layout of the original code; such files are of 1.x.

    Args:
      path: a .ckpt or .safetensors.
      tokenizer: the folder of CLIP's tokenizer, which such files lack.

    Raises:
      UserError: it holds another model, or the tokenizer's folder is incomplete.
    """
    found = tokenizers.load(tokenizer)
    parts = single_file.load(path)
    arrays = single_file.text_arrays(single_file.read(path))
    text = clip_folder.fill(text_encoder.CONFIG, text_encoder.prepare(arrays), str(path))
    return _whole(
        {name: part.config for name, part in parts.items()} | {"text_encoder": text_encoder.CONFIG},
        {name: part.variables for name, part in parts.items()} | {"text_encoder": text},
        found, Schedule(), _SIDE, str(path),
    )


def load_converted(name: str) -> Published:
    """Returns converted weights, see `jaxedit weights convert`.

    Raises:
      PretrainedWeightsMissing: they are not here; the message says how to get them.
      UserError: there are no such weights, or they are not a whole model.
    """
    entry = manifest.get(name)
    names = {network.name for network in entry.networks} if isinstance(entry, Bundle) else set()
    if not {"unet", "vae", "text_encoder"} <= names or _SCHEDULE not in entry.keep:
        raise UserError(
            f"The weights {name!r} are no whole Stable Diffusion with its schedule and tokenizer: "
            "take stable-diffusion-v1-4, or a folder in the layout of diffusers."
        )
    configs = {key: options.get("config") for key, options in convert.load_options(name).items()}
    schedule = Schedule.from_published(json_text.loads(convert.load_file(name, _SCHEDULE)), name)
    tokenizer = tokenizers.of_weights(name, configs["text_encoder"].text.max_position_embeddings)
    return _whole(configs, convert.load(name), tokenizer, schedule, _SIDE, name)


def _whole(
    configs: Mapping[str, Any], variables: Mapping[str, Any], tokenizer: Tokenizer,
    schedule: Schedule, side: int | Sequence[int], where: str,
) -> Published:
    encoder, unet = ClipEncoder(configs["text_encoder"], tokenizer), configs["unet"]
    encoder.tokenizer  # noqa: B018, refuses one of another size
    if unet.cross_attention_dim != encoder.width:
        raise UserError(
            f"{where}: the text encoder's states are {encoder.width} wide and the UNet attends to "
            f"{unet.cross_attention_dim}: they do not belong together."
        )
    side = (side if isinstance(side, int) else min(side)) * configs["vae"].factor
    return Published(unet, configs["vae"], encoder, schedule, side, variables)
