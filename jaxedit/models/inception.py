"""The Inception network of the Frechet Inception Distance (Heusel et al., NeurIPS 2017, section 4).

The weights are those of TensorFlow's `inception-2015-12-05`, in the form in which pytorch-fid
publishes them. The network is Inception v3 (Szegedy et al., CVPR 2016, arXiv 1512.00567) except
that average pools leave padding out of their average and that the last block pools by maximum.
Other Inception weights give other distances. Module names are those of the checkpoint.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.layers.convolution import conv2d
from jaxedit.weights.table import Entry, Table

SIZE = 299  # pixels, the side to which images are resized
FEATURES = 2048
MINIMUM = 75  # pixels, without the resize
_LECUN = nn.initializers.lecun_normal()

# A branch is a chain of convolutions: (name, channels, (kernel height, kernel width), stride,
# (padding height, padding width)).
_Chain = tuple[tuple[str, int, tuple[int, int], int, tuple[int, int]], ...]


def _convolution(name: str, channels: int, height: int, width: int = 0, stride: int = 1):
    """A convolution of a chain; stride 1 keeps the size, stride 2 has no padding."""
    width = width or height
    padding = (0, 0) if stride > 1 else (height // 2, width // 2)
    return name, channels, (height, width), stride, padding


class Convolution(nn.Module):
    """A convolution without bias, whose kernel and padding may be longer along one axis."""

    channels: int
    kernel: tuple[int, int]
    stride: int
    padding: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel, x.shape[-1], self.channels)
        kernel = initializers.parameter(self, "kernel", _LECUN, shape)
        kernel = kernel.astype(self.dtype)
        height, width = self.padding
        if height == width:
            return conv2d(x, kernel, strides=self.stride, padding=height)
        x = jnp.pad(x, ((0, 0), (height, height), (width, width), (0, 0)))
        return conv2d(x, kernel, strides=self.stride)


class ConvolutionNorm(nn.Module):
    """Convolution without bias, batch normalisation with stored statistics (eps 0.001), ReLU."""

    channels: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Convolution(
            self.channels, self.kernel, self.stride, self.padding, self.dtype, name="conv"
        )(x)
        x = nn.BatchNorm(
            use_running_average=True, epsilon=1e-3, dtype=self.dtype, name="bn"
        )(x)
        return nn.relu(x)


class Mixed(nn.Module):
    """Parallel chains of convolutions and one pooled branch, concatenated in this order.

    Attributes:
      chains: the branches ahead of the pooled one. A name that ends in "a" is followed by its
        twin "b", which reads the same input; both are outputs.
      pool: "average" (without padding in the average), "maximum", or "maximum, stride 2".
      pool_channels: channels of the 1x1 convolution after the pool; 0 has none.
    """

    chains: tuple[_Chain, ...]
    pool: str
    pool_channels: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        outputs = []
        for chain in self.chains:
            y, twins = x, []
            for name, *layer in chain:
                layer = ConvolutionNorm(*layer, dtype=self.dtype, name=name)
                if name.endswith(("a", "b")):
                    twins.append(layer(y))
                else:
                    y = layer(y)
            outputs.extend(twins or [y])
        pooled = self._pool(x)
        if self.pool_channels:
            pooled = ConvolutionNorm(
                self.pool_channels, (1, 1), dtype=self.dtype, name="branch_pool"
            )(pooled)
        return jnp.concatenate([*outputs, pooled], axis=-1)

    def _pool(self, x: jax.Array) -> jax.Array:
        if self.pool == "average":
            return nn.avg_pool(
                x, (3, 3), padding=((1, 1), (1, 1)), count_include_pad=False
            )
        if self.pool == "maximum":
            return nn.max_pool(x, (3, 3), padding=((1, 1), (1, 1)))
        return nn.max_pool(x, (3, 3), strides=(2, 2))


def _block_a(pool_channels: int, dtype: Any, name: str) -> Mixed:
    """35x35 pixels: 1x1, 5x5, two 3x3."""
    chains = (
        (_convolution("branch1x1", 64, 1),),
        (_convolution("branch5x5_1", 48, 1), _convolution("branch5x5_2", 64, 5)),
        (
            _convolution("branch3x3dbl_1", 64, 1),
            _convolution("branch3x3dbl_2", 96, 3),
            _convolution("branch3x3dbl_3", 96, 3),
        ),
    )
    return Mixed(chains, "average", pool_channels, dtype, name=name)


def _block_b(dtype: Any, name: str) -> Mixed:
    """35x35 to 17x17 pixels."""
    chains = (
        (_convolution("branch3x3", 384, 3, stride=2),),
        (
            _convolution("branch3x3dbl_1", 64, 1),
            _convolution("branch3x3dbl_2", 96, 3),
            _convolution("branch3x3dbl_3", 96, 3, stride=2),
        ),
    )
    return Mixed(chains, "maximum, stride 2", 0, dtype, name=name)


def _block_c(inner: int, dtype: Any, name: str) -> Mixed:
    """17x17 pixels: 7x7 convolutions factored into 1x7 and 7x1."""
    chains = (
        (_convolution("branch1x1", 192, 1),),
        (
            _convolution("branch7x7_1", inner, 1),
            _convolution("branch7x7_2", inner, 1, 7),
            _convolution("branch7x7_3", 192, 7, 1),
        ),
        (
            _convolution("branch7x7dbl_1", inner, 1),
            _convolution("branch7x7dbl_2", inner, 7, 1),
            _convolution("branch7x7dbl_3", inner, 1, 7),
            _convolution("branch7x7dbl_4", inner, 7, 1),
            _convolution("branch7x7dbl_5", 192, 1, 7),
        ),
    )
    return Mixed(chains, "average", 192, dtype, name=name)


def _block_d(dtype: Any, name: str) -> Mixed:
    """17x17 to 8x8 pixels."""
    chains = (
        (_convolution("branch3x3_1", 192, 1), _convolution("branch3x3_2", 320, 3, stride=2)),
        (
            _convolution("branch7x7x3_1", 192, 1),
            _convolution("branch7x7x3_2", 192, 1, 7),
            _convolution("branch7x7x3_3", 192, 7, 1),
            _convolution("branch7x7x3_4", 192, 3, stride=2),
        ),
    )
    return Mixed(chains, "maximum, stride 2", 0, dtype, name=name)


def _block_e(pool: str, dtype: Any, name: str) -> Mixed:
    """8x8 pixels: branches that end in a 1x3 and a 3x1 side by side."""
    chains = (
        (_convolution("branch1x1", 320, 1),),
        (
            _convolution("branch3x3_1", 384, 1),
            _convolution("branch3x3_2a", 384, 1, 3),
            _convolution("branch3x3_2b", 384, 3, 1),
        ),
        (
            _convolution("branch3x3dbl_1", 448, 1),
            _convolution("branch3x3dbl_2", 384, 3),
            _convolution("branch3x3dbl_3a", 384, 1, 3),
            _convolution("branch3x3dbl_3b", 384, 3, 1),
        ),
    )
    return Mixed(chains, pool, 192, dtype, name=name)


class FIDInception(nn.Module):
    """Images to the 2048 features of the last average pool.

    Attributes:
      resize: resize to 299x299 first, as every published distance does. Without it, sides of at
        least 75 pixels are taken as they are.
      dtype: the dtype of the computation; parameters are float32.
    """

    resize: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns features (B, 2048) float32 of images (B, H, W, 3) in [0, 1].

        Raises:
          UserError: without the resize, the images are too small.
        """
        if self.resize:
            x = resize(x)
        elif min(x.shape[1:3]) < MINIMUM:
            raise UserError(
                f"Without its resize the FID Inception needs images of at least {MINIMUM} pixels "
                f"a side, got {x.shape[1]}x{x.shape[2]}."
            )
        x = (2 * x - 1).astype(self.dtype)
        x = self._plain("Conv2d_1a_3x3", 32, 3, stride=2)(x)
        x = self._plain("Conv2d_2a_3x3", 32, 3)(x)
        x = self._plain("Conv2d_2b_3x3", 64, 3, padding=1)(x)
        x = nn.max_pool(x, (3, 3), strides=(2, 2))
        x = self._plain("Conv2d_3b_1x1", 80, 1)(x)
        x = self._plain("Conv2d_4a_3x3", 192, 3)(x)
        x = nn.max_pool(x, (3, 3), strides=(2, 2))
        x = _block_a(32, self.dtype, "Mixed_5b")(x)
        x = _block_a(64, self.dtype, "Mixed_5c")(x)
        x = _block_a(64, self.dtype, "Mixed_5d")(x)
        x = _block_b(self.dtype, "Mixed_6a")(x)
        x = _block_c(128, self.dtype, "Mixed_6b")(x)
        x = _block_c(160, self.dtype, "Mixed_6c")(x)
        x = _block_c(160, self.dtype, "Mixed_6d")(x)
        x = _block_c(192, self.dtype, "Mixed_6e")(x)
        x = _block_d(self.dtype, "Mixed_7a")(x)
        x = _block_e("average", self.dtype, "Mixed_7b")(x)
        x = _block_e("maximum", self.dtype, "Mixed_7c")(x)
        return jnp.mean(x.astype(jnp.float32), axis=(1, 2))

    def _plain(self, name: str, channels: int, kernel: int, stride: int = 1, padding: int = 0):
        return ConvolutionNorm(
            channels, (kernel, kernel), stride, (padding, padding), self.dtype, name=name
        )


def resize(images: jax.Array) -> jax.Array:
    """Returns (B, 299, 299, C) of images (B, H, W, C): bilinear between pixel centres, and
    without a low-pass filter even where the image shrinks, as the published features want it."""
    shape = (images.shape[0], SIZE, SIZE, images.shape[3])
    return jax.image.resize(images, shape, method="bilinear", antialias=False)


def conversion_table() -> Table:
    """Returns pytorch-fid's names -> places in the variables of `FIDInception`.

    The checkpoint also has the 1008-way classifier `fc.*`, which no distance uses.
    """
    renamed = {
        ("params", "conv", "kernel"): ("conv.weight", "conv"),
        ("params", "bn", "scale"): ("bn.weight", "same"),
        ("params", "bn", "bias"): ("bn.bias", "same"),
        ("batch_stats", "bn", "mean"): ("bn.running_mean", "same"),
        ("batch_stats", "bn", "var"): ("bn.running_var", "same"),
    }
    table = {}
    for path, _ in jax.tree.leaves_with_path(shapes()):
        collection, *modules, layer, leaf = (key.key for key in path)
        published, kind = renamed[collection, layer, leaf]
        table[".".join([*modules, published])] = Entry(
            (collection, *modules, layer, leaf), kind
        )
    return table


@functools.cache
def shapes() -> dict[str, Any]:
    """Returns the variables of `FIDInception` as shape structs."""
    images = jnp.zeros((1, MINIMUM, MINIMUM, 3))
    return jax.eval_shape(FIDInception(resize=False).init, jax.random.key(0), images)
