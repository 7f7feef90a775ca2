"""The convolution that all matting networks here are made of: spectrally normalised, no bias."""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from jaxedit.layers.convolution import Conv

XAVIER = nn.initializers.xavier_uniform()


def spectral_conv(features: int, size: int = 3, *, kernel_init: Any = XAVIER, **options) -> Conv:
    """Returns a spectrally normalised convolution, padded by half of its size.

    Called inside of a module's `__call__`, it belongs to that module.

    Args:
      features: output channels.
      size: odd.
      kernel_init: how its kernel starts.
      **options: of `layers.convolution.Conv`, such as `strides`, `dtype` and `name`.
    """
    return Conv(
        features,
        kernel_size=size,
        padding=size // 2,
        use_bias=False,
        spectral_norm=True,
        kernel_init=kernel_init,
        **options,
    )
