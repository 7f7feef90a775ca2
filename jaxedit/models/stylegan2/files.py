"""Reading a generator of any size from a file as people have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.models.stylegan2 import ada, tables
from jaxedit.models.stylegan2.generator import Generator, average_code
from jaxedit.weights import reader, table


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A generator.

    Attributes:
      generator: the network.
      variables: its parameters and stored noise.
      average: (W,), the mean of its codes: the file's, or taken anew where it has none.
    """

    generator: Generator
    variables: Mapping[str, Any]
    average: np.ndarray


def read(path: str | Path) -> Loaded:
    """Returns the averaged generator of a file; its size and widths are those of its arrays.

    Args:
      path: of rosinality's PyTorch code (`g_ema`, perhaps `latent_avg`), or a pickle of
        stylegan2-ada, for PyTorch or TensorFlow.

    Raises:
      UserError: unreadable, or no generator of configuration f.
    """
    path = Path(path)
    is_pickle = reader.is_network_pickle(path)
    if is_pickle:
        arrays = ada.generator(reader.read(path, nested=("G_ema",)))
    else:
        arrays = reader.read(path, nested=("g_ema",))
        arrays |= reader.read(path, ignore=(f"[!{ada.AVERAGE[0]}]*",))  # what begins like it
    average = arrays.pop(ada.AVERAGE, None)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    try:
        described = tables.describe_generator({k: v.shape for k, v in arrays.items()})
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{path}: no generator of StyleGAN2 (missing {error}).") from error
    generator = Generator(**described)
    code = jax.ShapeDtypeStruct((1, generator.style_width), jnp.float32)
    variables = table.to_jax(
        tables.generator_table(generator.size, generator.mapping_layers),
        tables.prepare_generator(arrays), jax.eval_shape(generator.init, jax.random.key(0), code),
        str(path),
    )
    if average is None:
        average = jax.jit(lambda variables: average_code(generator, variables))(variables)
    return Loaded(generator, variables, np.asarray(average, np.float32))
