"""Which formulation computes a convolution on CPU: one table, by shape.

The table holds only on CPU and in float32. GPU and TPU have XLA's convolution in the lowered
program whatever stands here (see `layers.trilinear`), and so has everything under `xla`.

    auto  the table below
    xla   XLA's own convolution everywhere, bit for bit what `lax.conv_general_dilated` gives;
          parity with published networks is tested on it, and forward-mode differentiation needs it.
          Transposed convolutions with a stride are the exception: see `layers.transposed`

The mode is an argument of what is traced: `with using("auto"):` around a call holds for all that
is traced inside of it, on this thread. It is part of the key under which JAX keeps traced and
compiled functions, so that a program of one mode never serves the other. The methods of a
`Method` enter `preferring(config.layers.convolution)` themselves. `using` goes before the
environment variable JAXEDIT_CONVOLUTION, and that before `preferring`; with none, it is `xla`.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from jaxedit.host.names import check_choice
from jaxedit.layers.convolution.cells import Cells, of_cells
from jaxedit.layers.convolution.matrix_product import MatrixProduct
from jaxedit.layers.convolution.padded import Padded
from jaxedit.layers.convolution.strided import Strided
from jaxedit.layers.convolution.trilinear import Formulation, Geometry
from jaxedit.layers.convolution.winograd import Winograd

MODES = ("auto", "xla")
VARIABLE = "JAXEDIT_CONVOLUTION"
# The mode that a context has set, or None: per thread, and seen by the caches of `jax.jit`.
_CONTEXT = jax.make_user_context(None)

# Multiplications below which compiling takes longer than what is saved; Winograd's many small
# programs take seconds.
_WORK = 2**20
_WINOGRAD_WORK = 2**26
_LARGER_TILE_WORK = 2**27  # F(4, 3) takes three times as long to compile as F(2, 3)
_WINOGRAD_CHANNELS = 24  # fewer, and the transforms cost more than the products save
_CHANNELS_PER_TILE = 4  # more, and transforming the kernel costs more than is saved
_CHANNELS_PER_TILE_OF_CELLS = 1  # of four times the inputs
_LARGER_TILE_LIMIT = 1.6  # F(4, 3) computes at most this many times the outputs that are wanted
_TILE_LIMIT = 2.0  # and the others this many
_STRIDED_CHANNELS = 16
_STRIDED_PIXELS = 1024  # outputs in all images below which XLA's own gradients are as fast
_FEW_CHANNELS = 8  # of pictures and their like
_STEM_TAPS = 5  # a first layer with a kernel at least so large
_PADDING_LIMIT = 2.5  # padding and cropping may compute this many times the outputs


def mode() -> str:
    """Returns the mode that holds now, "auto" or "xla"."""
    return _CONTEXT.value or _variable() or "xla"


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Sets the mode of what is traced inside of `with`, whatever else is said.

    Raises:
      UserError: there is no such mode.
    """
    check_choice("The formulation of convolutions", name, MODES)
    with _CONTEXT(name):
        yield


@contextlib.contextmanager
def preferring(name: str) -> Iterator[None]:
    """Sets the mode inside of `with` unless a context around it or the environment has set one.

    Raises:
      UserError: there is no such mode.
    """
    check_choice("The formulation of convolutions", name, MODES)
    with _CONTEXT(_CONTEXT.value or _variable() or name):
        yield


def choose(geometry: Geometry, dtype: jnp.dtype) -> Formulation | None:
    """Returns how to compute a convolution on CPU, or None for XLA's own way."""
    if mode() == "xla" or dtype != jnp.float32 or 0 in geometry.output_shape:
        return None
    height, width, inputs, outputs = geometry.kernel_shape
    strides, padding, dilation = geometry.strides, geometry.padding, geometry.dilation
    work = _work(geometry)

    undilated = dilation == 1
    apart = undilated and max(height, width) <= strides and padding == 0
    strided = undilated and 1 < strides <= min(height, width)
    strided = strided and min(inputs, outputs) >= _STRIDED_CHANNELS

    larger = work >= _LARGER_TILE_WORK
    larger = larger and _pays(geometry, 4, _CHANNELS_PER_TILE, _LARGER_TILE_LIMIT)
    tile = 4 if larger else 2
    winograd = (height, width, strides) == (3, 3, 1)
    winograd = winograd and _pays(geometry, tile, _CHANNELS_PER_TILE, _TILE_LIMIT)

    cells, blocks = of_cells(geometry), of_cells(geometry, 2)
    two_taps = strided and cells.kernel_shape[:2] == (2, 2)
    two_taps = two_taps and _pays(cells, 3, _CHANNELS_PER_TILE_OF_CELLS, _TILE_LIMIT)

    pixels = math.prod(geometry.output_shape[:3])
    stem = undilated and strides == 1 and inputs <= _FEW_CHANNELS < outputs
    stem = stem and min(height, width) >= _STEM_TAPS
    padded = strides == 1 and (padding == 0 or outputs <= _FEW_CHANNELS)

    for applies, formulation in (
        (apart, MatrixProduct(geometry)),
        (work < _WORK, None),
        (winograd, Winograd(geometry, tile)),
        (two_taps, Cells(geometry, Winograd(cells, 3))),
        (strided and pixels >= _STRIDED_PIXELS, Strided(geometry)),
        (stem, Cells(geometry, Padded(blocks), 2)),
        (padded and _padded_excess(geometry) <= _PADDING_LIMIT, Padded(geometry)),
    ):
        if applies:
            return formulation
    return None


def is_matrix_product(geometry: Geometry, dtype: jnp.dtype) -> bool:
    """Whether the table leaves no convolution of XLA's in this one, forward or backward."""
    chosen = choose(geometry, dtype)
    chosen = chosen.plain if isinstance(chosen, Cells) else chosen
    return isinstance(chosen, (MatrixProduct, Winograd))


def _work(geometry: Geometry) -> int:
    """How many multiplications the convolution is by its definition."""
    return math.prod(geometry.output_shape) * math.prod(geometry.kernel_shape[:3])


def _pays(geometry: Geometry, m: int, channels_per_tile: int, limit: float) -> bool:
    """Whether tiles of m x m outputs gain more than is lost around the matrix products.

    Args:
      channels_per_tile: how many channels, of inputs or outputs, there may be to every tile.
      limit: how many times the wanted outputs the tiles may compute.
    """
    step = m * geometry.dilation
    batch, *sizes, _ = geometry.output_shape
    tiles = [-(-size // step) * geometry.dilation for size in sizes]
    excess = math.prod(count * m / size for count, size in zip(tiles, sizes, strict=True))
    channels = min(geometry.kernel_shape[2:])
    return (
        _work(geometry) >= _WINOGRAD_WORK
        and channels >= _WINOGRAD_CHANNELS
        and batch * math.prod(tiles) * channels_per_tile >= channels
        and excess <= limit
    )


def _padded_excess(geometry: Geometry) -> float:
    """How many times the wanted outputs a convolution computes that gives more than it is given."""
    return math.prod(
        max(given + 1, wanted) / wanted
        for given, wanted in zip(geometry.shape[1:3], geometry.output_shape[1:3], strict=True)
    )


def _variable() -> str | None:
    name = os.environ.get(VARIABLE)
    if name:
        check_choice(f"The environment variable {VARIABLE}", name, MODES)
    return name or None
