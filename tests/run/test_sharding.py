"""Devices: 8 against 1, pmap against jit, accumulation, another number on restore, processes."""

import jax
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.run import checkpoint, frozen, sharding, starting, train
from tests.run.test_train import assert_same, flat, one_device, rows, toy


def assert_close(one, other, rtol=2e-4, atol=2e-5):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """Six steps on one device. SGD-like agreement needs few steps: Adam magnifies round-off."""
    folder = tmp_path_factory.mktemp("single") / "run"
    return train.train(toy(*SHORT), folder, one_device()), folder


SHORT = (("train.steps", "6"), ("train.evaluate_every", "0"), ("train.checkpoint_every", "6"),
         ("optim.lr", "1e-3"))


@pytest.mark.parametrize(
    "overrides",
    [(), (("sharding.parameters", "fsdp"),)],
    ids=["replicated", "fsdp"],
)
def test_eight_devices_give_the_numbers_of_one(single, tmp_path, overrides):
    assert jax.device_count() == 8
    state = train.train(toy(*SHORT, *overrides), tmp_path / "run")
    # The noise is drawn once per step for the global batch, so nothing depends on the mesh.
    assert_close(state.params, single[0].params)
    for one, other in zip(rows(tmp_path / "run"), rows(single[1]), strict=True):
        assert one.split("loss")[0] == other.split("loss")[0]


def test_accumulation_gives_the_numbers_of_the_whole_batch(single, tmp_path):
    config = toy(*SHORT, ("train.accumulate", "4"))
    state = train.train(config, tmp_path / "run", one_device())
    assert_close(state.params, single[0].params)


def test_pmap_runs_the_same_method(tmp_path):
    config = toy(*SHORT, ("sharding.mode", "pmap"))
    state = train.train(config, tmp_path / "run")
    jit = train.train(toy(*SHORT), tmp_path / "jit")
    # Each replica draws its own noise, so only the order of magnitude of a step can differ.
    assert_close(state.params, jit.params, rtol=0.1, atol=2e-3)
    again = train.train(config, tmp_path / "run")
    assert_same(again, state)


def test_saved_on_eight_restored_on_two(tmp_path):
    config = toy(*SHORT, ("sharding.parameters", "fsdp"))
    state = train.train(config, tmp_path / "run")
    plan = sharding.Plan(jax.devices()[:2])
    saver = checkpoint.Checkpointer(tmp_path / "run", "train")
    restored, meta = saver.restore(checkpoint.abstract_state(method_lib.create(config), plan))
    assert meta["step"] == 6
    assert_same(restored.params, state.params)
    assert {d for x in jax.tree.leaves(restored.params) for d in x.devices()} == set(
        jax.devices()[:2]
    )


def test_fsdp_shards_large_leaves():
    plan = sharding.Plan(parameters="fsdp")
    large = jax.ShapeDtypeStruct((3, 3, 64, 256), np.float32)
    small = jax.ShapeDtypeStruct((256,), np.float32)
    specs = plan.state_shardings({"large": large, "small": small})
    assert specs["large"].spec == jax.sharding.PartitionSpec(None, None, None, "data")
    assert specs["small"].is_fully_replicated


def test_frozen_networks_are_read_straight_to_their_places(tmp_path, monkeypatch):
    """A network that is split may fit no device as a whole, not even for a moment."""
    monkeypatch.setattr(sharding, "SMALL", 64)
    config = toy(("train.steps", "0"), ("sharding.parameters", "fsdp"))
    with config.unlocked():
        config.stages = (
            {"name": "first", "overrides": {}},
            {"name": "second", "overrides": {},
             "start": (("first:params/painter", "frozen/teacher"),)},
        )
    fresh = train.train(config, tmp_path / "run")
    found, load = [], frozen.load
    monkeypatch.setattr(frozen, "load", lambda *given: found.append(load(*given)) or found[-1])
    state = train.train(config, tmp_path / "run")
    read = found[-1]["teacher"]
    assert_same(read, fresh.frozen["teacher"])
    kernel, shape = read["Conv_0"]["kernel"], (3, 3, 3, 1)  # of 8 features a device has one
    assert {shard.data.shape for shard in kernel.addressable_shards} == {shape}
    assert state.frozen["teacher"]["Conv_0"]["kernel"].sharding == kernel.sharding


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_each_phase_is_compiled_once(mode):
    """A phase may end one step and begin another: its program knows no difference."""
    config = toy(("sharding.mode", mode))
    plan = sharding.create_plan(config, one_device())
    method = method_lib.create(config, plan.axis_name)
    compiled = []
    plan.compile = lambda method, phase, *rest: (
        compiled.append(phase) or type(plan).compile(plan, method, phase, *rest)
    )
    run_phase = sharding.Phases(plan, method)
    key = jax.random.key(0)
    state = plan.place_state(starting.initial_state(method, plan, key))
    spec = method.spec(config.train.batch_size)
    batch = plan.place_batch({k: np.zeros(s.shape, s.dtype) for k, s in spec.items()})
    for phase, last in (("paint", True), ("critic", False), ("paint", False), ("critic", True)):
        state, _ = run_phase(phase, last, state, batch, key)
    assert int(plan.global_state(state).step) == 2
    assert compiled == ["paint", "critic"] == list(run_phase.facts)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("sharding.mode", "pjit", "'jit', 'pmap'"), ("sharding.parameters", "zero", "'fsdp'")],
)
def test_unknown_modes_are_named(key, value, words):
    with pytest.raises(UserError, match=words):
        sharding.create_plan(toy((key, value)))


@pytest.mark.parametrize("words", [(None, None, 0), (None, 2, None), ("auto", 2, None),
                                   ("auto", None, 0), ("host:1", 2, None)])
def test_numbers_of_processes_that_would_count_for_nothing_are_refused(words):
    with pytest.raises(UserError, match="--processes"):
        sharding.start_processes(*words)
