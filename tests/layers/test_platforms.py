"""What is traced for which platform."""

import jax
import jax.export
import jax.numpy as jnp
import pytest

from jaxedit.layers import platforms

X = jnp.arange(3.0)


def refused(x):
    raise AssertionError("traced in vain")


def test_what_is_for_others_is_not_traced_here_alone():
    function = lambda x: platforms.dependent(x, cpu=lambda x: x + 1, default=refused)
    with platforms.here_alone():
        assert jax.jit(function)(X).tolist() == [1, 2, 3]
    with pytest.raises(AssertionError, match="in vain"):
        jax.jit(function)(X)


def test_a_program_of_one_context_never_serves_the_other():
    function = jax.jit(lambda x: platforms.dependent(x, cpu=jnp.sin, default=jnp.cos))
    with platforms.here_alone():
        here = function(X)
    assert here.tolist() == function(X).tolist() == jnp.sin(X).tolist()
    for platform, name in (("cuda", "cosine"), ("cpu", "sine ")):
        text = jax.export.export(function, platforms=[platform])(X).mlir_module()
        assert name in text
