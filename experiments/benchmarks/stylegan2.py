"""Benchmark of StyleGAN2 on CPU: drawing pictures and the phases of training, against PyTorch.

    pip install -e ".[bench]"
    OMP_WAIT_POLICY=PASSIVE python -m experiments.benchmarks.stylegan2 draw
    OMP_WAIT_POLICY=PASSIVE python -m experiments.benchmarks.stylegan2 train --rounds 5
    ... draw --config=configs/sdic.py:paper_generator --batch 4

`train` runs the very programs that the training loop runs, phase by phase, each in turns with its
twins. `step` adds them up as they come: both networks at every step, R1 and path lengths every so
many, and for ours the average code, which plain training does not take. Twins are in two forms:
`grouped` is what published code does, `shared` what ours does. `ratio` is PyTorch's time over ours,
above 1 where ours is faster; `cpu_ratio` that of processor time, which suffers less from other
programs. `difference` is how far pictures, and R1, of the twins are from ours, at equal parameters.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import timing
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.host import large_pages
from jaxedit.layers.convolution import formulation
from jaxedit.methods.sdic import generator_losses
from jaxedit.methods.sdic.generator_losses import AVERAGE, DISCRIMINATOR, GENERATOR
from jaxedit.models.stylegan2.generator import draw_noise
from jaxedit.run import sharding, starting

_TRAINED = ("d", "d_reg", "g", "g_reg")


class Ours:
    """The method at its start, and a batch of random pictures."""

    def __init__(self, flags: argparse.Namespace):
        overrides = [("train.batch_size", str(flags.batch))] if flags.batch else []
        self.config = config_lib.load(flags.config, overrides)
        self.plan = sharding.create_plan(self.config)
        self.method = method_lib.create(self.config, self.plan.axis_name)
        self.state = self.plan.place_state(
            starting.initial_state(self.method, self.plan, jax.random.key(0))
        )
        shape = self.method.spec(self.config.train.batch_size)["image"].shape
        rng = np.random.default_rng(0)
        self.image = rng.uniform(-1, 1, shape).astype(np.float32)

    @property
    def networks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns copies of the parameters of generator and discriminator."""
        copied = jax.tree.map(np.array, dict(self.state.params))
        return copied[GENERATOR], copied[DISCRIMINATOR]

    def phases(self) -> tuple[dict[str, Callable[[], None]], float]:
        """Returns what runs each phase once, and the seconds of compiling."""
        batch, key = self.plan.place_batch({"image": self.image}), jax.random.key(1)
        runs, seconds = {}, 0.0
        for phase in (*_TRAINED, AVERAGE):
            run, facts = self.plan.compile(self.method, phase, self.state, batch, key)
            seconds += facts["compile_seconds"]

            def once(run=run) -> None:
                self.state, _ = run(self.state, batch, key, np.int32(0))
                jax.block_until_ready(self.state)

            runs[phase] = once
        return runs, seconds


def draw(flags: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of z to pictures."""
    ours = Ours(flags)
    network, size = ours.method.objectives.generator, ours.config.network.size
    count = ours.config.train.batch_size
    z = np.random.default_rng(0).standard_normal((count, network.style_width), np.float32)
    noise = draw_noise(jax.random.key(0), size, count)
    variables = generator_losses.variables(ours.state, ours.state.params[GENERATOR])

    def forward(variables, z, noise):
        codes = network.apply(variables, z, method="map")[:, None]
        codes = codes.repeat(network.codes, 1)
        return network.apply(variables, codes, noise, method="synthesise")[0]

    with formulation.preferring("auto"):
        run, facts = sharding.compile_and_describe(jax.jit(forward), variables, z, noise)
    pictures = np.asarray(run(variables, z, noise))
    contenders = {"ours": lambda: jax.block_until_ready(run(variables, z, noise))}
    apart = {}
    if flags.torch:
        import torch

        from experiments.benchmarks import torch_stylegan2 as twin

        params = twin.tensors(ours.networks[0])
        theirs = [torch.from_numpy(np.array(one)).permute(0, 3, 1, 2) for one in noise]

        @torch.inference_mode()
        def drawn(form: str) -> np.ndarray:
            codes = twin.mapped(params, torch.from_numpy(z))[:, None]
            codes = codes.expand(-1, network.codes, -1)
            return twin.synthesised(params, codes, theirs, form)[0].permute(0, 2, 3, 1).numpy()

        for form in twin.FORMS:
            apart[form] = _apart(drawn(form), pictures)
            contenders[form] = lambda form=form: drawn(form)
    rows = _raced(contenders, flags)
    return {"batch": count, "compile_s": round(facts["compile_seconds"], 1), "time": rows,
            "difference": apart}


def train(flags: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of every phase and of a step."""
    ours, twins, apart = Ours(flags), {}, {}
    loss, optim = ours.config.loss, ours.config.optim
    runs, seconds = ours.phases()
    if flags.torch:
        from experiments.benchmarks import torch_stylegan2 as twin

        decay = 0.5 ** (ours.config.train.batch_size / optim.ema_half_life)
        for form in twin.FORMS:
            training = twin.Training(
                *ours.networks, ours.image, loss, optim.lr, decay, form
            )
            twins[form] = twin.phases(training)
        objectives, key = ours.method.objectives, jax.random.key(0)
        scaled, _ = jax.jit(objectives.judge_penalty)(
            ours.state.params[DISCRIMINATOR], ours.state, dict(ours.state.extra), key, ours.image
        )
        training.d_reg()
        apart = {"r1": abs(training.loss / float(scaled) - 1)}
    rows = {}
    for phase, run in runs.items():
        contenders = {"ours": run}
        if phase != AVERAGE:
            contenders |= {form: phases[phase] for form, phases in twins.items()}
        rows[phase] = _raced(contenders, flags)
    steps = loss.r1_every * loss.path_length_every
    due = collections.Counter(phase for i in range(steps) for phase in ours.method.phases(i))
    whole = {}
    for name in ("ours", *twins):
        parts = {phase: n / steps for phase, n in due.items() if name in rows[phase]}
        whole[name] = {
            key: round(sum(part * rows[phase][name][key] for phase, part in parts.items()), 2)
            for key in ("ms", "cpu_ms")
        }
    for name in twins:
        for key, ratio in (("ms", "ratio"), ("cpu_ms", "cpu_ratio")):
            whole[name][ratio] = round(whole[name][key] / whole["ours"][key], 2)
    return {"batch": ours.config.train.batch_size, "compile_s": round(seconds, 1),
            "phases": rows, "step": whole, "difference": apart}


def _apart(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Returns the largest difference over the largest value."""
    return float(np.abs(theirs - ours).max() / np.abs(ours).max())


def _raced(contenders: dict[str, Callable], flags: argparse.Namespace) -> dict[str, dict]:
    """Returns a row for each contender."""
    return timing.rows(timing.race(contenders, flags.rounds, flags.seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("what", choices=("draw", "train"))
    parser.add_argument("--config", default="configs/sdic.py:generator", help="of a generator")
    parser.add_argument("--batch", type=int, default=0, help="pictures; 0: as configured")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a timing, about")
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    flags.torch = timing.prepare_torch()
    figures = {"draw": draw, "train": train}[flags.what](flags)
    timing.report(flags.output, {
        "benchmark": "stylegan2", "what": flags.what, "config": flags.config, **figures,
    })


if __name__ == "__main__":
    large_pages.restart()
    main()
