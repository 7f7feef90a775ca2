"""A convolution and its two gradients as one family, so that any of them may be formulated anew.

A convolution y = x * w is linear in x and in w. With g, a weight for every output, the number

    T(x, w, g) = sum(g . (x * w))

is linear in each of the three, and its three partial derivatives are all there is to convolving:

    dT/dg = forward(x, w)            the convolution itself
    dT/dx = input_gradient(g, w)     what a transposed convolution computes
    dT/dw = kernel_gradient(x, g)

Each of the three is linear in its two arguments, and differentiating one of them gives the other
two again. A formulation states the three once, however it computes them; `forward`,
`input_gradient` and `kernel_gradient` below then are differentiable by reverse mode to any order,
as gradient and path-length penalties need. Forward mode (`jax.jvp`) is refused by JAX with a
TypeError, as for every function with a gradient of its own; the formulation `xla` has it.

On GPU and TPU all three are XLA's convolution, whatever the formulation: `layers.platforms` decides
when the program is lowered, and leaves no trace in it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Protocol

import jax
from jax import lax

from jaxedit.layers import platforms

_LAYOUT = ("NHWC", "HWIO", "NHWC")


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The shapes of one convolution; hashable, as it selects what is compiled.

    Attributes:
      shape: of x, (B, H, W, I).
      kernel_shape: of w, (kernel height, kernel width, I, O).
      strides: step along both axes.
      padding: rows and columns of zeros on every side.
      dilation: distance between kernel taps.
    """

    shape: tuple[int, int, int, int]
    kernel_shape: tuple[int, int, int, int]
    strides: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns further the last tap is than the first."""
        return tuple(self.dilation * (size - 1) for size in self.kernel_shape[:2])

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        height, width = (
            (size + 2 * self.padding - reach - 1) // self.strides + 1
            for size, reach in zip(self.shape[1:3], self.reach, strict=True)
        )
        return (self.shape[0], height, width, self.kernel_shape[3])


class Formulation(Protocol):
    """How to compute the three functions on CPU; a frozen (hashable) dataclass.

    x, w and g have the shapes of the geometry; g has the shape of the output.
    """

    geometry: Geometry

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array: ...

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array: ...

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array: ...


@dataclasses.dataclass(frozen=True)
class Plain:
    """XLA's own convolution with XLA's own gradients."""

    geometry: Geometry

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (h, w, I, O) -> (B, H', W', O)."""
        strides, padding, dilation = (
            (value, value)
            for value in (self.geometry.strides, self.geometry.padding, self.geometry.dilation)
        )
        return lax.conv_general_dilated(
            x, kernel, strides, (padding, padding), rhs_dilation=dilation, dimension_numbers=_LAYOUT
        )

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (h, w, I, O) -> (B, H, W, I)."""
        x = jax.ShapeDtypeStruct(self.geometry.shape, g.dtype)
        return jax.linear_transpose(lambda x: self.forward(x, kernel), x)(g)[0]

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (h, w, I, O)."""
        kernel = jax.ShapeDtypeStruct(self.geometry.kernel_shape, g.dtype)
        return jax.linear_transpose(lambda kernel: self.forward(x, kernel), kernel)(g)[0]


def _on(name: str, formulation: Formulation, *arguments: jax.Array) -> jax.Array:
    return platforms.dependent(
        *arguments,
        cpu=functools.partial(_computed, name, formulation),
        default=getattr(Plain(formulation.geometry), name),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _computed(name: str, formulation: Formulation, *arguments: jax.Array) -> jax.Array:
    """Returns what a formulation computes, traced once for all equal ones in a network.

    XLA puts what is called in the place of the call, so the program is the same as without.
    """
    return getattr(formulation, name)(*arguments)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def forward(formulation: Formulation, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the convolution of x (B, H, W, I) with kernel (h, w, I, O): (B, H', W', O)."""
    return _on("forward", formulation, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def input_gradient(formulation: Formulation, g: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the gradient of sum(g . forward(x, kernel)) in x: (B, H, W, I)."""
    return _on("input_gradient", formulation, g, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_gradient(formulation: Formulation, x: jax.Array, g: jax.Array) -> jax.Array:
    """Returns the gradient of sum(g . forward(x, kernel)) in kernel: (h, w, I, O)."""
    return _on("kernel_gradient", formulation, x, g)


def _define(function, first, second) -> None:
    """Gives `function`(a, b) the gradients `first`(cotangent, a, b) and `second`(cotangent, a, b).
    """
    function.defvjp(
        lambda formulation, a, b: (function(formulation, a, b), (a, b)),
        lambda formulation, saved, cotangent: (
            first(formulation, cotangent, *saved),
            second(formulation, cotangent, *saved),
        ),
    )


_define(
    forward,
    lambda formulation, g, x, kernel: input_gradient(formulation, g, kernel),
    lambda formulation, g, x, kernel: kernel_gradient(formulation, x, g),
)
_define(
    input_gradient,
    lambda formulation, x, g, kernel: forward(formulation, x, kernel),
    lambda formulation, x, g, kernel: kernel_gradient(formulation, x, g),
)
_define(
    kernel_gradient,
    lambda formulation, kernel, x, g: input_gradient(formulation, g, kernel),
    lambda formulation, kernel, x, g: forward(formulation, x, kernel),
)
