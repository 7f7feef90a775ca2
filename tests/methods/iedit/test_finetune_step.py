"""A whole step of fine-tuning against the same in plain operators (`restated`), by published names.
"""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit import method as method_lib
from jaxedit.models import vgg
from jaxedit.models.diffusion import parts
from jaxedit.weights import table
from tests import shrink
from tests.fake_run import drawn
from tests.methods.iedit import restated

GROUPS, HEADS, RATE, DECAY, GUARD, CLIP = 2, 2, 0.1, 0.01, 0.02, 0.5


def tables(method):
    unet = parts.PARTS["unet"].table(method.unet)
    return unet, parts.PARTS["vae"].table(method.autoencoder), vgg.conversion_table(16)


def published(entries, params):
    arrays = table.to_published(entries, {"params": params})
    return restated.Parameters({k: jnp.asarray(v, jnp.float64) for k, v in arrays.items()})


def gaps():
    """Prints JSON: the losses of both, and how far each parameter is from the restated one.

    Runs in a process of its own, in which every float32 of jaxedit is a float64.
    """
    method = method_lib.create(shrink.iedit("edits", part="finetune", **{
        "loss.perceptual": "0.3", "text.drop": "0.4", "optim.lr": str(RATE),
        "optim.schedule": "constant", "optim.warmup": "0", "optim.weight_decay": str(DECAY),
        "optim.eps": str(GUARD), "optim.clip": str(CLIP), "optim.ema": "0.9",
        "optim.betas": "(0.9, 0.99)", "remat": "true",
    }))
    double = lambda tree: jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x), jnp.float64)
        if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )
    count, key = 8, jax.random.key(5)
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1)))
    of = lambda module, *inputs: jax.eval_shape(
        module.init, jax.random.key(0), *map(jnp.zeros, inputs))
    state = double(drawn(state.replace(frozen={
        **state.frozen, "autoencoder": of(method.networks()["autoencoder"], (1, 32, 32, 3)),
        "latent_scale": jax.ShapeDtypeStruct((), jnp.float64),
        "text": jax.eval_shape(
            method.text.network().init, jax.random.key(0), jnp.zeros((1, 8), jnp.int32)),
    })))
    state = state.replace(opt=jax.tree.map(jnp.zeros_like, state.opt))  # as before a first step
    batch = method.spec(count)
    rng = np.random.default_rng(2)
    batch = {name: jnp.asarray(rng.standard_normal(one.shape)) for name, one in batch.items()}
    batch |= {name: jnp.asarray(rng.random(batch[name].shape) > 0.99, jnp.float64)
              for name in ("mask_source", "mask_target")}
    for name in ("image", "target"):
        batch[name] = jnp.tanh(batch[name])
    batch["symbols"] = jnp.zeros((count, 8), jnp.int32)
    after, sums = jax.jit(lambda *a: method.update(*a, phase="look"))(state, batch, key)

    channels_first = lambda x: x.transpose(0, 3, 1, 2)
    keys = jax.random.split(jax.random.split(key)[1], 5)
    latents = lambda moments, key: channels_first((
        moments[..., :4] + jnp.exp(jnp.clip(moments[..., 4:], -30, 20) / 2) * jax.vmap(
            lambda place: jax.random.normal(jax.random.fold_in(key, place), (16, 16, 4))
        )(jnp.arange(count))
    ) * state.frozen["latent_scale"])
    dropped = jax.random.bernoulli(keys[4], 0.4, (count,))
    time = jax.random.randint(keys[2], (count,), 0, 1000)
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    mask = channels_first(jnp.maximum(batch["mask_source"], batch["mask_target"]))
    cells = mask.reshape(count, 1, 16, 2, 16, 2).max((3, 5))
    cells = jnp.pad(cells, ((0, 0), (0, 0), (1, 1), (1, 1)))
    cells = jnp.stack([cells[:, :, i:i + 16, j:j + 16] for i in range(3) for j in range(3)]).max(0)
    empty = method.text.states(state.frozen["text"], jnp.asarray(method.text.symbols([""])))
    unet, vae, features = tables(method)
    before = published(unet, state.params["unet"])
    frozen = (published(vae, state.frozen["autoencoder"]["params"]),
              published(features, state.frozen["features"]["params"]))
    at = {
        "source": latents(batch["moments"], keys[0]),
        "target": latents(batch["target_moments"], keys[1]),
        "noise": channels_first(jax.random.normal(keys[3], (count, 16, 16, 4))),
        # The schedule's table is stored in single precision.
        "time": time, "abar": jnp.asarray(np.cumprod(1 - betas).astype("f4").astype("f8"))[time],
        "text": jnp.where(dropped[:, None, None], empty, batch["text_states"]),
        "dropped": dropped, "cells": cells, "mask": mask, "scale": state.frozen["latent_scale"],
        "image": channels_first(batch["image"]), "wanted": channels_first(batch["target"]),
    }
    plain = jax.jit(jax.value_and_grad(
        lambda p: restated.loss(restated.Parameters(p), frozen, at, GROUPS, HEADS)))
    value, gradient = plain(dict(before))
    # In NumPy: to JAX each operation on each shape is a program to compile.
    arrays = lambda of: {name: np.asarray(value) for name, value in of.items()}
    before, gradient = arrays(before), arrays(gradient)
    length = np.sqrt(sum(float(np.square(g).sum()) for g in gradient.values()))
    now = arrays(published(unet, after.params["unet"]))
    average = arrays(published(unet, after.ema["unet"]))
    # The average takes the larger share of the new parameters at first: 9 / 11.
    old = arrays(published(unet, state.ema["unet"]))
    found = {}
    for name, start in before.items():
        g = gradient[name] * min(1, CLIP / length)
        step = -RATE * (g / (np.abs(g) + GUARD) + DECAY * start)
        gap = np.abs(now[name] - start - step).max()
        gap += np.abs(average[name] - (2 * old[name] + 9 * now[name]) / 11).max()
        found[name] = float(gap / (np.abs(step).max() + 1e-6))
    used = int(((time < 400) & ~dropped).sum())
    print(json.dumps({"loss": [float(sums["loss/total"][0]), float(value)], "gaps": found,
                      "length": [float(sums["grad_norm/unet"][0]), float(length)],
                      "seen": [int(dropped.sum()), used]}))


def test_whole_step():
    code = ("import jax.numpy as jnp; jnp.float32 = jnp.float64; "
            "from tests.methods.iedit import test_finetune_step as test; test.gaps()")
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(shrink.ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=shrink.ROOT,
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    for name in ("loss", "length"):
        here, there = found[name]
        # The schedule's roots are taken in single precision.
        assert abs(here - there) < 1e-8 * there
    assert min(found["seen"]) > 0  # the empty prompt, and pictures that are looked at
    assert len(found["gaps"]) > 100 and max(found["gaps"].values()) < 1e-6
