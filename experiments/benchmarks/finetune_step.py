"""Dry run of iEdit's fine-tuning at full size: what a step holds in memory, without running it.

    python -m experiments.benchmarks.finetune_step
    python -m experiments.benchmarks.finetune_step --override finetune.scope=attn2 --compile

The preset `configs/iedit.py:paper` (Stable Diffusion v1.4 at 512 pixels) is traced from shapes
alone, no weights are read and nothing is executed: the state by `eval_shape`, both phases of the
step (with and without the terms on decoded pictures) by `lower`. What is kept for the backward pass
is counted from the shapes of the pull-back of one micro-batch. `--compile` compiles for this
machine too and says what its program asks for; XLA for CPU keeps what checkpointed blocks would
compute again, so that what they save shows in what is kept alone. One JSON line is appended to
`--output`.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks import timing
from experiments.benchmarks.latent_diffusion import memory
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.method import State
from jaxedit.methods.iedit import features, text_encoder
from jaxedit.models.diffusion import parts

_GIB = 2**30
_CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "iedit.py"


def gib(tree: Any) -> float:
    """Returns the size of arrays or shape structs."""
    found = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    return round(found / _GIB, 2)


def state_of(method: Any) -> State:
    """Returns the state before the first step as shape structs, published networks among it."""
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1)))
    frozen = {"autoencoder": parts.variables("vae"), "text": text_encoder.variables()}
    if method.looker.frozen == features.TOWERS:
        side = features.towers(method.config.loss.clip).config.vision.image_size
        frozen[features.TOWERS] = jax.eval_shape(
            features.towers(method.config.loss.clip).init, jax.random.key(0),
            jnp.zeros((1, side, side, 3)), jnp.zeros((1, 77), jnp.int32),
        )
    return state.replace(frozen={**state.frozen, **frozen})


def kept(method: Any, state: State, part: Any, looks: bool) -> float:
    """Returns what the pull-back of a micro-batch holds beside the state and the batch."""

    def pull_back(state, part, key):
        drawn = method.draw(state, part, key)
        trained = method._trained(state.params)
        loss = lambda trained: method._loss_of(trained, state, part, drawn, looks)[0]
        return jax.vjp(loss, trained)[1]

    held = jax.eval_shape(pull_back, state, part, jax.random.key(0))
    # What is held of the state is there anyway.
    known = {(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves((state.params,
                                                                        state.frozen))}
    return gib([x for x in jax.tree.leaves(held) if (x.shape, str(x.dtype)) not in known])


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures."""
    overrides = [tuple(one.split("=", 1)) for one in flags.override]
    config = config_lib.load(f"{_CONFIG}:paper", overrides)
    method = method_lib.create(config)
    # In place of the tokenizer of weights that need not be here: the empty prompt, filled up.
    method.text.symbols = lambda texts: jnp.full((len(texts), method.text.length), 49407, int)
    state, spec = state_of(method), method.spec(config.train.batch_size)
    part = method.spec(config.train.batch_size // config.train.accumulate)
    figures: dict[str, Any] = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "trained": sum(leaf.size for leaf in jax.tree.leaves(method._trained(state.params))),
        "params_gib": gib(state.params), "moments_gib": gib(state.opt), "ema_gib": gib(state.ema),
        "gradients_gib": gib(method._trained(state.params)),
        **{f"frozen_{name}_gib": gib(tree) for name, tree in sorted(state.frozen.items())},
        "state_gib": gib(state), "batch_gib": gib(spec),
    }
    for phase in ("step", "look"):
        figures[f"{phase}_kept_gib"] = kept(method, state, part, phase == "look")
        started = time.perf_counter()
        step = jax.jit(lambda *a, phase=phase: method.update(*a, phase=phase), donate_argnums=0)
        lowered = step.lower(state, spec, jax.random.key(0))
        figures[f"{phase}_trace_and_lower_s"] = round(time.perf_counter() - started, 1)
        print(phase, figures, file=sys.stderr, flush=True)
        if flags.compile:
            started = time.perf_counter()
            compiled = lowered.compile()
            figures[f"{phase}_compile_s"] = round(time.perf_counter() - started, 1)
            figures |= {f"{phase}_{key}": value for key, value in memory(compiled).items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE",
                        help="of the preset's configuration")
    parser.add_argument("--compile", action="store_true", help="compile both phases too")
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    kept_flags = {"override": flags.override}
    timing.report(flags.output, {**kept_flags, **run(flags)})


if __name__ == "__main__":
    main()
