"""Parameters that are drawn one by one are those of the program that draws all of them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.run import drawing

normal = jax.jit(jax.nn.initializers.normal(), static_argnums=1)


def state(key, start):
    keys = jax.random.split(key, 4)
    first, second = normal(keys[0], (8, 8)), normal(keys[1], (8, 8))
    late = jax.random.fold_in(key, (3 * start["value"][0]).astype(jnp.int32))  # is computed first
    unneeded = jnp.linalg.inv(first @ second)
    return {
        "drawn": [first, second, jax.random.uniform(keys[2], (3,)), normal(late, (8, 8)) + first],
        "orthogonal": jnp.linalg.qr(jax.random.normal(keys[3], (4, 4)))[0],
        "computed": {"one": start["value"] * 2 + unneeded.shape[0], "none": None},
        "given": start["value"], "constant": jnp.arange(3), "number": 2.0,
    }


def test_it_is_what_one_program_gives():
    start = {"value": np.array([1.0, 2.0], np.float32)}
    drawn = drawing.drawn(state, jax.random.key(3), start)
    expected = jax.jit(state)(jax.random.key(3), start)
    assert jax.tree.structure(drawn) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(drawn), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_array_equal(drawn["drawn"][1], expected["drawn"][1])


def test_every_array_has_memory_of_its_own():
    """An average begins as its parameter, and weights as those of a file: neither is shared."""
    start = {"value": np.ones((64, 64), np.float32)}

    def shared(key, start):
        drawn = normal(key, (64, 64))
        return [drawn, drawn, start["value"], start["value"], jnp.zeros((64, 64)), 2.0, key]

    found = drawing.drawn(shared, jax.random.key(0), start)
    assert all(isinstance(one, jax.Array) for one in found)
    assert found[5].dtype == jnp.float32
    assert jax.random.key_data(found[6]).tolist() == [0, 0]
    places = {one.unsafe_buffer_pointer() for one in found[:5]}
    assert len(places | {start["value"].ctypes.data}) == 6


def test_like_draws_share_a_program_and_what_is_not_needed_is_not_computed():
    drawing._program.cache_clear()
    drawing.drawn(lambda key: [
        normal(one, (5, 6)) for one in jax.random.split(key, 9)
    ], jax.random.key(0))
    info = drawing._program.cache_info()
    assert info.hits >= 8 and info.misses < 6

    def with_more(key):
        jax.pure_callback(lambda: 1 / 0, jax.ShapeDtypeStruct((), jnp.float32))  # fails if it runs
        return normal(key, (5, 6))

    assert drawing.drawn(with_more, jax.random.key(0)).shape == (5, 6)
