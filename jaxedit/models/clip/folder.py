"""Folders of CLIP and CLIPSeg in the publishers' layout: read, and written for others.

    config.json    model.safetensors

Copies in half precision end in `.fp16.safetensors`; older folders have torch's `pytorch_model.bin`.
The text encoder of a Stable Diffusion folder, `text_encoder/`, is such a folder too.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import safetensors.numpy

from jaxedit.host.atomic import atomic_folder
from jaxedit.models.clip import names
from jaxedit.models.clip.configs import B32, CLIPConfig, CLIPSegConfig
from jaxedit.models.clip.towers import CLIP
from jaxedit.models.clipseg import CLIPSeg
from jaxedit.weights import published_folder, reader, table
from jaxedit.weights.table import Entry

Config = CLIPConfig | CLIPSegConfig
WEIGHTS = ("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin",
           "pytorch_model.fp16.bin")
_ADVICE = "Give the whole folder of a CLIP, of its text or vision tower, or of a CLIPSeg."


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A network's description and its variables, {"params": ...} of float32 arrays."""

    config: Config
    variables: Mapping[str, Any]

    @property
    def module(self) -> nn.Module:
        """The network, computing in float32."""
        return module(self.config)


def module(config: Config, **options: Any) -> nn.Module:
    """Returns the network that is described; `options` are its other attributes."""
    return (CLIPSeg if isinstance(config, CLIPSegConfig) else CLIP)(config, **options)


def options(published: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"config": ...} of a published config.json of a CLIP."""
    return {"config": CLIPConfig.from_published(published)}


def prepare(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the published arrays of a CLIP of both towers as the table knows them."""
    return names.prepare(published, B32)


@functools.lru_cache(maxsize=8)  # tracing a whole network takes a second
def variables(config: Config = B32) -> dict[str, Any]:
    """Returns the network's variables as shape structs; by default those of CLIP ViT-B/32."""
    towers = config.clip if isinstance(config, CLIPSegConfig) else config
    pixels = tokens = None
    if towers.vision is not None:
        side = towers.vision.image_size
        pixels = jax.ShapeDtypeStruct((1, side, side, towers.vision.num_channels), np.float32)
    if towers.text is not None:
        tokens = jax.ShapeDtypeStruct((1, towers.text.max_position_embeddings), np.int32)
    return jax.eval_shape(module(config).init, jax.random.key(0), pixels, tokens)


def conversion_table(config: Config = B32) -> dict[str, Entry]:
    """Returns the conversion table of the network that is described."""
    return names.conversion_table(variables(config))


def load(folder: str | pathlib.Path, *, file: str = "") -> Loaded:
    """Reads a published folder.

    Args:
      folder: the folder; its config.json says which network it is.
      file: which of `WEIGHTS`; by default the first of them that is there.

    Raises:
      UserError: the folder is incomplete; the description is of another network; a tensor is
        missing, unused or of another shape.
    """
    folder = pathlib.Path(folder)
    described = folder / published_folder.CONFIG
    published = published_folder.read_json(described, _ADVICE)
    kind = CLIPSegConfig if published.get("model_type") == "clipseg" else CLIPConfig
    config = kind.from_published(published, str(described))
    path = _weights(folder, file)
    return Loaded(config, fill(config, reader.read(path), str(path)))


def fill(config: Config, published: Mapping[str, np.ndarray], what: str) -> dict[str, Any]:
    """Returns the network's variables in float32, made of published arrays of any precision.

    Raises:
      UserError: a tensor is missing, unused or of another shape; `what` names where they are from.
    """
    arrays = {
        name: array.astype(np.float32) for name, array in names.prepare(published, config).items()
    }
    return table.to_jax(conversion_table(config), arrays, variables(config), what)


def save(
    target: str | pathlib.Path, loaded: Loaded, *, like: str | pathlib.Path | None = None
) -> pathlib.Path:
    """Writes a folder that the publishers' library reads.

    Args:
      target: a folder that is not there yet, or empty.
      loaded: the network.
      like: a published folder whose names, precision, description and other files (tokenizer) the
        new one is to have. What was only read comes out as it was, byte for byte where the file is
        a safetensors file; torch's are written as those. Without it, parameters are float32.

    Returns:
      `target`.

    Raises:
      UserError: there is something at `target`, `like` is incomplete, or it has another network.
    """
    arrays = table.to_published(conversion_table(loaded.config), loaded.variables)
    name = WEIGHTS[0]
    with atomic_folder(target) as temporary:
        if like is None:
            published_folder.write_json(
                temporary / published_folder.CONFIG, loaded.config.to_published()
            )
        else:
            replaced = _weights(pathlib.Path(like))
            modern = functools.partial(names.modern, config=loaded.config)
            arrays = published_folder.spelled(arrays, reader.read(replaced), modern, replaced)
            name = replaced.name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
            # Other copies would hold what the network was before.
            published_folder.copy(pathlib.Path(like), temporary, map(pathlib.Path, WEIGHTS))
        safetensors.numpy.save_file(arrays, temporary / name, published_folder.METADATA)
    return pathlib.Path(target)


def _weights(folder: pathlib.Path, file: str = "") -> pathlib.Path:
    return published_folder.weights_file(folder, (file,) if file else WEIGHTS, _ADVICE)
