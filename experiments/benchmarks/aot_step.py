"""Benchmark of the AOT generator's training step on CPU, against PyTorch where it is installed.

    pip install -e ".[bench]"
    python -m experiments.benchmarks.aot_step --sizes 64x4 128x2 256x1 --rounds 5

One step is L1 on random pictures and Adam. The contenders take turns in one run: our step with
XLA's convolutions (`xla`) and with our own formulations (`auto`), and a plain
PyTorch twin in its fastest layout. Reported are medians, the spread, processor time, PyTorch's time
over ours (above 1: ours is faster) and the time that compiling took.
"""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks import timing
from jaxedit.host import large_pages
from jaxedit.layers.convolution import formulation
from jaxedit.methods.scat.generator import Generator


def training_step(
    mode: str, size: int, batch: int, channels: int, blocks: int
) -> tuple[Callable[[], None], float]:
    """Returns a function that does one step, and the seconds that its first call took."""
    rng = np.random.default_rng(0)
    image, mask, target = (
        jnp.asarray(rng.random((batch, size, size, depth)), jnp.float32) for depth in (3, 1, 3)
    )
    network = Generator(channels=channels, blocks=blocks)
    params = jax.jit(network.init)(jax.random.key(0), image, mask)["params"]
    optimizer = optax.adam(1e-4)
    held = {"state": (params, optimizer.init(params))}

    def update(state, image, mask, target):
        params, moments = state
        predict = lambda params: network.apply({"params": params}, image, mask)
        loss = lambda params: jnp.abs(predict(params) - target).mean()
        changes, moments = optimizer.update(jax.grad(loss)(params), moments, params)
        return optax.apply_updates(params, changes), moments

    started = time.perf_counter()
    with formulation.using(mode):
        compiled = (
            jax.jit(update, donate_argnums=0).lower(held["state"], image, mask, target).compile()
        )
    seconds = time.perf_counter() - started

    def step() -> None:
        held["state"] = jax.block_until_ready(compiled(held["state"], image, mask, target))

    return step, seconds


def measure(size: int, batch: int, flags: argparse.Namespace) -> list[dict]:
    """Returns one row per contender at one image size and batch size."""
    contenders, first = {}, {}
    for mode in flags.modes:
        contenders[mode], first[mode] = training_step(
            mode, size, batch, flags.channels, flags.blocks
        )
    if flags.torch:
        from experiments.benchmarks import torch_twins

        contenders["torch"] = torch_twins.aot_training_step(
            size, batch, flags.channels, flags.blocks
        )
    timings = timing.race(contenders, flags.rounds, seconds=flags.seconds)
    return [
        {"size": size, "batch": batch, **timing.row(name, timings), "compile_s": first.get(name)}
        for name in contenders
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--sizes", nargs="+", default=["64x4", "128x2", "256x1"])
    parser.add_argument("--modes", nargs="+", default=["xla", "auto"])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    flags.torch = timing.prepare_torch()
    rows = []
    for word in flags.sizes:
        size, batch = (int(part) for part in word.split("x"))
        rows += measure(size, batch, flags)
        for row in rows[-len(flags.modes) - 1 :]:
            print(row, flush=True)
    timing.write(flags.output, "aot_step", vars(flags), rows)


if __name__ == "__main__":
    large_pages.restart()  # PyTorch, where it takes part, has them too
    main()
