"""Parity with published networks is tested on the programs that users run: optimised, and on
XLA's own convolutions, bit for bit the same."""

import functools

import jax
import pytest

from jaxedit.layers.convolution import formulation


@pytest.fixture(autouse=True, scope="package")
def _plain_convolutions():
    with formulation.using("xla"):
        yield


@pytest.fixture(autouse=True, scope="package")
def _optimised_programs():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True, scope="package")
def _loops_as_users_have_them():
    options = {"xla_cpu_use_fusion_emitters": True, "xla_cpu_parallel_codegen_split_count": 32}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=options))
        yield
