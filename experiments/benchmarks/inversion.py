"""Benchmark of SDIC at full size on CPU: a face of 256 pixels to codes and 1024 pixels back.

    pip install -e ".[bench]"
    OMP_WAIT_POLICY=PASSIVE python -m experiments.benchmarks.inversion forward --rounds 3
    OMP_WAIT_POLICY=PASSIVE python -m experiments.benchmarks.inversion gradient --rounds 3

`forward` is the whole way: e4e, the generator, DIPN, DICN, the generator again. `gradient` is that
of DIPN's parameters, whose volumes of 48 layers are what training pays for: as it is, and with the
volumes computed again (`remat`). PyTorch's twins have 3-D convolutions where ours are folded into
2-D ones, and in `forward` a kernel for every sample (`grouped`) or one for all (`shared`).

Parameters are random. `ratio` is PyTorch's time over ours, above 1 where ours is faster;
`difference` the largest one over the largest value. Memory is measured in processes that do one of
them alone: `idle` with all parameters in place, `running` the most from when all was compiled,
`peak` the most ever, all MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
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
from jaxedit.methods.sdic.dipn import DIPN
from jaxedit.methods.sdic.inversion import Inversion
from jaxedit.models.irse import DEPTHS
from jaxedit.models.stylegan2.generator import NOISE
from jaxedit.run import sharding

REPEATS = 2  # of the work, where memory is measured
_BLOCKS = DEPTHS[50]
_STATISTICS = {"mean": 0.0, "var": 1.0, "scale": 1.0, "bias": 0.0, "slope": 0.25,
               "noise_strength": 0.1}
Contenders = dict[str, Callable[[], Any]]  # name -> does it once


def inversion() -> Inversion:
    """Returns the published networks."""
    overrides = [("network.weights", ""), ("loss.features", "random_features"),
                 ("loss.identity_network", "none")]
    return method_lib.create(config_lib.load("configs/sdic.py:paper_faces", overrides)).inversion


def filled(shapes: Any) -> Any:
    """Returns random values of a network's variables: kernels that keep the variance."""
    rng = np.random.default_rng(0)

    def leaf(path: tuple, shape: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name in _STATISTICS:
            return np.full(shape.shape, _STATISTICS[name], np.float32)
        values = rng.standard_normal(shape.shape, np.float32)
        return values / math.sqrt(math.prod(shape.shape[:-1])) if name == "kernel" else values

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def variables(networks: Inversion) -> dict[str, Any]:
    """Returns random variables of all four networks, and an average code of zeros."""
    key, image = jax.random.key(0), jnp.zeros((1, networks.height, networks.width, 3))
    generator = networks.generator
    codes = jnp.zeros((1, generator.codes, generator.style_width))
    shape = lambda module, *inputs: filled(jax.eval_shape(module.init, key, *inputs))
    made = {"generator": shape(generator, codes[:, 0])}
    _, feature = jax.eval_shape(networks.generate, made, codes)
    return made | {
        "encoder": shape(networks.encoder, image),
        "dipn": shape(networks.dipn, image, image),
        "dicn": shape(networks.dicn, image, jnp.zeros(feature.shape), codes),
        "average": np.zeros(codes.shape[1:], np.float32),
    }


def pictures(networks: Inversion, batch: int) -> np.ndarray:
    shape = (batch, networks.height, networks.width, 3)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def forward(name: str, batch: int) -> Callable[[], np.ndarray]:
    """Returns what inverts pictures and returns the results (B, H, W, 3)."""
    networks = inversion()
    values, image = variables(networks), pictures(networks, batch)
    if name == "ours":
        values, image = jax.device_put((values, image))
        whole = jax.jit(lambda values, image: networks(values, image)[0]["picture"])
        with formulation.preferring("auto"):
            run, _ = sharding.compile_and_describe(whole, values, image)
        return lambda: np.asarray(run(values, image))
    import torch

    from experiments.benchmarks import torch_inversion as twin

    params = {name: twin.tensors(values[name]) for name in ("generator", "encoder", "dipn", "dicn")}
    stored = values["generator"][NOISE]
    noise = [torch.from_numpy(stored[f"noise_{i}"])[None, None] for i in range(len(stored))]
    average, x = torch.from_numpy(values["average"]), torch.from_numpy(image).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def run() -> np.ndarray:
        found = twin.inverted(params, average, x, noise, networks.tap, _BLOCKS, name)
        return found["picture"].permute(0, 2, 3, 1).numpy()

    return run


def gradient(name: str, batch: int) -> Callable[[], np.ndarray]:
    """Returns what differentiates the mean square of DIPN's map; it returns one gradient."""
    networks = inversion()
    values = variables(networks)["dipn"]
    image = pictures(networks, batch)
    initial = image[:, ::-1].copy()
    if name != "torch":
        values, image, initial = jax.device_put((values, image, initial))
        dipn = DIPN(remat=name == "remat")

        def loss(params):
            found = dipn.apply({**values, "params": params}, image, initial)
            return jnp.square(found).mean()

        with formulation.preferring("auto"):
            run, _ = sharding.compile_and_describe(jax.jit(jax.grad(loss)), values["params"])
        whole = lambda: jax.block_until_ready(run(values["params"]))
        return lambda: np.asarray(whole()["desc"]["kernel"])[0, 0].T
    import torch

    from experiments.benchmarks import torch_inversion as twin
    from experiments.benchmarks.torch_stylegan2 import leaves

    params = twin.tensors(values)
    trained = leaves(params)
    for leaf in trained:
        leaf.requires_grad_()
    x, y = (torch.from_numpy(one).permute(0, 3, 1, 2) for one in (image, initial))

    def run() -> np.ndarray:
        loss = twin.discrepancy(params, x, y).square().mean()
        found = torch.autograd.grad(loss, trained, allow_unused=True)
        place = next(i for i, leaf in enumerate(trained) if leaf is params["desc"]["kernel"])
        return found[place][:, :, 0, 0].numpy()

    return run


WORK = {"forward": forward, "gradient": gradient}
NAMES = {"forward": ("ours", "grouped", "shared"), "gradient": ("ours", "remat", "torch")}
_OURS = ("ours", "remat")


def compare(flags: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of all contenders."""
    names = [name for name in NAMES[flags.what] if flags.torch or name in _OURS]
    memory = {name: _child(flags, name) for name in names}
    runs = {name: WORK[flags.what](name, flags.batch) for name in names}
    ours = runs["ours"]()
    apart = {name: float(np.abs(run() - ours).max() / np.abs(ours).max())
             for name, run in runs.items() if name != "ours"}
    timings = timing.race(runs, flags.rounds, flags.seconds)
    return {"time": timing.rows(timings, _OURS), "memory_mib": memory, "difference": apart}


def _child(flags: argparse.Namespace, name: str) -> dict[str, float]:
    """Returns what a process of its own holds that does nothing else."""
    words = [flags.what, "--batch", str(flags.batch), "--cache", str(flags.cache), "--alone", name]
    command = [sys.executable, "-m", "experiments.benchmarks.inversion", *words]
    for _ in range(2 if name in _OURS else 1):  # the second one finds its program compiled
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def alone(flags: argparse.Namespace) -> dict[str, float]:
    """Returns what this process holds with one contender."""
    run = WORK[flags.what](flags.alone, flags.batch)
    idle = process_memory.status("VmRSS")
    peak = process_memory.status("VmHWM")
    running = process_memory.running(run, REPEATS)
    return {"idle": idle, "running": running, "peak": max(peak, running)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("what", choices=tuple(WORK))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a timing, about")
    parser.add_argument("--cache", type=pathlib.Path, help="empty, for compiled programs")
    parser.add_argument("--alone", default="", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if flags.cache is None:
            flags.cache = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        jax.config.update("jax_compilation_cache_dir", str(flags.cache))
        if flags.alone:
            if flags.alone not in _OURS:
                timing.prepare_torch()
            print(json.dumps(alone(flags)))
            return
        flags.torch = timing.prepare_torch()
        load = os.getloadavg()[0]
        figures = compare(flags)
        timing.report(flags.output, {
            "benchmark": "inversion", "what": flags.what, "batch": flags.batch,
            "rounds": flags.rounds, **figures, "load_before": round(load, 1),
        })


if __name__ == "__main__":
    large_pages.restart()
    main()
