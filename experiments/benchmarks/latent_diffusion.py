"""Benchmark of Stable Diffusion 1.x at full size: a dry run of training, and one real edit on CPU.

    python -m experiments.benchmarks.latent_diffusion train --batch 1 --checkpointed
    python -m experiments.benchmarks.latent_diffusion edit --size 512 --steps 4

`train` builds nothing: it traces the training step of the whole UNet with AdamW from shapes,
lowers and compiles it, and reports what memory the compiled program asks for, and what is kept for
the backward pass: XLA for CPU asks for as much with checkpointed blocks as without, so that what
they save shows in the latter alone. `edit` fills
autoencoder, UNet and CLIP's text encoder by the rule of the golden files (about 5 GB), encodes a
photograph, walks `--steps` guided DDIM steps under a mask and decodes; 8 GB and more are needed.
The picture means nothing, the figures are those of any weights. One JSON line is appended to
`--output`.
"""

from __future__ import annotations

import argparse
import functools
import math
import pathlib
import time
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks import timing
from jaxedit.data import sources, transforms
from jaxedit.host import large_pages
from jaxedit.layers.convolution import formulation
from jaxedit.methods.iedit import text_encoder
from jaxedit.models.autoencoder_kl import AutoencoderKL, distribution
from jaxedit.models.clip.towers import CLIP
from jaxedit.models.diffusion import parts, sampling
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.models.unet import UNet
from jaxedit.run import writer
from jaxedit.weights.table import Table

_TOKENS = 77
_GIB = 2**30
_INVERSE = {"conv": (3, 2, 0, 1), "linear": (1, 0)}  # of our axes, the published ones


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the float32 array that the golden files' rule gives to a published parameter."""
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) >= 2:
        values /= math.sqrt(math.prod(shape[1:]))
    else:
        values *= 0.1
        values += 1.0 if name.endswith("weight") else 0.0
    return values.astype(np.float32)


def filled(table: Table, shapes: dict[str, Any]) -> dict[str, Any]:
    """Returns our variables, filled by their published names."""
    result: dict[str, Any] = {}
    for name, entry in table.items():
        *modules, leaf = entry.path
        place, expected = result, shapes
        for key in modules:
            place, expected = place.setdefault(key, {}), expected[key]
        axes = _INVERSE.get(entry.kind)
        shape = expected[leaf].shape
        array = fill(name, tuple(shape[axis] for axis in axes) if axes else shape)
        back = np.argsort(axes) if axes else range(array.ndim)
        place[leaf] = jnp.asarray(np.transpose(array, back))
    return result


def compiled(function: Callable, *arguments: Any, donate: tuple[int, ...] = ()):
    """Returns (the compiled program, seconds of tracing and lowering, of compiling)."""
    started = time.perf_counter()
    lowered = jax.jit(function, donate_argnums=donate).lower(*arguments)
    traced = time.perf_counter()
    program = lowered.compile()
    return program, traced - started, time.perf_counter() - traced


def memory(program) -> dict[str, float]:
    """Returns what a compiled program asks for, in GiB."""
    found = program.memory_analysis()
    used = {
        "arguments": found.argument_size_in_bytes, "results": found.output_size_in_bytes,
        "shared": found.alias_size_in_bytes, "temporary": found.temp_size_in_bytes,
    }
    used["whole"] = used["arguments"] + used["results"] - used["shared"] + used["temporary"]
    return {f"{name}_gib": round(size / _GIB, 2) for name, size in used.items()}


def zeros(tree: Any) -> Any:
    """Returns arrays of the shapes of `tree`, to be traced."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)


def train(flags: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of the training step, which is never run."""
    dtype = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}[flags.dtype]
    module, schedule = UNet(checkpointed=flags.checkpointed, dtype=dtype), Schedule()
    optimizer = optax.adamw(1e-5, weight_decay=1e-2)
    side = flags.size // 8
    shape = lambda *sizes, dtype=jnp.float32: jax.ShapeDtypeStruct(sizes, dtype)
    latents = shape(flags.batch, side, side, 4)
    params = parts.variables("unet")["params"]
    moments = jax.eval_shape(optimizer.init, params)

    def loss(params, latents, noise, time, text):
        noisy = schedule.add_noise(latents, noise, time)
        predicted = module.apply({"params": params}, noisy, time, text)
        return jnp.square(predicted - noise).mean()

    def step(params, moments, *batch):
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, moments = optimizer.update(gradient, moments, params)
        return optax.apply_updates(params, updates), moments, value

    batch = (latents, latents, shape(flags.batch, dtype=jnp.int32),
             shape(flags.batch, _TOKENS, text_encoder.CONFIG.text.hidden_size))
    # What a pull-back holds beside the parameters themselves.
    pull_back = lambda params: jax.vjp(lambda params: loss(params, *zeros(batch)), params)[1]
    kept = jax.eval_shape(pull_back, params)
    size = lambda tree: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    program, traced, seconds = compiled(step, params, moments, *batch, donate=(0, 1))
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "tensors": len(jax.tree.leaves(params)),
        "kept_for_backward_gib": round((size(kept) - size(params)) / _GIB, 2),
        "trace_s": round(traced, 1), "compile_s": round(seconds, 1), **memory(program),
    }


def edit(flags: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of one edit."""
    started = time.perf_counter()
    unet, autoencoder, text = UNet(), AutoencoderKL(), CLIP(text_encoder.CONFIG)
    tokens = np.full((2, _TOKENS), 49407, np.int32)  # the prompt, and the empty one
    tokens[:, 0] = 49406
    tokens[0, 1:6] = np.arange(320, 325)
    variables = {name: filled(parts.table(name), parts.variables(name)) for name in parts.PARTS}
    variables["text"] = filled(text_encoder.table(), text_encoder.variables())
    jax.block_until_ready(variables)
    figures = {"fill_s": round(time.perf_counter() - started, 1)}

    image = transforms.resize_and_crop(
        sources.create("photos", "eval")[0]["image"], flags.size, flags.size
    )
    image = jnp.asarray(transforms.to_unit_range(image))[None]
    side = flags.size // 8
    mask = np.zeros((1, side, side, 1), np.float32)
    mask[:, side // 4 : -side // 4, side // 4 : -side // 4] = 1
    noise = jax.random.normal(jax.random.key(0), (1, side, side, 4))
    schedule = Schedule()

    def read(variables, tokens):
        return text.apply(variables, tokens, method="read_tokens").last

    def encode(variables, image):
        mean, _ = distribution(autoencoder.apply(variables, image, method="encode"))
        return autoencoder.to_diffusion(mean)

    def sample(variables, latents, noise, states, guidance, mask):
        network = functools.partial(unet.apply, variables)
        predict = sampling.guided(network, states[:1], states[1:], guidance)
        start = sampling.noised_start(schedule, latents, noise, flags.steps)
        levels = sampling.noised_levels(schedule, latents, noise, flags.steps)
        blend = sampling.Blend(mask, levels)
        return sampling.sample(schedule, predict, start, flags.steps, blend=blend)[0]

    def decode(variables, latents):
        return autoencoder.apply(variables, autoencoder.from_diffusion(latents), method="decode")

    def run(name, function, *arguments):
        """Compiles and runs; a part is timed apart, since each is a program of its own."""
        program, traced, seconds = compiled(function, *arguments)
        begun = time.perf_counter()
        result = jax.block_until_ready(program(*arguments))
        took = time.perf_counter() - begun
        figures.update({f"{name}_trace_s": round(traced, 1), f"{name}_compile_s": round(seconds, 1),
                        f"{name}_s": round(took, 1),
                        f"{name}_temporary_gib": memory(program)["temporary_gib"]})
        return result

    states = run("text", read, variables["text"], tokens)
    latents = run("encode", encode, variables["vae"], image)
    edited = run("sample", sample, variables["unet"], latents, noise, states, jnp.float32(7.5),
                 jnp.asarray(mask))
    outside = mask[..., 0] == 0
    same = bool((np.asarray(edited)[outside] == np.asarray(latents)[outside]).all())
    picture = run("decode", decode, variables["vae"], edited)
    figures |= {
        "seconds_a_step": round(figures["sample_s"] / flags.steps, 1),
        "edit_s": round(sum(figures[f"{n}_s"] for n in ("text", "encode", "sample", "decode")), 1),
        "finite": bool(jnp.isfinite(picture).all()),
        "latents_outside_of_the_mask_unchanged": same,
        "peak_memory_gib": round((writer.peak_memory_bytes() or 0) / _GIB, 2),
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("what", choices=("train", "edit"))
    parser.add_argument("--size", type=int, default=512, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=1, help="train: pictures of a step")
    parser.add_argument("--checkpointed", action="store_true", help="train: blocks compute again")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=4, help="edit: of DDIM")
    parser.add_argument("--convolution", choices=formulation.MODES, default="xla")
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    with formulation.using(flags.convolution):
        figures = {"train": train, "edit": edit}[flags.what](flags)
    kept = {key: value for key, value in vars(flags).items() if key != "output"}
    timing.report(flags.output, {**kept, **figures})


if __name__ == "__main__":
    large_pages.restart()
    main()
