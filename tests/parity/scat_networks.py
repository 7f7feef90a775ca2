"""Builds SCAT's networks as a golden file describes them, filled with the file's weights."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import flax.linen as nn
import jax

from jaxedit.layers import spectral
from jaxedit.methods.scat import contrastive, discriminators, weights
from jaxedit.methods.scat.generator import Generator
from jaxedit.methods.scat.patch_discriminator import PatchDiscriminator
from tests.parity.golden import Golden

Built = tuple[nn.Module, dict[str, Any]]


def generator(file: Golden, key: str = "params") -> Built:
    """Returns (module, variables). Rates and upsampling come from the options or the text."""
    shapes = file.shapes(key)
    found = weights.describe_generator(shapes)
    rates = _rates(file, found["rates"])
    text = json.dumps([file.info.get("model", ""), file.info.get("options", {})])
    upsample = file.info.get("options", {}).get(
        "upsample", "bilinear_ac" if "bilinear" in text else "nearest"
    )
    module = Generator(found["channels"], found["blocks"], rates, upsample)
    table = weights.generator_table(found["blocks"], found["rates"])
    return module, weights.convert(table, file.published(key))


def _rates(file: Golden, count: int) -> tuple[int, ...]:
    options = file.info.get("options", {})
    rates = options.get("rates", file.info.get("rates"))
    if rates is None:
        text = re.search(r"rates?:? *\[?\(?(\d+(?:[,+] ?\d+)+)", file.info.get("model", ""))
        rates = text.group(1) if text else (1, 2, 4, 8)
    if isinstance(rates, str):
        rates = re.findall(r"\d+", rates)
    rates = tuple(int(rate) for rate in rates)
    assert len(rates) == count, f"{file.path.name}: rates {rates}, but {count} branches"
    return rates


def discriminator(file: Golden, key: str = "params") -> Built:
    """Returns (module, variables) of whichever discriminator the parameter names belong to."""
    found = weights.describe_discriminator(file.shapes(key))
    kind = found.pop("kind")
    if kind == "patch":
        module = PatchDiscriminator(**found)
        table = weights.patch_table(spectral_norm=found["spectral_norm"])
    else:
        module = discriminators.create(kind, **found)
        table = weights.discriminator_table(
            kind, spectral_norm=found["spectral_norm"], attention=found["attention"]
        )
    return module, weights.convert(table, file.published(key))


def head(file: Golden, key: str = "params_mlp") -> Built:
    """Returns (module, variables) of the contrastive head."""
    module = contrastive.ProjectionHead(file.shapes(key)["0.weight"][0])
    return module, weights.convert(weights.head_table(), file.published(key))


@functools.cache
def compiled(module: nn.Module, **options: Any):
    """Returns a jitted `apply` of `module`, one for all tests."""
    return jax.jit(functools.partial(module.apply, **options))


def evaluate(built: Built, *inputs: Any, **options: Any) -> Any:
    """Returns the module's output with its variables as they are (no power iteration)."""
    module, variables = built
    return compiled(module, **options)(variables, *inputs)


def iterated(built: Built) -> Built:
    """Returns the network with the spectral vectors that a pass in training mode uses."""
    module, variables = built
    vectors = jax.jit(spectral.iterate)(variables["params"], variables[spectral.COLLECTION])
    return module, {**variables, spectral.COLLECTION: vectors}
