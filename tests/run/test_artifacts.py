"""Host stages: built once, killed or not, alone or by several processes; what later stages get."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from jaxedit import config as config_lib
from jaxedit import main
from jaxedit import method as method_lib
from jaxedit.apply import applier
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.host import digests
from jaxedit.layers.convolution import formulation
from jaxedit.run import artifacts, readers, train
from jaxedit.run.preemption import Preempted, StopRequest
from jaxedit.state import Artifact, State
from tests import toy_method
from tests.data import folders
from tests.run.test_multiprocess import free_port
from tests.run.test_train import ROOT, TOY, assert_same, one_device


def told(*overrides):
    return config_lib.load(f"{TOY}:told", overrides)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told") / "run"
    config = told(("train.evaluate_every", "0"), ("train.steps", "2"))
    return folder, config, train.train(config, folder, one_device())


def test_later_stages_stand_on_the_artefact(run):
    folder, config, state = run
    made = folder / "artifacts" / "colours"
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest.keys() == {"stage", "method", "facts", "files", "seconds", "sha256"}
    assert manifest["stage"] == "colours" and manifest["method"] == "tests.toy_method"
    words = json.loads((made / "words.json").read_text())
    assert manifest["facts"] == {"words": len(words), "pieces": 4} and "astronaut" in words
    assert manifest["files"] == digests.describe(made, ["manifest.json"])
    assert sorted(manifest["files"]) == ["text.safetensors", "words.json"]
    assert not made.with_name("colours.partial").exists()

    table = state.frozen["text"]["params"]["colours"]["embedding"]
    assert table.shape == (len(words) + 1, 3) and np.ptp(np.asarray(table)) > 0.1
    _, _, sketch = readers.load_run(folder, stage="sketch")
    assert_same(sketch.frozen, state.frozen)
    # The second stage began from the average of the first: two steps lead not far away.
    distance = lambda one: max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(
            jax.tree.leaves(state.params["painter"]), jax.tree.leaves(one), strict=True
        )
    )
    assert distance(sketch.ema["painter"]) < 0.03 < distance(sketch.params["critic"])


def test_frozen_networks_that_are_gone_are_missed_where_they_are_needed(run, capsys):
    folder, _, _ = run
    frozen, aside = folder / "frozen", folder.with_name("aside")
    frozen.rename(aside)
    try:
        assert main.main(["--mode=evaluate", f"--workdir={folder}"]) == 2
        message = capsys.readouterr().err
        place = frozen / "finish"
        assert f"The frozen network 'text' is needed, and stage 'finish' has no folder {place}" in (
            message
        ) and "from a copy" in message
        _, _, state = readers.load_run(folder)
        assert state.ema["painter"] and not state.frozen
        inputs = {"image": np.zeros((16, 16, 3)), "mask": np.ones((16, 16, 1))}
        with pytest.raises(UserError, match="'text' is needed.*from a copy"):
            applier.from_run(folder, "inpaint")(**inputs)
        # A task that does without them is not refused.
        double = jax.jit(lambda one: jax.tree.map(lambda x: 2 * x, one).ema)
        assert_same(double(state), jax.tree.map(lambda x: 2 * x, state.ema))
    finally:
        aside.rename(frozen)


def test_what_is_finished_stays_and_inference_gets_it(run):
    folder, config, state = run
    before = digests.describe(folder / "artifacts")
    assert_same(train.train(config, folder, one_device()), state)
    assert digests.describe(folder / "artifacts") == before
    _, method, loaded = readers.load_run(folder)
    assert "astronaut" in method.words
    inputs = {name: np.zeros(s.shape, s.dtype) for name, s in method.spec(1).items()}
    inputs["mask"] += 1
    say = lambda word: method.predict(
        loaded, {**inputs, "words": np.asarray([[method.words.index(word) + 1, 0, 0, 0]])},
        jax.random.key(0), task="inpaint",
    )["composite"]
    assert float(np.abs(say("astronaut") - say("flower")).max()) > 1e-3
    with pytest.raises(UserError, match=r"configuration.*\n.*build_records"):
        train.train(told(("build_records", "32")), folder, one_device())


def test_damage_is_found_before_anything_stands_on_it(run, tmp_path):
    folder, config, _ = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    file = copy / "artifacts/colours/text.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for use in (lambda: train.train(config, copy, one_device()), lambda: readers.load_run(copy)):
        with pytest.raises(UserError, match="damaged: text.safetensors.*remove it and start"):
            use()
    shutil.rmtree(file.parent)
    with pytest.raises(UserError, match="no artefact of stage 'colours'.*which builds it"):
        readers.load_run(copy)
    # What is built again is the same, and what stands on it goes on.
    shutil.copytree(folder / "artifacts/colours", file.parent.with_name("colours.partial"))
    state = train.train(config, copy, one_device())
    assert_same(state, run[2])
    assert artifacts.load(copy, "colours").arrays("text.safetensors").keys() == {"params"}


def start(folder, *arguments, preset="colours"):
    """Starts a run, of nothing but the host stage unless said otherwise, as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "jaxedit.main", f"--config={TOY}:{preset}", f"--workdir={folder}",
         *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT),
                 XLA_FLAGS="--xla_force_host_platform_device_count=1"),
    )


def test_killed_build_goes_on_and_ends_the_same(run, tmp_path):
    folder = tmp_path / "run"
    part = folder / "artifacts" / "colours.partial" / "part-0"
    process = start(folder, "--config.build_pause=0.4")
    deadline = time.monotonic() + 120
    while len(list(part.glob("*.json"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in part.glob("*.json")}
    assert 2 <= len(done) < 4
    (part / ".0003.json.1-0000abcd.tmp").write_text("half")  # by another machine, a moment ago
    (part / ".folder.1-0000abcd.tmp").mkdir()
    # Nobody may take the parts for the artefact.
    with pytest.raises(UserError, match="no artefact of stage 'colours'"):
        artifacts.load(folder, "colours")
    again = {}
    process = start(folder, "--config.build_pause=0.4")
    while process.poll() is None:
        again |= {p.name: p.stat().st_mtime_ns for p in list(part.glob("*.json"))
                  if p.name in done and p.exists()}
        time.sleep(0.05)
    assert process.returncode == 0, process.stderr.read()
    assert again == done  # what was whole was kept
    made = folder / "artifacts" / "colours"
    assert artifacts.load(folder, "colours").facts["pieces"] == 4
    reference = run[0] / "artifacts" / "colours"
    assert digests.describe(made, ["manifest.json"]) == digests.describe(
        reference, ["manifest.json"]
    )
    assert (folder / "DONE").exists() and "colours" in (folder / "report.html").read_text()


def test_two_processes_share_the_work_and_start_from_it(run, tmp_path):
    port = free_port()
    processes = [
        start(tmp_path / "two", f"--coordinator=localhost:{port}", "--processes=2",
              f"--process_index={index}", f"--config.build_pause={0.3 * index}",
              "--config.train.steps=2", "--config.train.evaluate_every=0", preset="told")
        for index in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    _, _, state = readers.load_run(tmp_path / "two")
    assert_same(state.frozen, run[2].frozen)
    made, reference = (f / "artifacts" / "colours" for f in (tmp_path / "two", run[0]))
    assert digests.describe(made, ["manifest.json"]) == digests.describe(
        reference, ["manifest.json"]
    )


def test_request_to_stop_keeps_the_pieces(tmp_path):
    method = method_lib.create(told())
    source = sources.create("photos", "train")
    stop = StopRequest()
    stop._on_terminate()
    with pytest.raises(Preempted, match="25% built"):
        artifacts.build(tmp_path, "colours", method, source, State(0), stop)
    part = tmp_path / "artifacts" / "colours.partial" / "part-0"
    assert [p.name for p in part.iterdir()] == ["0000.json"]


def test_damaged_pieces_of_an_earlier_start_are_named(tmp_path, capsys):
    method, source = method_lib.create(told()), sources.create("photos", "train")
    build = lambda stop: artifacts.build(tmp_path, "colours", method, source, State(0), stop)
    stop = StopRequest()
    stop._on_terminate()
    with pytest.raises(Preempted, match="25% built"):
        build(stop)
    work = tmp_path / "artifacts" / "colours.partial"
    (work / "seconds").write_bytes(b"\xff")
    piece = work / "part-0" / "0000.json"
    piece.write_text(piece.read_text()[:-9])
    with pytest.raises(UserError, match="JSONDecodeError.*a piece may be damaged. Remove"):
        build(None)
    assert "seconds cannot be read" in capsys.readouterr().err
    for content in (b"\xff", b"{"):
        (work / "build.json").write_bytes(content)
        with pytest.raises(UserError, match=r"build\.json cannot be read.*remove"):
            build(None)
    shutil.rmtree(work)
    assert build(None).facts["pieces"] == 4


def test_parts_of_another_split_are_not_mixed(tmp_path, capsys):
    method = method_lib.create(told())
    work = tmp_path / "artifacts" / "colours.partial"
    (work / "part-0").mkdir(parents=True)
    (work / "part-0" / "0000.json").write_text("[[['nonsense'], [0, 0, 0]]]")
    (work / "build.json").write_text(json.dumps({"config": "another", "processes": 2}))
    method.merge = lambda *where: {**type(method).merge(method, *where), "mean": np.float32(0.5)}
    source = sources.create("photos", "train")
    made = artifacts.build(tmp_path, "colours", method, source, State(0))
    assert "nonsense" not in made.json("words.json") and made.facts["mean"] == 0.5
    assert "built anew" in capsys.readouterr().err


def test_a_build_draws_from_joined_and_from_further_sources(tmp_path, monkeypatch, capsys):
    root = folders.write(tmp_path / "further", 12)
    further = sources.Opened(f"folder:{root}", "train", check_headers=0)
    build = toy_method.Toy.build
    seen = []

    def draws(self, source, *arguments, **processes):
        (root / "images" / f"{self.sources['further'].source.items[1].id}.png").write_bytes(b"")
        seen.extend([len(source), self.sources["further"].source[1]["id"]])
        yield from build(self, source, *arguments, **processes)

    monkeypatch.setattr(toy_method.Toy, "sources", {"further": further})
    monkeypatch.setattr(toy_method.Toy, "build", draws)
    joined = f"photos+folder:{root}"
    count = len(sources.create(joined, "train"))
    config = config_lib.load(f"{TOY}:colours", [("data.source", joined)])
    train.train(config, tmp_path / "run", one_device())
    assert seen[0] == count
    assert f"folder:{root}: skipped 1 of" in capsys.readouterr().err
    further.__init__("folder:/nowhere", "train")
    with pytest.raises(UserError, match="further=folder:/nowhere"):
        train.train(config, tmp_path / "another", one_device())


def test_artefact_is_a_source_of_records(tmp_path):
    (tmp_path / "bank" / "records").mkdir(parents=True)
    (tmp_path / "bank" / "records" / "index.json").write_text("{}")
    (tmp_path / "bank" / "images").mkdir()
    made = {"bank": Artifact("bank", tmp_path / "bank")}
    config = told()
    with config.unlocked():
        config.data.source = "artifact:bank:records"
        config.evaluate.source = "photos+2*artifact:bank"
    found = artifacts.with_sources(config, made)
    assert found.data.source == f"array_record:{tmp_path / 'bank' / 'records'}"
    assert found.evaluate.source == f"photos+2*folder:{tmp_path / 'bank'}"
    assert found.stages == config.stages
    for name, words in (("artifact:bnak", "no earlier stage has built.*'bank'"),
                        ("artifact:bank:images", "holds no records")):
        with config.unlocked():
            config.data.source = name
        with pytest.raises(UserError, match=words):
            artifacts.with_sources(config, made)


def test_stage_without_steps_leaves_what_it_starts_from(tmp_path):
    config = told()
    with config.unlocked():
        config.stages = (
            {"name": "none", "overrides": {"train": {"steps": 0}}},
            {"name": "some", "overrides": {"train": {"steps": 1}, "optim": {"lr": 0.0}},
             "start": (("none:params/painter", "params/painter"),)},
        )
    state = train.train(config, tmp_path / "run", one_device())
    _, _, first = readers.load_run(tmp_path / "run", stage="none")
    assert int(first.step) == 0
    assert_same(state.params["painter"], first.params["painter"])
    assert_same(train.train(config, tmp_path / "run", one_device()), state)


def test_method_that_builds_nothing_says_so(tmp_path):
    config = config_lib.load(str(ROOT / "configs/scat.py"))
    method = method_lib.create(config, artifacts={})  # its `create` takes no artefacts
    with pytest.raises(UserError, match="'scat' builds nothing"):
        artifacts.build(tmp_path, "bank", method, None, State(0))


def test_networks_inside_a_build_have_the_configured_convolutions(tmp_path, monkeypatch):
    modes = []

    class Built(method_lib.Method):
        def build(self, source, folder, start, *, process_index, process_count):
            modes.append(formulation.mode())
            (folder / "note.txt").write_text("built")
            yield 1.0

        variables = optimizers = spec = update = predict = transform = networks = None
        tasks = {}

    monkeypatch.delenv("JAXEDIT_CONVOLUTION", raising=False)
    for mode in ("auto", "xla"):
        method = Built(told(("layers.convolution", mode)))
        artifacts.build(tmp_path / mode, "made", method, None, None)
    assert modes == ["auto", "xla"]


def test_what_is_finished_needs_none_of_its_origins(tmp_path):
    file = tmp_path / "origin.safetensors"
    safetensors.numpy.save_file({"mean": np.ones(3, np.float32)}, file)
    config = told()
    with config.unlocked():
        config.stages = (
            {"name": "colours", "build": True, "start": ((f"{file}:mean", "extra/mean"),)},
        )
    assert train.train(config, tmp_path / "run", one_device()) is None
    file.unlink()
    assert train.train(config, tmp_path / "run", one_device()) is None
    with pytest.raises(UserError, match="there is no such file"):
        train.train(config, tmp_path / "another", one_device())


def test_an_artefact_without_its_manifest_is_not_built_over(run, tmp_path):
    made = tmp_path / "artifacts" / "colours"
    shutil.copytree(run[0] / "artifacts" / "colours", made)
    (made / "manifest.json").unlink()
    with pytest.raises(UserError, match="has no manifest.json.*remove that folder"):
        artifacts.finished(tmp_path, "colours")
    shutil.rmtree(made)
    assert artifacts.finished(tmp_path, "colours") is None


def test_pieces_of_another_source_are_not_taken(tmp_path):
    """Of another list of files, or of one list that was changed, whatever their number."""
    (tmp_path / "images").mkdir()

    def told_apart(names):
        for old in (tmp_path / "images").iterdir():
            old.unlink()
        for name in names:
            Image.new("RGB", (16, 16)).save(tmp_path / "images" / f"{name}.png")
        return sources.create(f"folder:{tmp_path}", "all").fingerprint()

    assert told_apart("abc") == told_apart("abc") != told_apart("abd")
    work, one = tmp_path / "made.partial", {"config": "x", "processes": 1, "source": "1"}
    artifacts._prepare(work, one)
    (work / "piece").write_text("of the first")
    artifacts._prepare(work, one)
    assert (work / "piece").exists()
    artifacts._prepare(work, one | {"source": "2"})
    assert not (work / "piece").exists()
