"""The generator's training, shrunk: each phase against a restatement, the loop, what is kept."""

import functools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.models.stylegan2 import augmentation, tables
from jaxedit.models.stylegan2.generator import draw_noise
from jaxedit.run import drawing, evaluate, readers, train
from jaxedit.state import StartingValue
from jaxedit.weights import table
from tests import shrink
from tests.methods.sdic import restated

SIZE, CODES, WIDTH = 16, 6, 32
# Of the restatement: the smallest networks that there are.
SMALL, FEW, BATCH = 8, 4, 4
TABLES = {"generator": tables.generator_table(SMALL, 1),
          "discriminator": tables.discriminator_table(SMALL)}
LR, EPSILON = 0.5, 1.0


def published(state, name):
    variables = {"params": state.params[name], "noise": state.stats["generator"]}
    return table.to_published(TABLES[name], variables)


def split(key, count):
    with jax.ensure_compile_time_eval():
        return list(jax.random.split(key, count))


def codes_of(p, key, count):
    keys = split(key, 4)
    z = [jax.random.normal(key, (count, WIDTH)) for key in keys[:2]]
    with jax.ensure_compile_time_eval():
        mixed = bool(jax.random.bernoulli(keys[2], 0.9))
        place = int(jax.random.randint(keys[3], (), 1, FEW)) if mixed else FEW
    first, second = (restated.mapped(p, one) for one in z)
    return jnp.stack([first] * place + [second] * (FEW - place), 1)


def made_of(p, codes, key):
    noise = draw_noise(key, SMALL, len(codes))
    noise = {f"noises.noise_{i}": x.transpose(0, 3, 1, 2) for i, x in enumerate(noise)}
    return restated.generate(p | noise, codes, 0)[0]


def drawn(p, key, count):
    code_key, noise_key = split(key, 2)
    return made_of(p, codes_of(p, code_key, count), noise_key)


def score(p, picture, key, strength=0.5):
    augmented = augmentation.augment(picture.transpose(0, 2, 3, 1), key, jnp.float64(strength))
    return restated.discriminate(p, augmented.transpose(0, 3, 1, 2))


def restated_losses(image):
    """Phase -> what it minimises, of (the network's parameters, the other's, key)."""
    soft = lambda x: jnp.logaddexp(x, 0).mean()

    def judge(p, other, key):
        keys = split(key, 3)
        fake = drawn(other, keys[0], BATCH)
        return soft(-score(p, image, keys[1])) + soft(score(p, fake, keys[2]))

    def judge_penalty(p, other, key):
        gradient = jax.grad(lambda x: score(p, x, key).sum())(image)
        return 10 / 2 * 2 * jnp.square(gradient).sum((1, 2, 3)).mean()

    def deceive(p, other, key):
        keys = split(key, 2)
        return soft(-score(other, drawn(p, keys[0], BATCH), keys[1]))

    def path_penalty(p, other, key):
        code_key, noise_key, direction_key = split(key, 3)
        codes = codes_of(p, code_key, 2)
        y = jax.random.normal(direction_key, (2, SMALL, SMALL, 3)).transpose(0, 3, 1, 2) / SMALL
        moved = jax.grad(lambda codes: (y * made_of(p, codes, noise_key)).sum())(codes)
        lengths = jnp.sqrt(jnp.square(moved).sum(2).mean(1))
        return 2 * 2 * jnp.square(lengths - (0.3 + 0.01 * (lengths.mean() - 0.3))).mean()

    return {"d": judge, "d_reg": judge_penalty, "g": deceive, "g_reg": path_penalty}


def gaps():
    """Prints JSON: phase -> how far each parameter's step is from the restated one.

    Runs in a process of its own, in which every float32 of jaxedit is a float64.
    """
    config = shrink.sdic("generator", **{
        "network.size": str(SMALL), "image_size": f"({SMALL}, {SMALL})", "loss.r1": "10.0",
        "optim.lr": str(LR), "optim.eps": str(EPSILON),
        "augment.pipe": "bgc", "augment.strength": "0.5",
    })
    method = method_lib.create(config)
    double = lambda tree: jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x), jnp.float64)
        if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )
    state = double(drawing.drawn(lambda key: method.init(key, method.spec(2)), jax.random.key(3)))
    # Biases and strengths of noise begin at 0, where half of the network would go untested.
    rng = np.random.default_rng(2)
    moved = jax.tree.map(lambda x: x + 0.3 * rng.standard_normal(x.shape), state.params)
    state = state.replace(params=moved, extra={**state.extra, "path_length": jnp.float64(0.3)})
    image = jnp.asarray(np.tanh(rng.standard_normal((BATCH, SMALL, SMALL, 3))))
    rng, found = jax.random.key(7), {}
    losses = restated_losses(image.transpose(0, 3, 1, 2))
    for number, (phase, loss) in enumerate(losses.items()):
        name, other = ("generator", "discriminator")[:: 1 if "g" in phase[:1] else -1]
        after, sums = jax.jit(lambda state, image, key, phase=phase: method.update(
            state, {"image": image}, key, phase=phase
        ))(state, image, rng)
        key = jax.random.split(jax.random.fold_in(rng, number))[1]
        before, beside = double(published(state, name)), double(published(state, other))
        gradient = jax.jit(jax.grad(functools.partial(loss, key=key)))(before, beside)
        now, share = published(after, name), 2 / 3  # one penalty in two steps
        found[phase] = {}
        for part, start in before.items():
            if part.startswith("noises."):
                continue
            g = np.asarray(gradient[part])
            expected = -LR * share * g / (np.abs(g) + EPSILON)
            scale = np.linalg.norm(expected) + 1e-6
            found[phase][part] = float(np.linalg.norm(now[part] - start - expected) / scale)
        unmoved = jax.tree.leaves(jax.tree.map(
            lambda a, b: float(np.abs(a - b).max()), after.params[other], state.params[other]
        ))
        assert not any(unmoved)
        if phase == "g_reg":
            lengths = float(sums["path_length"][0])
            assert abs(after.extra["path_length"] - (0.3 + 0.01 * (lengths - 0.3))) < 1e-12
    print(json.dumps(found))


def test_each_phase_against_a_restatement():
    code = ("import jax.numpy as jnp; jnp.float32 = jnp.float64; "
            "from tests.methods.sdic import test_generator; test_generator.gaps()")
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(shrink.ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=shrink.ROOT,
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert set(found) == {"d", "d_reg", "g", "g_reg"}
    for phase, parts in found.items():
        names = TABLES["discriminator" if phase[0] == "d" else "generator"]
        assert parts.keys() == {name for name in names if not name.startswith("noises.")}
        assert max(parts.values()) < 1e-8, phase


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns (method, last state, table of figures) of a run of two steps with augmentation."""
    run = tmp_path_factory.mktemp("generator") / "run"
    config = shrink.sdic("generator", **{"augment.pipe": "b", "augment.every": "4"})
    train.train(config, run, jax.devices()[:1])
    _, method, state = readers.load_run(run)
    return method, state, evaluate.evaluate(method, config, state, run).table


def test_trains_and_is_measured(trained):
    method, state, figures = trained
    assert set(figures) == {"model", "truncated", "real pictures, mirrored"}
    of = {name: row["all"]["fid_random_features"] for name, row in figures.items()}
    assert 0 < of["real pictures, mirrored"] < of["model"]
    assert float(state.extra["path_length"]) > 0
    # Two changes of the strength, up or down from 0, each by 4 pictures of 500,000.
    steps = float(state.extra["augmentation"]["strength"]) * 500_000 / 4
    assert steps == pytest.approx(round(steps), abs=1e-3) and round(steps) in (0, 1, 2)
    assert float(state.extra["augmentation"]["count"]) == 0


def test_the_average_code_is_that_of_the_averaged_generator(trained):
    method, state, _ = trained
    z = jax.random.normal(jax.random.key(0), (64, WIDTH))
    p = table.to_published(tables.generator_table(SIZE, 1), {
        "params": state.ema["generator"], "noise": state.stats["generator"]
    })
    expected = restated.mapped(jax.tree.map(jnp.asarray, p), z).mean(0)
    np.testing.assert_allclose(state.extra["average"], expected, atol=1e-5)
    assert np.abs(expected).max() > 0.01
    # At truncation 0 all pictures have that code, and differ in their noise alone.
    inputs = {"truncation": jnp.zeros(2), "seed": jnp.zeros(2, jnp.uint32)}
    predict = jax.jit(method.predict, static_argnames="task")
    found = predict(state, inputs, jax.random.key(1), task="sample")
    np.testing.assert_allclose(
        found["codes"], np.broadcast_to(state.extra["average"], (2, CODES, WIDTH)), atol=1e-6
    )
    again = predict(state, {"codes": found["codes"]}, jax.random.key(0), task="synthesise")
    assert again["image"].shape == found["image"].shape == (2, SIZE, SIZE, 3)


def test_a_picture_does_not_depend_on_its_batch(trained):
    method, state, _ = trained
    keys = jax.random.split(jax.random.key(5), 3)
    image = jnp.zeros((3, SIZE, SIZE, 3))
    predict = jax.jit(lambda image, keys: method.predict(
        state, {"image": image}, keys, task="measure"
    ))
    whole, part = predict(image, keys), predict(image[:1], keys[2:])
    np.testing.assert_allclose(whole["drawn"][2:], part["drawn"], atol=1e-5)
    assert np.abs(whole["drawn"][0] - whole["drawn"][1]).max() > 1e-3
    assert np.abs(whole["drawn"] - whole["truncated"]).max() > 1e-3


def test_phases_and_rates():
    method = method_lib.create(shrink.config_lib.load(f"{shrink.SDIC}:paper_generator"))
    assert method.phases(0) == ("d", "d_reg", "g", "g_reg")
    assert method.phases(4) == ("d", "g", "g_reg") and method.phases(5) == ("d", "g")
    assert method.phases(15) == ("d", "g", "average")
    assert method.phases(800_000 - 1)[-1] == method.phases(5_000 - 1)[-1] == "average"
    # Two steps of Adam by hand: rate and second beta to the power of k / (k + 1).
    for name, k in (("generator", 4), ("discriminator", 16)):
        optimizer, x = method.optimizers(1)[name], jnp.array([0.5])
        state, c = optimizer.init(x), k / (k + 1)
        square = 0.0
        for step, g in enumerate((0.3, -0.2), 1):
            updates, state = optimizer.update(jnp.array([g]), state)
            beta = 0.99**c
            square = beta * square + (1 - beta) * g * g
            expected = -0.002 * c * g / (np.sqrt(square / (1 - beta**step)) + 1e-8)
            assert updates[0] == pytest.approx(expected, rel=1e-4)


def test_the_average_of_the_generator_moves_once_a_step():
    config = shrink.sdic("generator", **{"optim.ema_half_life": "4.0"})  # half of it at every step
    method = method_lib.create(config)
    ones = jax.tree.map(jnp.ones_like, jax.eval_shape(
        lambda: method.init(jax.random.key(0), method.spec(1))
    ).params)
    state = lambda step: method_lib.State(
        step=jnp.int32(step), params=ones,
        ema={"generator": jax.tree.map(jnp.zeros_like, ones["generator"])},
    )
    for step, phase, moved in ((0, "g", 0), (0, "g_reg", 0.5), (1, "g", 0.5)):
        found = jax.tree.leaves(method._averaged(state(step), phase))
        assert {float(leaf.ravel()[0]) for leaf in found} == {moved}


def test_the_inversion_starts_from_it(trained):
    _, state, _ = trained
    method = method_lib.create(shrink.sdic())
    start = [
        StartingValue(tree, "generator", f"frozen/{place}") for tree, place in (
            (state.ema["generator"], "generator/params"),
            (state.stats["generator"], "generator/noise"),
            (state.extra["average"], "average"),
        )
    ]
    # What has another shape, or no place, is an error.
    found = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1), start))
    assert found.frozen["average"].shape == (CODES, WIDTH)


@pytest.mark.parametrize("changes, message", [
    ({"image_size": "(32, 32)"}, "network.size=16 learns pictures of 16 x 16"),
    ({"remat": "true"}, "remat=True"),
    ({"augment.pipe": "bgcf"}, "augment.pipe"),
    ({"loss.mixing": "1.5"}, "loss.mixing"),
])
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        method_lib.create(shrink.sdic("generator", **changes))
