"""Stable Diffusion as one file in the layout of the original code, `.ckpt` or `.safetensors`.

    model.diffusion_model.*   the UNet
    first_stage_model.*       the autoencoder
    cond_stage_model.*        the text encoder

The levels are told apart by running numbers, so that names depend on the description, which the
file does not hold: by default that of Stable Diffusion 1.x.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Mapping

import numpy as np

from jaxedit.errors import UserError
from jaxedit.models.diffusion import folder
from jaxedit.models.diffusion.configs import ATTENTION, AutoencoderConfig, UNetConfig
from jaxedit.models.diffusion.folder import Loaded
from jaxedit.models.diffusion.parts import AUTOENCODER, UNET
from jaxedit.weights import reader

UNET_PREFIX = "model.diffusion_model."
AUTOENCODER_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer."
# The average that training kept beside, the schedule, and the losses of the autoencoder.
IGNORE = (
    "model_ema.*", "first_stage_model.loss.*", "*betas", "alphas_cumprod*", "sqrt_*", "log_one_*",
    "posterior_*", "logvar", "*.position_ids", "scale_factor", "*num_batches_tracked",
)
_RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2", "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}
_MAP_ATTENTION = {
    "norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0",
}


def load(
    path: str | pathlib.Path,
    *,
    unet: UNetConfig | None = None,
    autoencoder: AutoencoderConfig | None = None,
) -> dict[str, Loaded]:
    """Returns "unet" and "vae" of a file.

    Args:
      path: a safetensors or torch file; its kind is told from its bytes.
      unet, autoencoder: descriptions, by default of Stable Diffusion 1.x.

    Raises:
      UserError: a tensor is missing, unused or of another shape.
    """
    arrays = read(path)
    return {
        "unet": _loaded(arrays, UNET, UNET_PREFIX, unet or UNetConfig(), unet_names, path),
        "vae": _loaded(arrays, AUTOENCODER, AUTOENCODER_PREFIX, autoencoder or AutoencoderConfig(),
                       autoencoder_names, path),
    }


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by their names, without those of `IGNORE`.

    Raises:
      UserError: it is no checkpoint, or holds something of none of the three networks.
    """
    try:
        arrays = reader.read(path, ignore=IGNORE)  # of safetensors, and of torch files saved anew
    except UserError:
        arrays = reader.read(path, nested=("state_dict",), ignore=IGNORE)
    known = (UNET_PREFIX, AUTOENCODER_PREFIX, "cond_stage_model.")
    strange = [name for name in arrays if not name.startswith(known)]
    if strange:
        raise UserError(f"{path}: holds {strange[0]!r}, which is of no part of Stable Diffusion in "
                        f"its original layout ({', '.join(known)}).")
    return arrays


def text_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the text encoder's arrays as `text_encoder/` of a folder has them."""
    return {
        name.removeprefix(TEXT_PREFIX): array for name, array in arrays.items()
        if name.startswith(TEXT_PREFIX)
    }


def _loaded(arrays, part, prefix, config, rename: Callable, path) -> Loaded:
    own = {name.removeprefix(prefix): array for name, array in arrays.items()
           if name.startswith(prefix)}
    if not own:
        raise UserError(f"{path}: holds nothing under {prefix!r}. Give a whole checkpoint in the "
                        "original layout of Stable Diffusion 1.x.")
    what = f"{path}: the weights under {prefix!r}"
    return Loaded(config, folder.fill(part, config, rename(own, config), what))


def unet_names(
    arrays: Mapping[str, np.ndarray], config: UNetConfig | None = None
) -> dict[str, np.ndarray]:
    """Returns the UNet's arrays by the names of a published folder; unknown names stay."""
    modules = _unet_modules(config or UNetConfig())

    def rename(name: str) -> str:
        place, rest = _longest(name, modules)
        if ".resnets." in f"{place}.":
            rest = _first(rest, _RESNET)
        return f"{place}.{rest}" if place else name

    return {rename(name): array for name, array in arrays.items()}


def autoencoder_names(
    arrays: Mapping[str, np.ndarray], config: AutoencoderConfig | None = None
) -> dict[str, np.ndarray]:
    """Returns the autoencoder's arrays by the names of a published folder; unknown names stay."""
    last = len((config or AutoencoderConfig()).block_out_channels) - 1

    def rename(name: str) -> str:
        name = re.sub(r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets.", name)
        name = re.sub(r"^encoder\.down\.(\d+)\.downsample\.",
                      r"encoder.down_blocks.\1.downsamplers.0.", name)
        number = lambda found: f"decoder.up_blocks.{last - int(found[1])}."
        name = re.sub(r"^decoder\.up\.(\d+)\.", number, name)
        name = re.sub(r"^(decoder\.up_blocks\.\d+)\.block\.", r"\1.resnets.", name)
        name = re.sub(r"^(decoder\.up_blocks\.\d+)\.upsample\.", r"\1.upsamplers.0.", name)
        name = re.sub(r"\.mid\.block_(\d)\.",
                      lambda found: f".mid_block.resnets.{int(found[1]) - 1}.", name)
        name = re.sub(r"\.mid\.attn_1\.(\w+)\.",
                      lambda found: ".mid_block.attentions.0."
                      f"{_MAP_ATTENTION.get(found[1], found[1])}.", name)
        return name.replace(".nin_shortcut.", ".conv_shortcut.").replace(
            "coder.norm_out.", "coder.conv_norm_out."
        )

    return {rename(name): array for name, array in arrays.items()}


def autoencoder_in_file(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns Stable Diffusion 1.x's autoencoder by today's names and in today's shapes."""
    return AUTOENCODER.prepare(autoencoder_names(arrays))


def _unet_modules(config: UNetConfig) -> dict[str, str]:
    """Returns the original place of every module, for example "input_blocks.1.0" -> its own."""
    modules = {
        "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
        "middle_block.0": "mid_block.resnets.0", "middle_block.1": "mid_block.attentions.0",
        "middle_block.2": "mid_block.resnets.1",
    }
    last = len(config.block_out_channels) - 1
    number = 0
    for level, layers in enumerate(config.layers_per_block):
        for index in range(layers):
            number += 1
            modules[f"input_blocks.{number}.0"] = f"down_blocks.{level}.resnets.{index}"
            if config.down_block_types[level] in ATTENTION:
                modules[f"input_blocks.{number}.1"] = f"down_blocks.{level}.attentions.{index}"
        if level < last:
            number += 1
            modules[f"input_blocks.{number}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    number = -1
    for block, layers in enumerate(config.layers_per_block[::-1]):
        for index in range(layers + 1):
            number += 1
            attends = config.up_block_types[block] in ATTENTION
            modules[f"output_blocks.{number}.0"] = f"up_blocks.{block}.resnets.{index}"
            if attends:
                modules[f"output_blocks.{number}.1"] = f"up_blocks.{block}.attentions.{index}"
        if block < last:  # behind the last layer of the level
            place = f"output_blocks.{number}.{2 if attends else 1}.conv"
            modules[place] = f"up_blocks.{block}.upsamplers.0.conv"
    return modules


def _longest(name: str, modules: Mapping[str, str]) -> tuple[str, str]:
    """Returns the new place of the module that `name` is in, and what follows; "" where none."""
    pieces = name.split(".")
    for count in range(len(pieces) - 1, 0, -1):
        place = modules.get(".".join(pieces[:count]))
        if place is not None:
            return place, ".".join(pieces[count:])
    return "", name


def _first(rest: str, names: Mapping[str, str]) -> str:
    for original, ours in names.items():
        if rest.startswith(f"{original}."):
            return ours + rest.removeprefix(original)
    return rest
