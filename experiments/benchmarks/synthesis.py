"""Benchmark of SIMS' synthesis network on CPU, against PyTorch where it is installed.

    pip install -e ".[bench]"
    OMP_WAIT_POLICY=PASSIVE python -m experiments.benchmarks.synthesis train --rounds 9
    OMP_WAIT_POLICY=PASSIVE python -m experiments.benchmarks.synthesis paint --rounds 3

`train` is the demo's training step (64 pixels, batch 4, a quarter of the width, feature loss,
labels, Adam, averaged parameters), the very program that the training loop runs. `paint` is the
published network of two stages on one layout of 512 x 1024. The twin has our parameters, and
`difference` is how far its first loss, or its picture in 0..255, is from ours.

The contenders take turns in one process; ratios are PyTorch's time over ours, so that above 1 ours
is faster, and of processor time they suffer less from other programs (without PASSIVE, PyTorch's
threads spin where they wait, and pay for it). Memory is measured in processes of their own, of
which ours runs twice: the second finds its program compiled. `peak` is the most that the whole
process ever held, `running` the most from when all was compiled, `idle` what it held before its
data, with its libraries loaded: all MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import memory as process_memory
from experiments.benchmarks import timing
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.host import large_pages
from jaxedit.layers.convolution import formulation
from jaxedit.methods.sims import synthesis
from jaxedit.run import sharding, stages, starting

SIZE, CLASSES, STAGES = (512, 1024), 19, 2  # of `paint`
REPEATS = 3  # of the work, where memory is measured
_MIB = 2**20
Work = tuple[Callable[[], Any], dict[str, float]]  # does it once; facts about it


def _demo() -> config_lib.ConfigDict:
    config = config_lib.load("configs/sims.py", [("evaluate.judge", "")])
    return next(s.config for s in stages.read(config) if s.name == "synthesis")


def _batch(size: int, batch: int, classes: int) -> dict[str, np.ndarray]:
    """Returns random pictures, canvases with gaps and layouts."""
    rng = np.random.default_rng(0)
    presence = (rng.random((batch, size, size, 1)) > 0.3).astype(np.float32)
    label = rng.integers(0, classes, (batch, size, size)).astype(np.int32)
    return {
        "image": rng.uniform(-1, 1, (batch, size, size, 3)).astype(np.float32),
        "canvas": rng.random((batch, size, size, 3), np.float32) * presence,
        "presence": presence, "label": label, "layout": label,
    }


def train_ours() -> Work:
    """Returns the demo's step, as the training loop compiles it."""
    config = _demo()
    plan = sharding.create_plan(config)
    method = method_lib.create(config, plan.axis_name)
    key = jax.random.key(0)
    kept = {"state": plan.place_state(starting.initial_state(method, plan, key))}
    batch = plan.place_batch(
        _batch(config.image_size[0], config.train.batch_size, config.network.classes)
    )
    run, facts = plan.compile(method, "step", kept["state"], batch, key)

    def step() -> float:
        kept["state"], sums = run(kept["state"], batch, key, np.int32(1))
        return float(sums["loss/total"][0])

    return step, facts


def train_torch() -> Work:
    """Returns the twin's step, from the parameters that ours starts with."""
    from experiments.benchmarks import torch_synthesis

    config = _demo()
    plan = sharding.create_plan(config)
    method = method_lib.create(config, plan.axis_name)
    state = starting.initial_state(method, plan, jax.random.key(0))
    batch = _batch(config.image_size[0], config.train.batch_size, config.network.classes)
    x = synthesis.network_input(
        batch["layout"], batch["canvas"], batch["presence"], config.network.classes
    )
    network = torch_synthesis.SynthesisNetwork(
        config.network.classes, config.network.stages, config.network.width
    )
    step = torch_synthesis.training_step(
        network.load(state.params["synthesis"]),
        torch_synthesis.Features(config.loss.feature_channels).load(
            state.frozen["features"]["params"]
        ),
        {"x": x, "image": (batch["image"] + 1) * 127.5, "label": batch["label"]},
        config.loss.weights, config.loss.semantic, config.optim.ema, config.optim.lr,
    )
    return step, {}


def _painting() -> tuple[synthesis.SynthesisNetwork, Any, jax.Array]:
    """Returns the network of two stages, its parameters and what it reads."""
    rng = np.random.default_rng(0)
    network = synthesis.SynthesisNetwork(CLASSES, STAGES)
    side = network.multiple
    params = jax.jit(network.init)(
        jax.random.key(0), jnp.zeros((1, side, side, CLASSES + 5))
    )["params"]
    coarse = rng.integers(0, CLASSES, (1, SIZE[0] // 32, SIZE[1] // 32))
    presence = np.ones((1, *SIZE, 1), np.float32)
    canvas = rng.random((1, *SIZE, 3), np.float32)
    label = coarse.repeat(32, 1).repeat(32, 2)
    return network, params, synthesis.network_input(label, canvas, presence, CLASSES)


def paint_ours() -> Work:
    """Returns the network's application to one layout."""
    network, params, x = _painting()
    apply = jax.jit(lambda params, x: network.apply({"params": params}, x))
    with formulation.preferring("auto"):
        run, facts = sharding.compile_and_describe(apply, params, x)
    return lambda: np.asarray(jax.block_until_ready(run(params, x))[0]), facts


def paint_torch() -> Work:
    """Returns the twin's, with the same parameters."""
    import torch

    from experiments.benchmarks import torch_synthesis

    _, params, x = _painting()
    network = torch_synthesis.SynthesisNetwork(CLASSES, STAGES).load(params)
    network.to(memory_format=torch.channels_last)
    x = torch_synthesis.nchw(x)

    def run() -> np.ndarray:
        with torch.inference_mode():
            return network(x)[0].permute(0, 2, 3, 1).numpy()

    return run, {}


WORK = {
    ("train", "ours"): train_ours, ("train", "torch"): train_torch,
    ("paint", "ours"): paint_ours, ("paint", "torch"): paint_torch,
}


def race(what: str, flags: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Returns the figures of time, by contender."""
    names = ["ours"] + (["torch"] if flags.torch else [])
    made = {name: WORK[what, name]() for name in names}
    first = {name: run() for name, (run, _) in made.items()}
    timings = timing.race({n: run for n, (run, _) in made.items()}, flags.rounds, flags.seconds)
    rows = {name: timing.row(name, timings) for name in names}
    if flags.torch:
        apart = np.max(np.abs(first["ours"] - first["torch"]))
        rows["torch"]["difference"] = float(apart)
        rows["torch"]["largest"] = float(np.max(np.abs(first["torch"])))
    return rows


def memory(what: str) -> dict[str, float]:
    """Returns what this process, which does nothing else, holds with our work; Linux."""
    jnp.zeros(()).block_until_ready()  # the backend is there
    idle = process_memory.status("VmRSS")
    run, facts = WORK[what, "ours"]()
    peak = process_memory.status("VmHWM")
    running = process_memory.running(run, REPEATS)
    return {
        "idle": idle, "running": running, "peak": max(peak, running),
        "temporary": round(facts["temporary_bytes"] / _MIB, 1),
        "compile_s": round(facts["compile_seconds"], 1),
    }


def memories(what: str, flags: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Returns the figures of memory: of ours when it compiles, when it need not, of PyTorch."""
    ours = ["synthesis", what, "--memory", "--cache", str(flags.cache)]
    # Libraries that ours uses import PyTorch where they find it, which would count as ours.
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in paths if not (pathlib.Path(path) / "torch").is_dir()]
    alone = {"PYTHONPATH": os.pathsep.join(kept)}
    rows = {"ours, compiling": _child(ours, **alone), "ours": _child(ours, **alone)}
    if flags.torch:
        config = _demo()
        work = {"network": {"classes": CLASSES, "stages": STAGES, "width": 64}, "size": SIZE,
                "batch": 1, "loss": None, "features": 0}
        if what == "train":
            network, loss = config.network, config.loss
            work = {
                "network": {name: network[name] for name in ("classes", "stages", "width")},
                "size": tuple(config.image_size), "batch": config.train.batch_size,
                "features": loss.feature_channels,
                "loss": {"weights": tuple(loss.weights), "semantic": loss.semantic,
                         "decay": config.optim.ema, "lr": config.optim.lr},
            }
        rows["torch"] = _child(["torch_synthesis", json.dumps({**work, "repeats": REPEATS})])
    return rows


def _child(words: list[str], **environment: str) -> dict[str, float]:
    module, *words = words
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.benchmarks.{module}", *words], check=True,
        env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("what", choices=("train", "paint"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a timing, about")
    parser.add_argument("--cache", type=pathlib.Path, help="empty, for compiled programs")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if flags.cache is None:
            flags.cache = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, value in (
            ("dir", str(flags.cache)), ("min_compile_time_secs", 0), ("min_entry_size_bytes", -1)
        ):
            kind = "compilation" if name == "dir" else "persistent"
            jax.config.update(f"jax_{kind}_cache_{name}", value)
        if flags.memory:
            print(json.dumps(memory(flags.what)))
        else:
            _compare(flags)


def _compare(flags: argparse.Namespace) -> None:
    """Measures all contenders and reports."""
    flags.torch = timing.prepare_torch()
    load = [os.getloadavg()[0]]
    started = time.perf_counter()
    memory_mib = memories(flags.what, flags)  # first: the program is compiled then
    load.append(os.getloadavg()[0])
    rows = race(flags.what, flags)
    load.append(os.getloadavg()[0])
    timing.report(flags.output, {
        "benchmark": "synthesis", "what": flags.what, "rounds": flags.rounds, "time": rows,
        "memory_mib": memory_mib, "load": [round(one, 1) for one in load],
        "seconds": round(time.perf_counter() - started),
    })


if __name__ == "__main__":
    large_pages.restart()
    main()
