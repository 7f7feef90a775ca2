"""The loop: resuming, stopping, refusing; on a small method with two phases."""

import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit import main
from jaxedit.data import sources
from jaxedit.errors import NonFiniteLoss, UserError
from jaxedit.report import reading
from jaxedit.run import checkpoint, directory, disk, readers, stages, train, writer
from tests.data import folders

ROOT = pathlib.Path(__file__).parents[2]
TOY = str(ROOT / "tests" / "toy_method.py")


def toy(*overrides: tuple[str, str]) -> config_lib.ConfigDict:
    return config_lib.load(TOY, overrides)


def one_device():
    return jax.devices()[:1]


def flat(state):
    return {
        jax.tree_util.keystr(k): np.asarray(v)
        for k, v in jax.tree.leaves_with_path(jax.device_get(state))
    }


def assert_same(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """An uninterrupted run in a process of its own, as a user would start it."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    process = start(folder)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    return folder


def start(folder, *arguments, devices=1):
    environment = dict(
        os.environ,
        XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}",
        PYTHONPATH=str(ROOT),
    )
    return subprocess.Popen(
        [sys.executable, "-m", "jaxedit.main", f"--config={TOY}", f"--workdir={folder}",
         "--config.train.steps=24", "--config.train.checkpoint_every=3", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def rows(folder):
    path = folder / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def last_state(folder):
    config, method, state = readers.load_run(folder)
    return state


def test_reference_run_leaves_everything(reference):
    for name in ("config.json", "versions.json", "summary.json", "evaluation.json",
                 "report.html", "DONE"):
        assert (reference / name).is_file(), name
    assert list((reference / "events").iterdir())
    assert (reference / "pictures" / "held-out-samples.png").is_file()
    (one,) = {json.loads(r)["samples"]["all"] for r in rows(reference) if "samples" in r}
    assert one == 8  # of the toy's evaluations in between
    losses = [json.loads(r) for r in rows(reference) if json.loads(r)["split"] == "train"]
    assert losses[-1]["loss/paint"] < losses[0]["loss/paint"]
    assert [r["step"] for r in losses] == list(range(2, 25, 2))
    summary = json.loads((reference / "summary.json").read_text())
    assert summary["compile_seconds"].keys() == {"train/paint", "train/critic"}
    spent = summary["stage_seconds"]["train"]
    assert all(spent[what] > 0 for what in ("train", "compile", "evaluate", "save"))
    assert summary["train_seconds"] == spent["train"]
    # A finished run says so and is left alone.
    before = (reference / "metrics.jsonl").read_bytes()
    process = start(reference)
    assert process.wait(timeout=120) == 0
    assert "is finished" in process.stderr.read()
    assert (reference / "metrics.jsonl").read_bytes() == before


def test_killed_at_any_moment_ends_bit_identical(reference, tmp_path):
    folder = tmp_path / "run"
    for wanted in (1, 5, 11):
        process = start(folder)
        deadline = time.monotonic() + 240
        while len(rows(folder)) < wanted and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(folder)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    assert (folder / "metrics.jsonl").read_bytes() == (reference / "metrics.jsonl").read_bytes()
    assert_same(last_state(folder), last_state(reference))
    one, other = (json.loads((f / "evaluation.json").read_text()) for f in (folder, reference))
    assert one == other


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_request_to_stop_saves_and_exits_cleanly(reference, tmp_path, number, code):
    folder = tmp_path / "run"
    process = start(folder)
    while len(rows(folder)) < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    assert "saved step" in process.stderr.read() and not (folder / "DONE").exists()
    process = start(folder)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    assert (folder / "metrics.jsonl").read_bytes() == (reference / "metrics.jsonl").read_bytes()
    assert_same(last_state(folder), last_state(reference))


def test_truncated_newest_checkpoint_falls_back(tmp_path, capsys):
    config = toy()
    straight = train.train(config, tmp_path / "straight", one_device())
    folder = tmp_path / "run"
    train.train(config, folder, one_device())
    newest = folder / "checkpoints" / "train" / "12"
    victims = [p for p in (newest / "params").rglob("*") if p.is_file() and p.stat().st_size > 64]
    assert victims
    for victim in victims:
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    again = train.train(config, folder, one_device())
    message = capsys.readouterr().err
    assert "cannot be read" in message and "trying the one before" in message
    assert (folder / "broken_checkpoints" / "train-12").is_dir()
    assert_same(again, straight)
    one, other = tmp_path / "straight", folder
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def test_keeps_last_and_best(tmp_path):
    config = toy(("train.steps", "20"), ("train.checkpoint_every", "4"))
    train.train(config, tmp_path / "run", one_device())
    kept = sorted(int(p.name) for p in (tmp_path / "run/checkpoints/train").glob("[0-9]*"))
    scores = {
        r["step"]: r["psnr"] for r in map(json.loads, rows(tmp_path / "run"))
        if r["split"] == "eval"
    }
    best = max(scores, key=scores.get)
    assert kept == sorted({best, 16, 20})
    _, _, state = readers.load_run(tmp_path / "run", "best")
    assert int(state.step) == best
    with pytest.raises(UserError, match="no checkpoint of step 3"):
        readers.load_run(tmp_path / "run", 3)


def test_non_finite_loss_names_step_phase_and_term(tmp_path):
    config = toy(("explode_at", "7"))
    with pytest.raises(NonFiniteLoss, match=r"Step 7, phase 'paint': loss/paint is nan"):
        train.train(config, tmp_path / "run", one_device())
    _, _, state = readers.load_run(tmp_path / "run")
    assert int(state.step) == 4
    assert all(np.isfinite(v).all() for v in flat(state.params).values())


def test_other_configuration_is_refused(tmp_path):
    directory.prepare(toy(("optim.lr", "0.5")), tmp_path / "run")
    directory.prepare(toy(), tmp_path / "run")  # nothing there yet that could be lost
    (tmp_path / "run/checkpoints/train/4").mkdir(parents=True)
    with pytest.raises(UserError, match=r"optim\.lr: 0\.01 there, 0\.02 here"):
        directory.prepare(toy(("optim.lr", "0.02")), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        directory.prepare(toy(), tmp_path / "other")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="No space left for a checkpoint"):
        train.train(toy(), tmp_path / "run", one_device())
    assert not list((tmp_path / "run").glob("checkpoints/train/[0-9]*"))


def test_disk_that_fills_up_later_is_one_message(tmp_path, monkeypatch, capsys):
    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr(writer.Writer, "row", full)
    assert main.main([f"--config={TOY}", f"--workdir={tmp_path / 'run'}"]) == 2
    message = capsys.readouterr().err
    assert "no space left while writing metrics.jsonl" in message and "Traceback" not in message


def test_worker_processes_give_the_same_run(tmp_path):
    """Decoding in processes of their own changes no number, also after a resume."""
    root = folders.write(tmp_path / "pictures")
    broken = root / "images" / f"{sources.create(f'folder:{root}', 'train')[7]['id']}.png"
    broken.write_bytes(broken.read_bytes()[:900])
    arguments = [f"--config.data.source=folder:{root}", "--config.train.steps=6",
                 "--config.train.evaluate_every=0"]
    for name, workers in (("threads", 0), ("workers", 2)):
        process = start(tmp_path / name, f"--config.data.workers={workers}", *arguments)
        assert process.wait(timeout=300) == 0, process.stderr.read()
    for leftover in (tmp_path / "workers/DONE", tmp_path / "workers/checkpoints/train/6"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    process = start(tmp_path / "workers", "--config.data.workers=2", *arguments)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    assert_same(last_state(tmp_path / "workers").params, last_state(tmp_path / "threads").params)
    # What the workers skipped, before the resumption or after it, is the run's to report.
    assert f"skipped 1 of 15 records: {broken}" in process.stderr.read()
    one, two = (json.loads((tmp_path / name / "summary.json").read_bytes())["skipped"]["train"]
                for name in ("workers", "threads"))
    assert one == two and list(one[f"folder:{root}"]) == [str(broken)]


def test_stages_carry_parameters(tmp_path):
    config = toy()
    with config.unlocked():
        config.stages = (
            {"name": "first", "overrides": {"train": {"steps": 4}}},
            {"name": "second", "overrides": {"train": {"steps": 2, "seed": 5},
                                             "optim": {"lr": 0.0}},
             "carry": (("first:params/painter", "params/painter"),)},
        )
    state = train.train(config, tmp_path / "run", one_device())
    saver = checkpoint.Checkpointer(tmp_path / "run", "first")
    from jaxedit import method as method_lib
    from jaxedit.run import sharding

    stage = stages.read(config)[0]
    abstract = checkpoint.abstract_state(
        method_lib.create(stage.config), sharding.Plan(one_device())
    )
    first, _ = saver.restore(abstract)
    assert_same(state.params["painter"], first.params["painter"])
    with pytest.raises(AssertionError):
        assert_same(state.params["critic"], first.params["critic"])
    written = [(json.loads(r)["stage"], json.loads(r)["step"]) for r in rows(tmp_path / "run")
               if json.loads(r)["split"] == "train"]
    assert written == [("first", 2), ("first", 4), ("second", 2)]
    # Resuming a finished run of several stages changes nothing.
    run = tmp_path / "run"
    before, summary = (run / "metrics.jsonl").read_bytes(), (run / "summary.json").read_bytes()
    assert_same(train.train(config, run, one_device()), state)
    assert (run / "metrics.jsonl").read_bytes() == before
    assert (run / "summary.json").read_bytes() == summary
    # Where the last stage is resumed, what is known of the one before is still told.
    shutil.rmtree(run / "checkpoints" / "second")
    assert_same(train.train(config, run, one_device()), state)
    again, first = json.loads((run / "summary.json").read_bytes()), json.loads(summary)
    assert again["steps"] == first["steps"] and again["parameters"] == first["parameters"]
    assert again["compile_seconds"].keys() == first["compile_seconds"].keys()
    # What is saved within a checkpoint counts a little of the saving itself.
    known, all_of_it = (s["stage_seconds"]["first"]["train"] for s in (again, first))
    assert 0 < known <= all_of_it + 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([f"--config={TOY}", "--config.optim.lrr=1"], "optim.lr"),
        (["--config=nowhere.py"], "No configuration file"),
        ([f"--config={TOY}", "--config.layers.convolution=fast", "--workdir={tmp}/run"],
         "'auto', 'xla'"),
        (["--workdir=/nonexistent/run", "--mode=evaluate"], "no run directory"),
        ([f"--config={TOY}", "--config.train.batch_size=3", "--workdir={tmp}/run"], "multiple of"),
        ([f"--config={TOY}", "--config.data.source=folder:{tmp}", "--workdir={tmp}-run"], "{tmp}"),
    ],
)
def test_mistakes_end_in_one_message(arguments, words, tmp_path, capsys):
    code = main.main([a.replace("{tmp}", str(tmp_path)) for a in arguments])
    assert code == 2
    message = capsys.readouterr().err
    assert message.count("error:") == 1 and "Traceback" not in message
    assert words.replace("{tmp}", str(tmp_path)) in message
    assert not (tmp_path / "run").exists()  # nothing is left of a run that never began


def test_unknown_argument_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main.main([f"--config={TOY}", "--stepps=3"])
    assert stop.value.code == 2
    assert "--stepps=3" in capsys.readouterr().err


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, not a folder"):
        train.train(toy(), tmp_path / "file", one_device())


def test_a_report_that_cannot_be_made_does_not_undo_the_run(reference, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(reference, folder)
    (folder / "DONE").unlink()
    (folder / "versions.json").write_text("{")
    process = start(folder)
    message = process.communicate(timeout=300)[1]
    assert process.returncode == 0 and (folder / "DONE").is_file()
    assert "There is no report" in message and "versions.json is not valid JSON" in message
    (folder / "evaluation.json").unlink()
    (folder / "evaluation.json").mkdir()
    with pytest.raises(UserError, match=r"Cannot read .*evaluation\.json: Is a directory"):
        reading.read_evaluations(folder)
