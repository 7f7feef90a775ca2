"""Sweeps: planning, running, resuming, failing, comparing."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from jaxedit import config as config_lib
from jaxedit.commands import sweep
from jaxedit.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
ABLATION = ROOT / "experiments" / "scat_ablation.py"

# A run that takes no time: what `python -m jaxedit.main` leaves behind, without the training.
STAND_IN = """
import json, pathlib, sys
sys.path.insert(0, {root!r})
from tests import fake_run
from jaxedit import config
arguments = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
run = pathlib.Path(arguments.pop("workdir"))
print("training", run)
overrides = [(k.removeprefix("config."), v) for k, v in arguments.items() if k != "config"]
if run.parent.name == "fails":
    print("error: out of luck", file=sys.stderr)
    sys.exit(2)
settings = config.load(arguments["config"], overrides)
fake_run.write(run, 20 + settings.optim.lr * 100 + settings.train.seed, settings.train.seed)
(run / "config.json").write_text(config.to_json(settings))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "experiments" / "my_sweep.py"
    path.parent.mkdir()
    path.write_text(
        f"CONFIG = {str(ROOT / 'tests' / 'toy_method.py')!r}\n"
        "SEEDS = (0, 1)\n"
        "TABLE = 'Mirrors nothing.'\n"
        "def variants():\n"
        "    return {'base': {}, 'fast': {'optim.lr': 0.03, 'train.steps': 5}}\n"
    )
    return path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN.format(root=str(ROOT)))
    original = sweep.command_of

    def command(one, job):
        words = original(one, job)
        assert words[:3] == [sys.executable, "-m", "jaxedit.main"]
        return [sys.executable, str(script), *words[3:]]

    monkeypatch.setattr(sweep, "command_of", command)


def go(file, workdir, **options):
    lines = []
    plan = sweep.read(str(file))
    verbose = options.pop("verbose", False)
    jobs = sweep.runs_of(plan, workdir, **options)
    return sweep.run(plan, jobs, workdir, say=lines.append, verbose=verbose), lines


def test_runs_everything_then_skips_it(file, tmp_path, stand_in):
    failures, lines = go(file, tmp_path / "out")
    assert failures == []
    for variant in ("base", "fast"):
        for seed in (0, 1):
            run = tmp_path / "out" / variant / f"seed-{seed}"
            config = json.loads((run / "config.json").read_text())
            assert config["train"]["seed"] == seed
            assert config["optim"]["lr"] == {"base": 1e-2, "fast": 0.03}[variant]
            assert config["train"]["steps"] == {"base": 12, "fast": 5}[variant]
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "Mirrors nothing." in table
    # The overall PSNR is 2 below the figure handed to fake_run, 21 + seed and 23 + seed.
    assert "| base | 2 | 19.50 ± 0.71" in table and "| fast | 2 | **21.50 ± 0.71**" in table
    assert any("psnr 19.00" in line for line in lines)
    before_a_key = tmp_path / "out/base/seed-0/config.json"
    config = json.loads(before_a_key.read_text())
    del config["evaluate"]["stages"]
    before_a_key.write_text(json.dumps(config))
    stamp = before_a_key.stat().st_mtime_ns
    failures, lines = go(file, tmp_path / "out")
    assert failures == [] and sum("already finished" in line for line in lines) == 4
    assert before_a_key.stat().st_mtime_ns == stamp


def test_only_seeds_and_common_overrides(file, tmp_path):
    plan = sweep.read(str(file))
    jobs = sweep.runs_of(plan, tmp_path, only=["fast"], seeds=3, common=[("train.steps", "2"),
                                                                      ("optim.lr", "0.5")])
    assert [(j.variant, j.seed) for j in jobs] == [("fast", 0), ("fast", 1), ("fast", 2)]
    config = config_lib.load(plan.config, jobs[2].overrides)
    assert (config.train.seed, config.optim.lr, config.train.steps) == (2, 0.03, 5)
    assert len(sweep.runs_of(plan, tmp_path, seeds=1)) == 2
    twice = dataclasses.replace(plan, seeds=(0, 0, 1))  # a seed that is named twice runs once
    for seeds, expected in ((None, [0, 1]), (3, [0, 1, 2])):
        runs = sweep.runs_of(twice, tmp_path, only=["fast"], seeds=seeds)
        assert [run.seed for run in runs] == expected
    command = sweep.command_of(plan, jobs[0])
    assert "--config.optim.lr=0.03" in command and f"--workdir={jobs[0].run_dir}" in command


def test_failures_are_listed_and_the_rest_goes_on(file, tmp_path, stand_in):
    text = file.read_text().replace("{'base': {}", "{'fails': {}, 'base': {}")
    file.write_text(text)
    failures, lines = go(file, tmp_path / "out", seeds=1)
    assert len(failures) == 1
    assert "fails, seed 0: exit code 2" in failures[0] and "out of luck" in failures[0]
    assert (tmp_path / "out/base/seed-0/DONE").exists()
    assert "training" in (tmp_path / "out/fails/seed-0.log").read_text()
    assert "| base | 1 |" in (tmp_path / "out/comparison.md").read_text()


def test_a_run_that_ends_unfinished_counts_as_failed(file, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "command_of", lambda *_: [sys.executable, "-c", "print('bye')"])
    failures, _ = go(file, tmp_path / "out", seeds=1, only=["base"])
    assert len(failures) == 1 and "exit code 0" in failures[0] and "bye" in failures[0]
    assert not (tmp_path / "out/comparison.md").exists()


def test_everything_is_checked_before_anything_runs(file, tmp_path, stand_in):
    with pytest.raises(UserError, match=".*: variant='fas' is unknown.*Did you mean 'fast'"):
        go(file, tmp_path / "out", only=["fas"])
    with pytest.raises(UserError, match="expected at least 1"):
        go(file, tmp_path / "out", seeds=0)
    with pytest.raises(UserError, match="Unknown configuration key 'optim.rl'"):
        go(file, tmp_path / "out", common=[("optim.rl", "1")])
    file.write_text(file.read_text().replace("'optim.lr': 0.03", "'optim.lrr': 0.03"))
    with pytest.raises(UserError, match="Variant 'fast': Unknown .*'optim.lrr'.*optim.lr"):
        go(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_variant_does_not_pass_as_finished(file, tmp_path, stand_in):
    go(file, tmp_path / "out", seeds=1)
    file.write_text(file.read_text().replace("0.03", "0.04"))
    with pytest.raises(UserError, match="optim.lr: 0.03 there, 0.04 here"):
        go(file, tmp_path / "out", seeds=1)


@pytest.mark.parametrize(
    "argument, message",
    [
        ("nowhere.py", "No sweep file"),
        ("sweep.txt", "names no sweep"),
        ("{file}:all", "one set of variants only"),
        ("{file}all", "names no sweep"),
    ],
)
def test_bad_arguments(file, argument, message):
    with pytest.raises(UserError, match=message):
        sweep.read(argument.format(file=file))


def test_bad_files(file):
    text = file.read_text()
    file.write_text(text.replace("SEEDS", "SEED"))
    with pytest.raises(UserError, match="defines no SEEDS"):
        sweep.read(str(file))
    file.write_text(text.replace("'base'", "'a/b'"))
    with pytest.raises(UserError, match="'a/b' cannot be a folder"):
        sweep.read(str(file))
    file.write_text(text[: text.index("    return")] + "    return {}\n")
    with pytest.raises(UserError, match="names none"):
        sweep.read(str(file))


def test_sigterm_reaches_the_run_and_ends_the_sweep(file, tmp_path):
    """The run saves on SIGTERM; the sweep must hand the signal on and start nothing more."""
    script = tmp_path / "waits.py"
    script.write_text(
        "import pathlib, signal, sys, time\n"
        "run = pathlib.Path(sys.argv[-1].split('=')[1])\n"
        "def stop(*_):\n"
        "    (run / 'SAVED').write_text('')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "run.mkdir(parents=True)\n"
        "time.sleep(60)\n"
    )
    driver = (
        "import pathlib, sys\n"
        "from jaxedit.commands import sweep\n"
        f"sweep.command_of = lambda s, j: [sys.executable, {str(script)!r}, "
        "f'--workdir={j.run_dir}']\n"
        f"plan = sweep.read({str(file)!r})\n"
        f"out = pathlib.Path({str(tmp_path / 'out')!r})\n"
        "try:\n"
        "    sweep.run(plan, sweep.runs_of(plan, out), out)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", driver], env=dict(os.environ, PYTHONPATH=str(ROOT))
    )
    first = tmp_path / "out" / "base" / "seed-0"
    deadline = time.monotonic() + 60
    while not first.exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert (first / "SAVED").exists()
    assert not (tmp_path / "out" / "fast").exists()


def test_a_real_run_from_start_to_table(file, tmp_path, monkeypatch):
    """The real command line of a run, and the comparison made of what it really writes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=1")
    failures, _ = go(file, tmp_path / "out", only=["fast"], seeds=1,
                     common=[("evaluate.limit", "8"), ("evaluate.batch_size", "4")])
    assert failures == []
    run = tmp_path / "out" / "fast" / "seed-0"
    assert json.loads((run / "evaluation.json").read_text())["count"] == 8
    assert (run / "report.html").is_file()
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "| fast | 1 |" in table and "## psnr ↑" in table and "*grey*" in table


@pytest.mark.parametrize("chosen", ["", ":all", ":pretrained"])
def test_every_variant_of_the_ablation_is_a_configuration(chosen, tmp_path):
    plan = sweep.read(f"{ABLATION}{chosen}")
    assert plan.seeds == (0, 1, 2) and plan.table
    jobs = sweep.runs_of(plan, tmp_path)
    assert len(jobs) == 3 * len(plan.variants)
    configs = [config_lib.load(plan.config, job.overrides) for job in jobs]
    texts = [config_lib.to_json(config) for config in configs]
    assert len(set(texts)) == len(texts), "two variants are the same"


def test_the_core_ablation_is_what_it_says():
    core = sweep.read(str(ABLATION))
    assert list(core.variants) == ["full", "no_segmentation", "no_contrastive", "aot_gan_losses"]
    aot = config_lib.load(core.config, [
        (key, sweep.as_text(value)) for key, value in core.variants["aot_gan_losses"].items()
    ])
    assert (aot.loss.l1, aot.loss.style, aot.loss.perceptual, aot.loss.patch) == (1, 250, 0.1, 0.01)
    assert aot.loss.global_adversarial == aot.loss.segmentation == aot.loss.textural == 0
    assert aot.optim.betas == (0.5, 0.999)
