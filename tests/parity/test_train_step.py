"""Whole training steps against the published ones: losses over steps, first gradients."""

from __future__ import annotations

import dataclasses
import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxedit.layers import spectral
from jaxedit.method import State
from jaxedit.methods.scat import update, weights
from jaxedit.methods.scat.objectives import Settings
from jaxedit.weights import table
from tests import memory
from tests.parity import golden, scat_networks

FILES = golden.goldens("train_step")

# The generator's adversarial terms are means of logits and pass through zero, where a relative
# tolerance means nothing: below this size a term is held to the error allowed at this size.
# Later steps amplify round-off (the first Adam step moves by the sign of a gradient); logits have
# the margin 1 of the hinge as their scale.
SMALLEST = {"first": 0.02, "later": 1.0}

# The file's columns ("10*L1", "semantic (temperature not applied)") -> our terms.
TERMS = {
    "global_d": r"global_?d",
    "segmentation_d": r"(seg|scat)\w*_?d",
    "l1": r"l1",
    "global_g": r"global_?g",
    "segmentation_g": r"(seg|scat)\w*_?g",
    "textural": r"textural",
    "semantic": r"semantic",
}
WEIGHTS = {
    "l1": "l1",
    "global_g": "global_adversarial",
    "segmentation_g": "segmentation",
    "textural": "textural",
    "semantic": "semantic",
}


def term_of(column: str) -> tuple[str, float]:
    """Returns (our term, its weight) of a column name."""
    weight, name = re.match(r"(?:(\d+(?:\.\d+)?) ?\* ?)?(.*)", column.lower()).groups()
    for term, pattern in TERMS.items():
        if re.match(pattern + r"(\W|$)", name):
            return term, float(weight or 1.0)
    raise AssertionError(f"Do not know the loss column {column!r}")


def settings_of(file: golden.Golden) -> Settings:
    """Returns the loss settings that a file describes; what it leaves open is as published."""
    columns = dict(term_of(column) for column in file.info["loss_order"])
    values = {field: columns.get(term, 0.0) for term, field in WEIGHTS.items()}
    options = file.info.get("options", {})
    values["global_kind"] = _kind(
        file, ("global_kind", "global_gan", "globalgan_type"), "global"
    )
    values["segmentation_kind"] = _kind(
        file, ("segmentation_kind", "scat_gan", "SCAT_type"), "segmentation|seg|scat|pixel"
    )
    semantic = next((c for c in file.info["loss_order"] if "semantic" in c.lower()), "")
    if "not applied" not in semantic:
        found = re.search(r"(?:temperature|tau)\D{0,4}(0?\.\d+)", semantic)
        values["semantic_temperature"] = float(found[1]) if found else 1.0
    names = {field.name for field in dataclasses.fields(Settings)} - set(values)
    return Settings(**values, **{key: options[key] for key in options if key in names})


def _kind(file: golden.Golden, keys: tuple[str, ...], head: str) -> str:
    """Returns the kind of adversarial loss of a head: from options, else texts, else hinge."""
    options = {**file.info, **file.info.get("options", {})}
    named = [str(options[key]) for key in keys if key in options]
    text = " ".join([file.info.get("model", ""), file.info.get("call", "")]).lower()
    kind = r"(hinge|nsgan|lsgan)"
    patterns = (
        rf"{kind}\w* (?:(?:for|on|in) )?(?:the )?(?:{head})",
        rf"(?:{head})(?: head| loss| term| gan|_gan)?[ :=(]*{kind}",
        rf"{kind}\w* (?:for )?both",
        rf"both (?:heads )?{kind}",
    )
    found = [match[1] for pattern in patterns if (match := re.search(pattern, text))]
    return re.match(kind, (named + found + ["hinge"])[0])[1]


def adam_of(file: golden.Golden) -> optax.GradientTransformation:
    """Returns the optimizer of the `call` text; torch's Adam and optax's share their formula."""
    number = r"([\d.]+(?:e-?\d+)?)"
    text = file.info.get("call", "")
    rate = re.search(rf"lr {number}", text)
    betas = re.search(rf"betas \({number}, ?{number}\)", text)
    epsilon = re.search(rf"eps {number}", text)
    return optax.adam(
        float(rate[1]) if rate else 1e-4,
        b1=float(betas[1]) if betas else 0.0,
        b2=float(betas[2]) if betas else 0.99,
        eps=float(epsilon[1].rstrip(".")) if epsilon else 1e-8,
    )


def recorder() -> optax.GradientTransformation:
    """Returns a transformation that changes nothing and keeps the gradients in its state."""
    zeros = lambda params: jax.tree.map(jnp.zeros_like, params)
    return optax.GradientTransformation(zeros, lambda gradient, *_: (gradient, gradient))


def tolerances(file: golden.Golden) -> dict[str, float]:
    """Reads `suggested`: "step-1 losses rtol A; gradient norms rtol B for G, C for D ...".

    What a file says nothing about is missing here, and a test that needs it fails.
    """
    text = file.info["suggested"]
    number = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"
    patterns = {
        "first": rf"step-1 losses rtol {number}",
        "G": rf"gradient norms rtol {number} for G",
        "D": rf"{number} for D",
        "MLP": rf"{number} for D and the MLP",
        "later": rf"later steps rtol {number}",
    }
    found = {key: re.search(pattern, text) for key, pattern in patterns.items()}
    return {key: float(match[1]) for key, match in found.items() if match}


@functools.cache
def run(path) -> tuple[list[dict[str, float]], dict[str, dict[str, np.ndarray]]]:
    """Returns (the loss terms of every step, network -> published name -> first gradient)."""
    file = golden.load(path)
    settings = settings_of(file)
    built = {
        "generator": scat_networks.generator(file, "params_generator"),
        "discriminator": scat_networks.discriminator(file, "params_discriminator"),
    }
    if "params_mlp" in file.info:
        built["head"] = scat_networks.head(file)
    networks = {name: module for name, (module, _) in built.items()}
    params = {name: variables["params"] for name, (_, variables) in built.items()}
    stats = {"discriminator": built["discriminator"][1][spectral.COLLECTION]}
    optimizers = dict.fromkeys(
        ("generator", "discriminator"), optax.chain(recorder(), adam_of(file))
    )
    params, stats = jax.tree.map(jnp.asarray, (params, stats))
    opt = jax.jit(lambda p: update.initial_optimizer_states(p, optimizers))(params)
    state = State(jnp.zeros((), jnp.int32), params=params, stats=stats, opt=opt)
    step = jax.jit(
        functools.partial(
            update.training_step, networks=networks, optimizers=optimizers, settings=settings
        ),
        donate_argnums=0,
    )
    losses, first = [], {}
    for number in range(1, len(file.arrays["losses"]) + 1):
        batch = {name: file.input(name, step=number) for name in ("image", "mask")}
        state, sums = step(state, batch)
        losses.append({name: float(value / weight) for name, (value, weight) in sums.items()})
        if not first:
            first = _published_gradients(file, jax.device_get(state.opt))
    # The next file's step is another program; this one and its state are a gigabyte.
    del state, step, params, stats, opt, built
    memory.forget()
    return losses, first


def _published_gradients(file, opt) -> dict[str, dict[str, np.ndarray]]:
    found = weights.describe_discriminator(file.shapes("params_discriminator"))
    generator = weights.describe_generator(file.shapes("params_generator"))
    tables = {
        "D": weights.discriminator_table(
            found["kind"], spectral_norm=found["spectral_norm"], attention=found["attention"]
        ),
        "G": weights.generator_table(generator["blocks"], generator["rates"]),
        "MLP": weights.head_table(),
    }
    of_generator = opt["generator"][0]
    trees = {
        "D": opt["discriminator"][0],
        "G": of_generator["generator"],
        "MLP": of_generator.get("head"),
    }
    return {
        which: table.to_published(
            {n: e for n, e in tables[which].items() if e.path[0] == "params"}, {"params": tree}
        )
        for which, tree in trees.items()
        if tree is not None
    }


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_losses_of_every_step(path):
    file = golden.load(path)
    losses, _ = run(path)
    expected, allowed = file.arrays["losses"], tolerances(file)
    for row, terms in enumerate(losses):
        actual = [terms[f"loss/{term_of(column)[0]}"] for column in file.info["loss_order"]]
        when = "first" if row == 0 else "later"
        error = np.abs(np.array(actual) - expected[row])
        limit = allowed[when] * np.maximum(np.abs(expected[row]), SMALLEST[when])
        if "losses_float64" in file.arrays:  # the published code's own round-off
            limit = limit + np.abs(expected[row] - file.arrays["losses_float64"][row])
        assert (error <= limit).all(), (
            f"{path.name}, step {row + 1}, {file.info['loss_order']}: "
            f"{actual} against {expected[row]}"
        )


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_gradients_of_the_first_step(path):
    file = golden.load(path)
    _, gradients = run(path)
    allowed = tolerances(file)
    ignored = _ignored(file)
    for which, names in file.info["grad_order"].items():
        norms = file.arrays[f"gradnorm_{which}"]
        assert set(names) == set(gradients[which])
        for name, expected in zip(names, norms, strict=True):
            if not ignored(name):
                actual = np.linalg.norm(gradients[which][name].astype(np.float64))
                np.testing.assert_allclose(
                    actual, expected, rtol=allowed[which], err_msg=f"{path.name}: {which} {name}"
                )
    full = [name for name in file.arrays if name.startswith("grad_")]
    for name in full:
        _, which, parameter = name.split("_", 2)
        expected = file.arrays[name]
        actual = gradients[which][parameter]
        error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
        assert error < allowed[which], f"{path.name}: {name} is off by {error:.2e} of its norm"


def _ignored(file):
    """Gate biases: their gradient is zero in exact arithmetic, and the recorded one round-off."""
    pattern = re.search(r"(middle\.\*\.\S+\.bias)", json.dumps(file.info.get("gradient_note", "")))
    regex = re.escape(pattern[1] if pattern else "middle.*.gate.1.bias").replace(r"\*", r"\d+")
    return lambda name: re.fullmatch(regex, name) is not None
