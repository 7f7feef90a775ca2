"""Benchmark of single layers on CPU, forward and backward: formulations against each other.

    pip install -e ".[bench]"
    python -m experiments.benchmarks.layers --rounds 7 --only attention

Every case runs our layer as XLA has it (`xla`) and as `jaxedit.layers` formulates it (`auto`), and
where PyTorch is installed the plain PyTorch form of it, alternated in one run. The results and
gradients of all contenders are compared first: `error` is the largest difference over the largest
value. `ratio` is PyTorch's time over a contender's own, above 1 where the contender is faster.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from experiments.benchmarks import timing
from experiments.benchmarks.cases import CASES, Case
from jaxedit.host import large_pages
from jaxedit.layers.convolution import formulation


def ours(case: Case, mode: str) -> tuple[Callable[[], None], list[np.ndarray]]:
    """Returns a function that runs the case once, and the values that it computes."""

    def both(arguments, g):
        y, gradient = jax.vjp(case.ours[mode], *arguments)
        return (y, *gradient(g))

    arguments, g = jax.device_put((case.arguments, case.cotangent))
    with formulation.using(mode):
        compiled = jax.jit(both).lower(arguments, g).compile()
    values = [np.asarray(value) for value in compiled(arguments, g)]
    return lambda: jax.block_until_ready(compiled(arguments, g)), values


def theirs(case: Case) -> tuple[Callable[[], None], list[np.ndarray]]:
    """The same in PyTorch, in the layout that is fastest there."""
    import torch

    def to_torch(value: np.ndarray, kind: str) -> torch.Tensor:
        order = {"map": (0, 3, 1, 2), "kernel": (3, 2, 0, 1), "dense": (1, 0)}.get(kind)
        tensor = torch.from_numpy(np.ascontiguousarray(value.transpose(order) if order else value))
        if kind in ("map", "kernel"):
            tensor = tensor.to(memory_format=torch.channels_last)
        return tensor

    def to_numpy(tensor: torch.Tensor, kind: str) -> np.ndarray:
        order = {"map": (0, 2, 3, 1), "kernel": (2, 3, 1, 0), "dense": (1, 0)}.get(kind)
        value = tensor.detach().numpy()
        return value.transpose(order) if order else value

    inputs = [
        to_torch(value, kind).requires_grad_()
        for value, kind in zip(case.arguments, case.kinds, strict=True)
    ]
    g = to_torch(case.cotangent, case.result)

    def run() -> torch.Tensor:
        for tensor in inputs:
            tensor.grad = None
        y = case.torch(*inputs)
        y.backward(g)
        return y

    values = [to_numpy(run(), case.result)]
    values += [to_numpy(t.grad, kind) for t, kind in zip(inputs, case.kinds, strict=True)]
    return run, values


def measure(case: Case, flags: argparse.Namespace) -> list[dict]:
    """Returns one row per contender."""
    built = {mode: ours(case, mode) for mode in case.ours}
    if flags.torch:
        built["torch"] = theirs(case)
    reference = built["xla"][1]
    timings = timing.race(
        {name: run for name, (run, _) in built.items()}, flags.rounds, flags.seconds
    )
    rows = []
    for name, (_, values) in built.items():
        error = max(
            float(np.abs(a - b).max() / np.abs(b).max())
            for a, b in zip(values, reference, strict=True)
        )
        rows.append({"case": case.name, **timing.row(name, timings), "error": f"{error:.0e}"})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    flags.torch = timing.prepare_torch()
    rows = []
    for create in CASES:
        case = create()
        if flags.only in case.name:
            rows += measure(case, flags)
            for row in rows[-len(case.ours) - flags.torch :]:
                print(*(f"{key}={value}" for key, value in row.items()), flush=True)
    timing.write(flags.output, "layers", vars(flags), rows)


if __name__ == "__main__":
    large_pages.restart()  # PyTorch, where it takes part, has them too
    main()
