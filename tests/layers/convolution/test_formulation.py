"""The table: which formulation a shape gets, and who may override it."""

import concurrent.futures

import jax
import jax.numpy as jnp
import pytest

from jaxedit.errors import UserError
from jaxedit.layers.convolution import conv2d, formulation
from jaxedit.layers.convolution.cells import Cells
from jaxedit.layers.convolution.matrix_product import MatrixProduct
from jaxedit.layers.convolution.padded import Padded
from jaxedit.layers.convolution.strided import Strided
from jaxedit.layers.convolution.trilinear import Geometry
from jaxedit.layers.convolution.winograd import Winograd


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(formulation.VARIABLE, raising=False)


def chosen(*arguments, dtype=jnp.float32):
    with formulation.using("auto"):
        return formulation.choose(Geometry(*arguments), dtype)


def tile(*arguments):
    found = chosen(*arguments)
    return found.m if isinstance(found, Winograd) else found


def test_tiles_follow_the_map():
    kernel = (3, 3, 256, 256)
    assert tile((1, 66, 66, 256), kernel) == 4
    assert tile((1, 64, 64, 256), kernel, 1, 1) == 4
    assert tile((1, 57, 57, 256), kernel, 1, 1) == 4  # the last tiles are not full
    assert tile((4, 32, 32, 256), (3, 3, 256, 64), 1, 0, 8) == 2  # 16 pixels, dilation 8
    assert tile((4, 8, 8, 256), kernel, 1, 1) == 2  # too few tiles of four
    assert tile((1, 8, 8, 256), kernel, 1, 1) is None  # and of two
    assert tile((8, 17, 17, 256), (3, 3, 256, 64), 1, 8, 8) is None  # neither tile pays


def test_other_kernels():
    assert isinstance(chosen((2, 8, 8, 16), (1, 1, 16, 4)), MatrixProduct)
    assert isinstance(chosen((2, 32, 32, 3), (16, 16, 3, 64), 16), MatrixProduct)
    stem = chosen((1, 70, 70, 4), (7, 7, 4, 64))
    assert isinstance(stem, Cells) and isinstance(stem.plain, Padded) and stem.block == 2
    assert isinstance(chosen((1, 64, 64, 64), (3, 3, 64, 3), 1, 1), Padded)
    for side in (3, 4):
        cells = chosen((2, 64, 64, 64), (side, side, 64, 128), 2, 1)
        assert isinstance(cells, Cells) and cells.plain.m == 3
        assert isinstance(chosen((4, 32, 32, 256), (side, side, 256, 512), 2, 1), Strided)
    assert isinstance(chosen((2, 64, 64, 64), (5, 5, 64, 128), 2, 1), Strided)
    assert chosen((8, 8, 8, 256), (4, 4, 256, 512), 2, 1) is None  # few pixels, many channels


def test_what_stays_with_xla():
    assert chosen((1, 8, 8, 4), (3, 3, 4, 4), 1, 1) is None  # small
    assert chosen((1, 66, 66, 256), (3, 3, 256, 256), dtype=jnp.bfloat16) is None
    assert chosen((1, 2, 2, 64), (3, 3, 64, 64)) is None  # no output at all


def test_what_goes_before_what(monkeypatch):
    assert formulation.mode() == "xla"
    with formulation.preferring("auto"):
        assert formulation.mode() == "auto"
        with formulation.using("xla"), formulation.preferring("auto"):
            assert formulation.mode() == "xla"
    monkeypatch.setenv(formulation.VARIABLE, "xla")
    with formulation.preferring("auto"):
        assert formulation.mode() == "xla"
    with formulation.using("auto"):
        assert formulation.mode() == "auto"
    assert formulation.mode() == "xla"


def test_unknown_modes(monkeypatch):
    with pytest.raises(UserError, match="convolutions 'fast' is unknown.*'auto', 'xla'"):
        with formulation.using("fast"):
            pass
    monkeypatch.setenv(formulation.VARIABLE, "winograd")
    with pytest.raises(UserError, match="variable JAXEDIT_CONVOLUTION 'winograd' is unknown"):
        formulation.mode()


def test_each_mode_has_its_own_program():
    """One jitted function, called in both modes and in two threads, never mixes them up."""
    x, kernel = jnp.ones((1, 64, 64, 64)), jnp.ones((3, 3, 64, 64))
    seen = []

    @jax.jit
    def inner(x, kernel):
        seen.append(formulation.mode())
        return conv2d(x, kernel, padding=1)

    convolve = jax.jit(lambda x, kernel: inner(x, kernel))

    def program(mode):
        with formulation.using(mode):
            return str(jax.make_jaxpr(convolve)(x, kernel))

    for mode in ("auto", "xla", "auto", "xla"):
        assert ("platform_index" in program(mode)) == (mode == "auto")
    assert seen == ["auto", "xla"]
    with formulation.using("auto"), concurrent.futures.ThreadPoolExecutor(1) as threads:
        assert threads.submit(formulation.mode).result() == "xla"  # a context is its thread's
        assert "platform_index" not in threads.submit(program, "xla").result()
        assert formulation.mode() == "auto"


def test_xla_mode_leaves_no_trace():
    x, kernel = jnp.ones((1, 64, 64, 64)), jnp.ones((3, 3, 64, 64))
    programs = {}
    for mode in formulation.MODES:
        with formulation.using(mode):
            programs[mode] = str(jax.make_jaxpr(lambda x, k: conv2d(x, k, padding=1))(x, kernel))
    assert "platform_index" not in programs["xla"] and "custom_vjp" not in programs["xla"]
    assert "platform_index" in programs["auto"]
    with formulation.using("xla"):  # and differentiates forward
        jax.eval_shape(lambda x: jax.jvp(lambda x: conv2d(x, kernel), (x,), (x,)), x)
