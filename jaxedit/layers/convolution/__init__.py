"""Convolutions: the layers that networks use, and the formulations for CPU behind them."""

from jaxedit.layers.convolution.layer import Conv, conv2d

__all__ = ["Conv", "conv2d"]
