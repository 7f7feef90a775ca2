"""Folders of latent diffusion models in the publisher's layout: read, and written for others.

    unet/config.json    unet/diffusion_pytorch_model.safetensors
    vae/config.json     vae/diffusion_pytorch_model.safetensors
    scheduler/scheduler_config.json

Copies in half precision end in `.fp16.safetensors`; older folders have torch's `.bin`. What else
stands in such a folder (text encoder, tokenizer, safety checker) is left alone here, and copied
where a folder is written after another.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from jaxedit.host.atomic import atomic_folder
from jaxedit.host.names import check_choice
from jaxedit.models.diffusion import names, parts
from jaxedit.models.diffusion.parts import PARTS, Config, Part
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.weights import published_folder, reader, table

_SCHEDULE = "scheduler/scheduler_config.json"
WEIGHTS = tuple(
    f"diffusion_pytorch_model{variant}.{ending}"
    for ending in ("safetensors", "bin") for variant in ("", ".fp16")
)
_ADVICE = "Give the whole folder of a Stable Diffusion 1.x model, as published."


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A network's description and its variables, {"params": ...} of float32 arrays."""

    config: Config
    variables: Mapping[str, Any]


def load(folder: str | pathlib.Path, name: str, *, file: str = "") -> Loaded:
    """Reads a part of a published folder.

    Args:
      folder: the folder of the whole model.
      name: "unet" or "vae".
      file: which of `WEIGHTS`; by default the first of them that is there.

    Raises:
      UserError: the folder is incomplete; the description is of another network; a tensor is
        missing, unused or of another shape.
    """
    part, place = _part(name), pathlib.Path(folder) / name
    described = place / published_folder.CONFIG
    config = part.config.from_published(
        published_folder.read_json(described, _ADVICE), str(described)
    )
    path = _weights(place, file)
    return Loaded(config, fill(part, config, reader.read(path), str(path)))


def fill(
    part: Part, config: Config, published: Mapping[str, np.ndarray], what: str
) -> dict[str, Any]:
    """Returns the part's variables in float32, made of published arrays of any precision.

    Raises:
      UserError: a tensor is missing, unused or of another shape; `what` names where they are from.
    """
    published = {
        name: array.astype(np.float32) for name, array in part.prepare(published).items()
        if array.dtype.kind not in "iub"
    }
    return table.to_jax(part.table(config), published, part.variables(config), what)


def load_schedule(folder: str | pathlib.Path) -> Schedule:
    """Returns the noise schedule that a published folder asks for, whichever sampler it names."""
    path = pathlib.Path(folder) / _SCHEDULE
    return Schedule.from_published(published_folder.read_json(path, _ADVICE), str(path))


def save(
    target: str | pathlib.Path,
    loaded: Mapping[str, Loaded],
    *,
    like: str | pathlib.Path | None = None,
    schedule: Schedule | None = None,
) -> pathlib.Path:
    """Writes a folder that the publisher's library reads.

    Args:
      target: a folder that is not there yet, or empty.
      loaded: part's name -> network.
      like: a published folder whose names, shapes, precision, descriptions and other files the new
        one is to have. A part that was only read comes out as it was, byte for byte where the file
        is a safetensors file; torch's are written as those. Without it, parts are float32.
      schedule: where given, and nothing is given for `like`, written too.

    Returns:
      `target`.

    Raises:
      UserError: there is something at `target`, `like` is incomplete, or it has another network.
    """
    target = pathlib.Path(target)
    source = None if like is None else pathlib.Path(like)
    for name in loaded:
        _part(name)
    replaced = {} if source is None else {name: _weights(source / name) for name in loaded}
    with atomic_folder(target) as temporary:
        if source is not None:
            # Other copies of a part that is written anew would hold what it was before.
            left_out = {place / file for place in map(pathlib.Path, loaded) for file in WEIGHTS}
            published_folder.copy(source, temporary, left_out)
        elif schedule is not None:
            published_folder.write_json(temporary / _SCHEDULE, {
                "_class_name": "DDIMScheduler", **dataclasses.asdict(schedule),
                "clip_sample": False,
            })
        for name, network in loaded.items():
            place, part = temporary / name, PARTS[name]
            arrays = table.to_published(part.table(network.config), network.variables)
            file = WEIGHTS[0]
            if source is not None:
                file = replaced[name].name.replace(".bin", ".safetensors")
                arrays = published_folder.spelled(
                    arrays, reader.read(replaced[name]), names.modern, replaced[name]
                )
            else:
                described = {"_class_name": part.class_name, "act_fn": "silu"}
                published_folder.write_json(
                    place / published_folder.CONFIG,
                    described | dataclasses.asdict(network.config),
                )
            place.mkdir(parents=True, exist_ok=True)
            safetensors.numpy.save_file(arrays, place / file, published_folder.METADATA)
    return target


def _part(name: str) -> Part:
    check_choice("the part of a diffusion model", name, PARTS)
    return parts.PARTS[name]


def _weights(place: pathlib.Path, file: str = "") -> pathlib.Path:
    return published_folder.weights_file(place, (file,) if file else WEIGHTS, _ADVICE)
