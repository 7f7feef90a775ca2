"""Checkpoints: only damage sets one aside, one changed bit is found, nothing starts over."""

import errno
import json
import math
import shutil

import jax
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import NonFiniteLoss, UserError
from jaxedit.host import manifests
from jaxedit.run import checkpoint, damage, frozen, readers, sharding, stages, verdicts
from tests.run.test_train import assert_same, one_device, toy


@pytest.fixture(scope="module")
def untrained():
    """Returns (method, abstract state, state) of the toy; another optimizer stands for its own."""
    method = method_lib.create(toy())
    plan = sharding.Plan(one_device())
    state = jax.jit(lambda rng: method.init(rng, method.spec(1)))(jax.random.key(0))
    state = plan.place_state(state.replace(opt={"momentum": np.ones(64, np.float32)}))
    abstract = checkpoint.abstract_state(method, plan)
    momentum = jax.ShapeDtypeStruct((64,), np.float32, sharding=plan.replicated)
    return method, abstract.replace(opt={"momentum": momentum}), state


@pytest.fixture
def run(tmp_path, untrained):
    """A run directory with checkpoints 1, 2 and 3, of which the first is the best."""
    _, _, state = untrained
    (tmp_path / "config.json").write_text(config_lib.to_json(toy()))
    saver = checkpoint.Checkpointer(tmp_path, "train", keep_last=3, best=("psnr", "max"))
    for step, psnr in ((1, 29.0), (2, 22.0), (3, 24.0)):
        saver.save(state.replace(step=np.int32(step)), {"n": step}, {"psnr": psnr})
    saver.close()
    return tmp_path


def folder(run, step=3):
    return run / "checkpoints" / "train" / str(step)


def restore(run, untrained):
    saver = checkpoint.Checkpointer(run, "train", keep_last=3)
    try:
        return saver.restore(untrained[1])
    finally:
        saver.close()


def flip(path):
    """Changes one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def largest(where):
    return max((p for p in where.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def untouched(run):
    return not (run / "broken_checkpoints").exists() and all(
        folder(run, step).is_dir() for step in (1, 2, 3)
    )


def test_every_checkpoint_is_sealed_before_it_is_committed(run):
    for step in (1, 2, 3):
        assert manifests.is_sealed(folder(run, step)) and not manifests.damages(folder(run, step))
    files = json.loads((folder(run) / manifests.NAME).read_text())["files"]
    assert {p.split("/")[0] for p in files} >= {"params", "ema", "stats", "meta"}


@pytest.mark.parametrize("item", ["params", "ema", "opt", "metrics", "meta"])
def test_one_changed_bit_falls_back(run, untrained, capsys, item):
    flip(largest(folder(run) / item))
    state, meta = restore(run, untrained)
    assert (int(state.step), meta["n"]) == (2, 2)
    assert_same(state.params, untrained[2].params)
    assert (run / "broken_checkpoints" / "train-3" / item).is_dir() and not folder(run).exists()
    assert "its SHA-256 has changed" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b'{"psnr": 19.0}', b"{", b"\xff"])
def test_a_changed_figure_makes_no_other_checkpoint_the_best(
    run, untrained, capsys, monkeypatch, content
):
    assert readers._step(checkpoint.Checkpointer(run, "train", best=("psnr", "max")), "best") == 1
    (folder(run, 1) / "metrics" / "metrics").write_bytes(content)
    monkeypatch.setattr(readers.time, "sleep", lambda _: None)
    with pytest.raises(UserError, match=r"best cannot be told.*step 1: metrics/metrics .*2, 3\."):
        readers.load_run(run, "best", trust_code=True)
    assert int(readers.load_run(run, trust_code=True)[2].step) == 3 and untouched(run)
    saver = checkpoint.Checkpointer(run, "train", keep_last=1, best=("psnr", "max"))
    state, _ = saver.restore(untrained[1])
    assert int(state.step) == 3 == saver.best_step() and saver.steps() == [2, 3]
    assert "train/1 has damaged figures" in capsys.readouterr().err
    saver.save(state.replace(step=np.int32(4)), {}, {"psnr": 20.0})
    saver.close()
    assert saver.steps() == [3, 4] and (run / "broken_checkpoints/train-1/params").is_dir()


def test_the_only_checkpoint_gets_its_figures_later(tmp_path, untrained):
    """Saved on a request to stop, measured when the run goes on: it may well be the best."""
    run = tmp_path / "run"
    save = lambda step, psnr, **how: saver.save(
        untrained[2].replace(step=np.int32(step)), {}, psnr and {"psnr": psnr}, **how)
    saver = checkpoint.Checkpointer(run, "train", keep_last=1, best=("psnr", "max"))
    save(1, None)
    saver.wait()
    assert saver.best_step() is None
    save(1, 30.0, replace=True)
    assert saver.best_step() == 1
    for step in (2, 3):
        save(step, 20.0)
    saver.close()
    saver = checkpoint.Checkpointer(run, "train", keep_last=1, best=("psnr", "max"))
    assert saver.steps() == [1, 3] and saver.best_step() == 1
    figures = folder(run, 1) / "metrics" / "metrics"
    figures.write_text(figures.read_text().replace("30", "10"))
    saver.reload()
    assert list(saver.doubtful) == [1]


def test_a_reader_looks_again_where_a_checkpoint_is_being_deleted(run, monkeypatch):
    reader = checkpoint.Checkpointer(run, "train", best=("psnr", "max"), read_only=True)
    (folder(run, 1) / "metrics" / "metrics").unlink()  # as the run deletes it, file by file
    reader.reload()
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:  # the run comes to its end with it
            shutil.rmtree(folder(run, 1))

    monkeypatch.setattr(readers.time, "sleep", sleep)
    assert readers._step(reader, "best") == 3 and len(waits) == 2


def test_figures_that_decide_nothing_set_nothing_aside(run, monkeypatch, capsys):
    (folder(run, 1) / "metrics" / "metrics").write_bytes(b"{")
    for kept in ({}, {"best": ("psnr", "max"), "keep_best": 0}):
        assert checkpoint.Checkpointer(run, "train", **kept)._doubtful_before(3) == []
    assert not capsys.readouterr().err
    saver = checkpoint.Checkpointer(run, "train", best=("psnr", "max"))
    monkeypatch.setattr(verdicts, "worst", lambda _: verdicts.DAMAGED)  # of all processes
    assert saver._doubtful_before(3) == [1, 2]
    assert "train/2 has damaged figures (as another process says)" in capsys.readouterr().err


def test_what_was_set_aside_before_stays(run, untrained):
    for _ in range(2):
        flip(largest(folder(run) / "params"))
        assert int(restore(run, untrained)[0].step) == 2
        saver = checkpoint.Checkpointer(run, "train", keep_last=3)
        saver.save(untrained[2].replace(step=np.int32(3)), {}, None)
        saver.close()
    aside = run / "broken_checkpoints"
    assert sorted(p.name for p in aside.iterdir()) == ["train-3", "train-3.2"]
    assert all((aside / name / "params").is_dir() for name in ("train-3", "train-3.2"))


def test_a_checkpoint_whose_manifest_is_gone_is_damaged(run, untrained, capsys):
    (folder(run) / manifests.NAME).unlink()
    assert int(restore(run, untrained)[0].step) == 2
    assert "train/3 cannot be read (manifest.json is missing)" in capsys.readouterr().err


def test_a_checkpoint_of_before_manifests_is_still_read(tmp_path, untrained, monkeypatch):
    monkeypatch.setattr(checkpoint, "_SEALED", "n")
    monkeypatch.setattr(checkpoint.Checkpointer, "_seal", lambda _: None)
    saver = checkpoint.Checkpointer(tmp_path, "train")
    saver.save(untrained[2].replace(step=np.int32(1)), {}, None)
    saver.close()
    monkeypatch.undo()
    assert int(restore(tmp_path, untrained)[0].step) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]", b"{}", b"null", b"{", b"[" * 10**5])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json cannot be read as the configuration"):
        checkpoint.read_run_config(tmp_path)


def test_if_none_can_be_read_nothing_starts_over(run, untrained):
    for step in (1, 2, 3):
        shutil.rmtree(folder(run, step) / "params")
    with pytest.raises(UserError, match="None of the checkpoints .*step 3: .*step 1: .*is missing"):
        restore(run, untrained)
    assert untouched(run)


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), UserError, "cannot be read just now"),
        (ValueError("UNAVAILABLE: [OS error 116: ESTALE]"), UserError, "cannot be read just now"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (TypeError("no such network"), UserError, "is whole, but does not fit .*no such network"),
    ],
)
def test_what_is_no_damage_touches_nothing(run, untrained, monkeypatch, error, expected, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(damage.time, "sleep", lambda _: None)
    monkeypatch.setattr(checkpoint.ocp.CheckpointManager, "restore", fail)
    with pytest.raises(expected, match=words):
        restore(run, untrained)
    assert untouched(run)


def test_an_error_that_passes_is_not_even_seen(run, untrained, monkeypatch):
    real, answers = checkpoint.ocp.CheckpointManager.restore, [OSError(errno.EMFILE, "x")]

    def once(*arguments, **rest):
        if answers:
            raise answers.pop()
        return real(*arguments, **rest)

    monkeypatch.setattr(damage.time, "sleep", lambda _: None)
    monkeypatch.setattr(checkpoint.ocp.CheckpointManager, "restore", once)
    assert int(restore(run, untrained)[0].step) == 3 and untouched(run)


def test_parameters_that_are_not_finite_are_never_saved_and_never_used(
    run, untrained, monkeypatch, capsys
):
    state = untrained[2].replace(step=np.int32(4))
    bad = state.replace(ema=jax.tree.map(lambda x: x * math.nan, state.ema))
    saver = checkpoint.Checkpointer(run, "train", keep_last=3)
    with pytest.raises(NonFiniteLoss, match="Step 4: ema/painter/.* is NaN"):
        saver.save(bad, {}, None)
    assert saver.steps() == [1, 2, 3]
    # As an older version did it.
    monkeypatch.setattr(saver, "_check_finite", lambda *_: None)
    saver.save(bad, {}, None)
    saver.close()
    assert int(restore(run, untrained)[0].step) == 3
    assert "ema/painter" in capsys.readouterr().err
    assert (run / "broken_checkpoints" / "train-4").is_dir()


def test_a_reader_falls_back_and_moves_nothing(run, capsys):
    flip(largest(folder(run) / "params"))
    _, _, state = readers.load_run(run, trust_code=True)
    message = capsys.readouterr().err
    assert int(state.step) == 2 and "cannot be read" in message and "is left where it is" in message
    assert untouched(run)
    with pytest.raises(UserError, match=r"train/3 cannot be read .* others, of step 1, 2\."):
        readers.load_run(run, 3, trust_code=True)


def test_a_reader_beside_a_run_that_replaces_its_checkpoints(run, untrained):
    reader = checkpoint.Checkpointer(run, "train", read_only=True)
    assert reader.steps() == [1, 2, 3]
    writer = checkpoint.Checkpointer(run, "train", keep_last=1)
    writer.save(untrained[2].replace(step=np.int32(4)), {}, None)
    writer.close()
    assert not folder(run).exists()
    assert int(readers.choose(reader, None, untrained[1]).step) == 4


def test_a_stage_that_has_saved_nothing_hides_no_other(run):
    config = toy()
    with config.unlocked():
        config.stages = ({"name": "train", "overrides": {}}, {"name": "next", "overrides": {}})
    (run / "config.json").write_text(config_lib.to_json(config))
    (run / "checkpoints" / "next").mkdir()
    (run / "checkpoints" / "next" / "4.orbax-checkpoint-tmp").mkdir()
    assert [s.name for s in stages.read(config)] == ["train", "next"]
    assert int(readers.load_run(run, trust_code=True)[2].step) == 3


@pytest.mark.parametrize("metrics", [{"l1": 0.5}, {"psnr": math.nan}, {"psnr": None}, {}])
def test_without_a_finite_best_figure_a_checkpoint_counts_as_unmeasured(
    tmp_path, untrained, metrics
):
    saver = checkpoint.Checkpointer(tmp_path, "train", keep_last=1, best=("psnr", "max"))
    for step, figures in enumerate([{"psnr": 3.0}, metrics, {"psnr": 2.0}, metrics], 1):
        saver.save(untrained[2].replace(step=np.int32(step)), {}, figures)
    saver.close()
    assert saver.steps() == [1, 4]
    assert checkpoint.Checkpointer(
        tmp_path, "train", best=("psnr", "max"), read_only=True
    ).best_step() == 1


def test_frozen_networks_load_on_other_devices_and_name_their_damage(tmp_path):
    plan = sharding.Plan()
    networks = {"encoder": {"kernel": np.arange(600, dtype=np.float32).reshape(20, 30)}}
    placed = jax.tree.map(lambda x: sharding.place(x, plan.replicated), networks)
    frozen.save(tmp_path, "train", {"other": {"bias": placed["encoder"]["kernel"]}})
    frozen.save(tmp_path, "train", placed)  # a fresh start replaces what it finds
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    loaded = frozen.load(tmp_path, "train", lambda tree: jax.tree.map(lambda _: one, tree))
    assert_same(loaded, networks)
    assert loaded["encoder"]["kernel"].devices() == {jax.devices()[0]}
    assert len(frozen.load(tmp_path, "train")["encoder"]["kernel"].devices()) == 8
    manifest = tmp_path / "frozen" / "train" / manifests.NAME
    text = manifest.read_text()
    manifest.unlink()
    frozen.load(tmp_path, "train")  # as in a run of before manifests
    (tmp_path / "checkpoints" / "train" / "2").mkdir(parents=True)
    (tmp_path / "checkpoints" / "train" / "2" / manifests.NAME).write_text("{}")
    with pytest.raises(UserError, match="damaged .manifest.json is missing, .* a copy"):
        frozen.load(tmp_path, "train")
    manifest.write_text(text)
    flip(largest(tmp_path / "frozen" / "train"))
    with pytest.raises(UserError, match="frozen networks of stage 'train' .* damaged .* a copy"):
        frozen.load(tmp_path, "train")
    frozen.save(tmp_path, "train", {})
    assert frozen.load(tmp_path, "train") == {}


def test_shapes_are_traced_once_for_a_configuration(monkeypatch):
    plan, traced = sharding.Plan(one_device()), []
    init = method_lib.Method.init
    monkeypatch.setattr(method_lib.Method, "init", lambda self, *given: (
        traced.append(self.config.train.seed) or init(self, *given)
    ))
    for seed in ("1077", "1078", "1077", "1077"):
        method = method_lib.create(toy(("train.seed", seed)))
        found = checkpoint.abstract_state(method, plan)
        assert jax.tree.structure(found.params) == jax.tree.structure(
            jax.eval_shape(lambda m=method: m.variables(jax.random.key(0), m.spec(1))).params
        )
    assert traced == [1077, 1078]
