"""Copies for checkpoints: nothing that goes on living reaches a file that is written later."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.run import checkpoint, sharding, snapshot
from jaxedit.run.sums import RunningSums
from tests.run.test_train import one_device, toy


def test_a_copy_shares_nothing_and_keeps_every_kind():
    plan = sharding.Plan(parameters="fsdp")
    array = plan.place_state({"w": np.arange(2.0**15).reshape(256, 128)})["w"]
    tree = {"w": array, "half": jnp.ones(3, jnp.bfloat16), "key": jax.random.key(3),
            "host": np.ones(2)}
    taken = snapshot.take(tree)
    np.testing.assert_array_equal(taken["w"], np.asarray(array))
    assert isinstance(taken["w"], np.ndarray)
    assert not np.shares_memory(taken["w"], np.asarray(array))
    assert not np.shares_memory(taken["host"], tree["host"])
    assert taken["half"].dtype == jnp.bfloat16
    assert jax.random.key_data(taken["key"]).tolist() == [0, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_the_first_leaf_that_is_not_finite_is_named(dtype, value):
    good = {"a": np.ones((2, 2), dtype), "n": np.arange(3), "key": jax.random.key(0)}
    assert snapshot.first_not_finite(good) is None
    bad = np.ones((2, 2), dtype)
    bad[1, 0] = value
    assert snapshot.first_not_finite({**good, "net": {"kernel": bad}}) == "net/kernel"
    assert snapshot.first_not_finite({"net": [jnp.asarray(bad)]}) == "net/0"


def test_what_is_saved_is_what_was_there_when_saving_began(tmp_path, monkeypatch):
    """The writing thread is held up until the loop has gone on."""
    from jaxedit import method as method_lib

    method = method_lib.create(toy())
    plan = sharding.Plan(one_device())
    state = jax.jit(lambda rng: method.init(rng, method.spec(1)))(jax.random.key(0))
    sums = RunningSums({"loss": [1.0, 2.0]})
    data = {"position": {"next_index": 5}}
    saver = checkpoint.Checkpointer(tmp_path, "train")
    given = {}
    save = saver._manager.save
    monkeypatch.setattr(
        saver._manager, "save", lambda step, args, **rest: given.update(args=args)
    )
    saver.save(state, {"sums": sums.to_json(), "data": data}, None)
    sums.totals["loss"][0] += 99.0
    data["position"]["next_index"] = 6
    save(0, args=given["args"])
    saver.close()
    _, meta = checkpoint.Checkpointer(tmp_path, "train").restore(
        checkpoint.abstract_state(method, plan)
    )
    assert meta["sums"] == {"loss": [1.0, 2.0]} and meta["data"]["position"]["next_index"] == 5
