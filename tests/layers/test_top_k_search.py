"""The blocked search against a plain sort: blocks that do not divide, ties, devices, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxedit.layers import top_k_search


def sorted_out(scores, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), order


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)  # small whole numbers: exact, with many ties
    queries = rng.integers(-2, 3, (5, 6)).astype(np.float32)
    return queries, rng.integers(-2, 3, (103, 6)).astype(np.float32)


@pytest.mark.parametrize("rows", [10, 103, 4096])
@pytest.mark.parametrize("devices", [1, 3])
def test_equals_a_sort(data, rows, devices):
    queries, collection = data
    mesh = None
    if devices > 1:
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,),
                             devices=jax.devices()[:devices])
    values, found = top_k_search.search(queries, collection, 7, rows=rows, mesh=mesh)
    expected, order = sorted_out(queries @ collection.T, 7)
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(values, expected)


def test_collections_on_disk_and_on_a_device(data, tmp_path):
    queries, collection = data
    np.save(tmp_path / "rows.npy", collection)
    for where in (np.load(tmp_path / "rows.npy", mmap_mode="r"), jnp.asarray(collection)):
        for approximate in (False, True):  # which is exact where there is no TPU
            _, found = top_k_search.search(queries, where, 3, rows=32, approximate=approximate)
            np.testing.assert_array_equal(found, sorted_out(queries @ collection.T, 3)[1])


def test_own_score_leaves_rows_out():
    def score(queries, block):
        same = queries["kind"][:, None] == block["kind"]
        return jnp.where(same, -jnp.abs(queries["x"][:, None] - block["x"]), -jnp.inf)

    queries = {"x": np.float32([1.0, 5.0]), "kind": np.int32([0, 7])}
    collection = {"x": np.float32([5, 4, 0.5, 9]), "kind": np.int32([0, 1, 0, 1])}
    values, found = top_k_search.search(queries, collection, 3, score=score, rows=3)
    np.testing.assert_array_equal(found, [[2, 0, -1], [-1, -1, -1]])
    np.testing.assert_array_equal(values[0], [-0.5, -4, -np.inf])


def test_nothing_to_search_in_is_not_an_error_but_no_rows_are():
    values, found = top_k_search.search(np.ones((2, 3)), np.ones((0, 3)), 2)
    assert (found == -1).all() and np.isneginf(values).all()
    with pytest.raises(ValueError, match="cannot be searched"):
        top_k_search.search(np.ones((2, 3)), (np.ones((4, 3)), np.ones((5, 3))), 2)
