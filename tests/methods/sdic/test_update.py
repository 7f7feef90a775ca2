"""A whole training step against the same in plain operators (`restated`), by published names."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit import method as method_lib
from jaxedit.methods.sdic import e4e, weights
from jaxedit.models.stylegan2 import tables
from jaxedit.run import drawing
from jaxedit.weights import table
from tests import shrink
from tests.methods.sdic import restated

TABLES = {"dipn": weights.dipn_table(), "dicn": weights.dicn_table()}
WEIGHTS = {"l2": 1.0, "compensation": 0.5, "residual": 0.1}


def published(name, params, stats):
    return table.to_published(TABLES[name], {"params": params[name], "batch_stats": stats[name]})


def loss(trained, frozen, average, image, side, tap):
    encoder, generator = frozen
    codes = restated.encode(encoder, image, len(average)) + average
    first, feature = restated.generate(generator, codes, tap)
    above = (side - image.shape[2]) // 2
    rows = slice(above, side - above)
    initial = restated.centres(jnp.clip(first, -1, 1), side)[:, :, rows]
    discrepancy = restated.dipn(trained["dipn"], image, initial)
    padded = jnp.pad(discrepancy, ((0, 0), (0, 0), (above, above), (0, 0)))
    new_feature, new_codes = restated.dicn(trained["dicn"], padded, feature, codes, tap)
    picture, _ = restated.generate(generator, new_codes, tap, new_feature)
    repeat = side // picture.shape[2]  # means over cells that are parts of pixels
    picture = picture.repeat(repeat, 2).repeat(repeat, 3)[:, :, rows]
    square = lambda a, b: jnp.square(a - b).mean()
    small = 0.8 * square(new_feature, feature) + 0.2 * square(new_codes, codes)
    return (WEIGHTS["l2"] * square(picture, image) + WEIGHTS["compensation"] * small
            + WEIGHTS["residual"] * jnp.abs(discrepancy - (image - initial)).mean())


def gaps():
    """Prints JSON: the losses of both, and how far each parameter's step is from the restated one.

    Runs in a process of its own, in which every float32 of jaxedit is a float64: normalising by two
    samples, layer upon layer, makes DIPN's first gradients so sensitive to rounding that in single
    precision the restatement itself is up to 5 % off.
    """
    config = shrink.sdic(**{
        "loss.perceptual": "0.0", "loss.residual": "0.1", "network.noise": "stored",
        "optim.lr": "0.5", "image_size": "(16, 32)",
    })
    method = method_lib.create(config)
    double = lambda tree: jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x), jnp.float64)
        if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )
    state = double(drawing.drawn(lambda key: method.init(key, method.spec(2)), jax.random.key(3)))
    rng = np.random.default_rng(1)
    image = jnp.asarray(np.tanh(rng.standard_normal((2, 16, 32, 3))))
    average = 0.3 * jnp.asarray(rng.standard_normal(state.frozen["average"].shape))
    state = state.replace(frozen={**state.frozen, "average": average})
    before = {name: published(name, state.params, state.stats) for name in TABLES}
    after, sums = jax.jit(lambda state, batch, key: method.update(
        state, batch, key, phase="step"
    ))(state, {"image": image}, jax.random.key(0))
    inversion = method.inversion
    names = (e4e.encoder_table(inversion.encoder.codes, (1, 1, 1, 1)),
             tables.generator_table(16, 1))
    parts = [double(table.to_published(n, state.frozen[part]))
             for n, part in zip(names, ("encoder", "generator"), strict=True)]
    value, gradient = jax.jit(jax.value_and_grad(loss), static_argnums=(4, 5))(
        double(before), parts, average, image.transpose(0, 3, 1, 2), 32, 8
    )
    found = {}
    for name in TABLES:
        now = published(name, after.params, after.stats)
        for key, start in before[name].items():
            moved = now[key] - start
            if "running" in key:
                assert np.abs(moved).max() > 0
                continue
            # Ranger's first step is along the centralised gradient, at the rate itself.
            g = np.asarray(gradient[name][key])
            if g.ndim > 1:
                g = g - g.mean(tuple(range(1, g.ndim)), keepdims=True)
            found[f"{name}.{key}"] = float(
                np.linalg.norm(moved + 0.5 * g) / (np.linalg.norm(0.5 * g) + 1e-4)
            )
    print(json.dumps({"loss": [float(sums["loss/total"][0]), float(value)], "gaps": found}))


def test_whole_step():
    code = ("import jax.numpy as jnp; jnp.float32 = jnp.float64; "
            "from tests.methods.sdic import test_update; test_update.gaps()")
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(shrink.ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=shrink.ROOT,
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    here, there = found["loss"]
    assert abs(here - there) < 1e-10 * there
    assert len(found["gaps"]) > 100 and max(found["gaps"].values()) < 1e-9
