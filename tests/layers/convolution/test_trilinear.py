"""Every formulation of a convolution against a float64 reference and against XLA's own."""

import dataclasses
import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxedit.layers.convolution import trilinear
from jaxedit.layers.convolution.cells import Cells, of_cells
from jaxedit.layers.convolution.matrix_product import MatrixProduct
from jaxedit.layers.convolution.padded import Padded
from jaxedit.layers.convolution.strided import Strided
from jaxedit.layers.convolution.trilinear import Geometry, Plain
from jaxedit.layers.convolution.winograd import Winograd
from tests.layers.convolution import tap_by_tap


def sweep(count):
    return settings(max_examples=count, derandomize=True, deadline=None)


@st.composite
def geometries(draw, kernel_sizes, strides=(1,), paddings=(0,), dilations=(1,)):
    """Draws shapes with at least one output, square and not, odd and even, batch 1 and 2."""
    choose = lambda values: draw(st.sampled_from(values))
    kernel = choose(kernel_sizes)
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    stride, padding, dilation = choose(strides), choose(paddings), choose(dilations)
    height, width = (
        max(1, dilation * (size - 1) + 1 - 2 * padding) + draw(st.integers(0, 15))
        for size in kernel
    )
    inputs, outputs = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    shape = (draw(st.integers(1, 2)), height, width, inputs)
    return Geometry(shape, (*kernel, inputs, outputs), stride, padding, dilation)


def check(formulation, bound):
    """The three functions, compiled as one program, stay within `bound` of the reference."""
    geometry = formulation.geometry
    x, kernel, g = tap_by_tap.draw(geometry)
    expected = tap_by_tap.functions(geometry, x, kernel, g)

    def functions(x, kernel, g):
        return {
            "forward": trilinear.forward(formulation, x, kernel),
            "input_gradient": trilinear.input_gradient(formulation, g, kernel),
            "kernel_gradient": trilinear.kernel_gradient(formulation, x, g),
        }

    # Unoptimised machine code: the same sums, compiled in half the time.
    quick = jax.jit(functions, compiler_options={"xla_backend_optimization_level": 0})
    for name, actual in quick(x, kernel, g).items():
        assert tap_by_tap.relative_error(actual, expected[name]) < bound, name


@sweep(12)
@given(geometries((1, 3, (4, 2)), strides=(1, 2), paddings=(0, 1, 2), dilations=(1, 3)))
def test_xla(geometry):
    check(Plain(geometry), 5e-6)


@sweep(4)
@given(geometries((3,), paddings=(0, 1, 2), dilations=(1, 2, 4)))
def test_winograd_of_four(geometry):
    check(Winograd(geometry, 4), 1e-4)


@sweep(6)
@given(geometries((3,), paddings=(0, 1, 2), dilations=(1, 2, 4)))
def test_winograd_of_two(geometry):
    check(Winograd(geometry, 2), 1e-5)


@sweep(6)
@given(geometries((2,), paddings=(0, 1, 2), dilations=(1, 2, 4)))
def test_winograd_of_two_taps(geometry):
    check(Winograd(geometry, 3), 1e-5)


def winograd_on_cells(geometry):
    return Cells(geometry, Winograd(of_cells(geometry), 3))


@sweep(6)
@given(geometries((3, 4, (3, 4)), strides=(2,), paddings=(0, 1, 2)))
def test_winograd_on_cells(geometry):
    check(winograd_on_cells(geometry), 1e-5)


@sweep(12)
@given(
    geometries((1, 3, 4, 7, (3, 4)), strides=(1, 2, 3), paddings=(0, 1, 2)),
    st.sampled_from((1, 2, 3)),
)
def test_cells(geometry, block):
    check(Cells(geometry, Plain(of_cells(geometry, block)), block), 5e-6)


@sweep(10)
@given(geometries((1, 2, 3, 7, (4, 2)), paddings=(0, 1, 3), dilations=(1, 2)))
def test_padded(geometry):
    check(Padded(geometry), 5e-6)


@sweep(8)
@given(geometries((1, 2, 4, (3, 2)), strides=(4, 5)))
def test_matrix_product(geometry):
    check(MatrixProduct(geometry), 5e-6)


@sweep(5)
@given(geometries((1,)))
def test_matrix_product_of_one_pixel(geometry):
    check(MatrixProduct(geometry), 5e-6)


@sweep(12)
@given(geometries((3, 4, 5, (3, 4)), strides=(2, 3), paddings=(0, 1, 2)))
def test_strided(geometry):
    check(Strided(geometry), 5e-6)


def test_strided_image_by_image():
    check(Strided(Geometry((2, 98, 96, 2), (4, 4, 2, 3), 2, 1)), 5e-6)


FORMULATIONS = [
    Winograd(Geometry((1, 6, 5, 3), (3, 3, 3, 2), 1, 1, 1), 2),
    Padded(Geometry((1, 6, 5, 3), (3, 3, 3, 2), 1, 1, 1)),
    Padded(Geometry((2, 6, 5, 2), (3, 3, 2, 9), 1, 0, 1)),
    MatrixProduct(Geometry((1, 6, 4, 3), (2, 2, 3, 2), 2)),
    Strided(Geometry((1, 6, 8, 3), (4, 4, 3, 2), 2, 1)),
    winograd_on_cells(Geometry((1, 6, 8, 3), (4, 4, 3, 2), 2, 1)),
]
CHOICE = {"stablehlo.case", "stablehlo.return", "stablehlo.constant"}
NAMES = [f"{type(f).__name__} {f.geometry.kernel_shape}" for f in FORMULATIONS]


@pytest.mark.parametrize("formulation", FORMULATIONS, ids=NAMES)
def test_gradients_of_gradients_of_gradients(formulation):
    """Reverse over reverse over reverse, as XLA's own convolution has them."""
    x, kernel, _ = tap_by_tap.draw(formulation.geometry)

    def slopes(convolve):
        loss = lambda x, kernel: (jax.numpy.tanh(convolve(x, kernel)) ** 2).sum()
        penalty = lambda x, kernel: (jax.grad(loss)(x, kernel) ** 2).sum()
        third = lambda x, kernel: (jax.grad(penalty, 1)(x, kernel) ** 2).sum()
        return jax.jit(lambda x, kernel: (
            jax.grad(penalty, (0, 1))(x, kernel), jax.grad(third, (0, 1))(x, kernel)
        ))(x, kernel)

    ours = slopes(lambda x, kernel: trilinear.forward(formulation, x, kernel))
    theirs = slopes(Plain(formulation.geometry).forward)
    for actual, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert tap_by_tap.relative_error(actual, np.asarray(expected)) < 1e-4


@pytest.mark.parametrize("formulation", FORMULATIONS, ids=NAMES)
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_get_the_program_of_xla(formulation, platform):
    """The same operations, forward and backward, as if nothing had been formulated."""
    arguments = tap_by_tap.draw(formulation.geometry)

    def operations(convolve, platform):
        def functions(x, kernel, g):
            y, gradient = jax.vjp(convolve, x, kernel)
            return y, gradient(g)

        text = jax.export.export(jax.jit(functions), platforms=[platform])(*arguments).mlir_module()
        # What is left of the choice is a `case` of one branch, which XLA removes.
        names = set(re.findall(r"stablehlo\.\w+", text)) - CHOICE
        return names, sorted(re.findall(r"stablehlo\.convolution\(.*?\)(.*?) loc", text))

    ours = lambda x, kernel: trilinear.forward(formulation, x, kernel)
    plain = Plain(formulation.geometry).forward
    assert operations(ours, platform) == operations(plain, platform)
    assert operations(ours, "cpu") != operations(plain, "cpu")


def test_forward_mode_is_refused():
    formulation = FORMULATIONS[0]
    x, kernel, _ = tap_by_tap.draw(formulation.geometry)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: trilinear.forward(formulation, x, kernel), (x,), (x,))


def test_mapped_over_an_axis():
    formulation = FORMULATIONS[0]
    x, kernel, _ = tap_by_tap.draw(formulation.geometry)
    batched = jax.vmap(lambda x: trilinear.forward(formulation, x, kernel))(np.stack([x, 2 * x]))
    once = Plain(formulation.geometry).forward(x, kernel)
    np.testing.assert_allclose(batched, np.stack([once, 2 * once]), atol=1e-5)


_TRACED = []


@dataclasses.dataclass(frozen=True)
class Counted(Plain):
    """XLA's own, and counts how often it is traced."""

    def forward(self, x, kernel):
        _TRACED.append(self.geometry)
        return super().forward(x, kernel)


def test_equal_convolutions_of_a_network_are_traced_once():
    x, kernel = jnp.ones((1, 8, 8, 4)), jnp.ones((3, 3, 4, 4))
    geometry = Geometry(x.shape, kernel.shape, padding=1)
    _TRACED.clear()

    @jax.jit
    def network(x, kernel):
        for _ in range(3):
            x = trilinear.forward(Counted(geometry), x, kernel)
        return x

    plain = x
    for _ in range(3):
        plain = Plain(geometry).forward(plain, kernel)
    np.testing.assert_array_equal(network(x, kernel), plain)
    assert _TRACED == [geometry]
