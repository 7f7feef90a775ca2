"""Benchmark of a training step: time, images per second, compile time, memory, FLOPs.

    python -m experiments.benchmarks.training_step --config=configs/scat.py --steps=20
    python -m experiments.benchmarks.training_step --config=configs/scat.py:paper --steps=3
    python -m experiments.benchmarks.training_step --config=configs/matting.py --stage=pretrain

Data are random, so that only the step is measured. FLOPs are XLA's own count of the compiled
program. The machine's rate is measured in the same run, by square float32 matrix products, and the
step's share of it is the figure that travels between machines. One JSON line per run is appended to
`--output`. Timings are never asserted in a test.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import timing
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.host import large_pages
from jaxedit.run import sharding, stages, starting, writer


def matrix_product_rate(size: int = 2048, dtype=jnp.float32, repeats: int = 5) -> float:
    """Returns the best of `repeats` measured rates of a square matrix product, in FLOP/s."""
    x = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.dot)
    product(x, x).block_until_ready()
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        product(x, x).block_until_ready()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def random_batch(spec) -> dict[str, np.ndarray]:
    """Returns a batch of the given shapes: images in [-1, 1], masks and trimaps of squares."""
    rng = np.random.default_rng(0)
    batch = {}
    for name, entry in spec.items():
        values = rng.uniform(-1, 1, entry.shape)
        if name == "mask":
            coarse = rng.random((entry.shape[0], entry.shape[1] // 8, entry.shape[2] // 8, 1))
            values = np.kron(coarse > 0.7, np.ones((1, 8, 8, 1)))
        elif name == "trimap":
            shape = (entry.shape[0], entry.shape[1] // 8, entry.shape[2] // 8, 1)
            values = np.kron(rng.integers(0, 3, shape), np.ones((1, 8, 8, 1)))
        elif name == "alpha":
            values = (values + 1) / 2
        batch[name] = values.astype(entry.dtype)
    return batch


def measure(config: config_lib.ConfigDict, steps: int) -> dict:
    """Returns the figures of `steps` training steps of a configuration."""
    plan = sharding.create_plan(config)
    method = method_lib.create(config, plan.axis_name)
    spec = method.spec(config.train.batch_size)
    key = jax.random.key(0)
    state = plan.place_state(starting.initial_state(method, plan, key))
    batch = plan.place_batch(random_batch(spec))

    rate = matrix_product_rate(8192 if jax.default_backend() != "cpu" else 2048)
    phases, compile_seconds, flops, temporary = {}, 0.0, 0.0, 0
    names = method.phases(0)
    for phase in names:
        phases[phase], facts = plan.compile(method, phase, state, batch, key)
        compile_seconds += facts.get("compile_seconds", 0.0)
        flops += facts.get("flops", 0.0)
        temporary = max(temporary, facts.get("temporary_bytes", 0))

    times = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        for phase, run in phases.items():
            state, sums = run(state, batch, key, np.int32(phase == names[-1]))
        jax.block_until_ready(sums)
        times.append(time.perf_counter() - started)
    times = times[1:]  # the first touches memory for the first time
    seconds = statistics.median(times)
    return {
        "seconds_per_step": round(seconds, 4),
        "spread": [round(min(times), 4), round(max(times), 4)],
        "images_per_second": round(config.train.batch_size / seconds, 2),
        "compile_seconds": round(compile_seconds, 1),
        "temporary_mib": round(temporary / 2**20, 1),
        "peak_memory_mib": round((writer.peak_memory_bytes() or 0) / 2**20, 1),
        "gflops_per_step": round(flops / 1e9, 2),
        "gflops_per_second": round(flops / seconds / 1e9, 1),
        "matrix_product_gflops_per_second": round(rate / 1e9, 1),
        "share_of_matrix_product_rate": round(flops / seconds / rate, 3),
    }


def _stage(config: config_lib.ConfigDict, name: str | None) -> config_lib.ConfigDict:
    """Returns the configuration of the stage `name`, or of the only stage there is."""
    by_name = {stage.name: stage.config for stage in stages.read(config)}
    if name is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if name not in by_name:
        raise UserError(f"--stage={name}: choose one of {', '.join(by_name)}.")
    return by_name[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--config", required=True)
    parser.add_argument("--stage", default=None, help="of a configuration with stages")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags, rest = parser.parse_known_args()
    overrides = [tuple(word.removeprefix("--config.").split("=", 1)) for word in rest]
    config = _stage(config_lib.load(flags.config, overrides), flags.stage)
    # A cached program would report the time of reading it as the time of compiling it.
    timing.report(flags.output, {
        "config": flags.config,
        "stage": flags.stage,
        "overrides": dict(overrides),
        "batch_size": config.train.batch_size,
        "image_size": config.get("image_size", None),
        **measure(config, flags.steps),
    })


if __name__ == "__main__":
    large_pages.restart()
    main()
