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


def adam_of(file: golden.Golden) -> tuple[optax.GradientTransformation, float]:
    """Returns (the optimizer of the `call` text, its first beta).

    torch's Adam and optax's share their formula.
    """
    number = r"([\d.]+(?:e-?\d+)?)"
    text = file.info.get("call", "")
    rate = re.search(rf"lr {number}", text)
    betas = re.search(rf"betas \({number}, ?{number}\)", text)
    epsilon = re.search(rf"eps {number}", text)
    beta = float(betas[1]) if betas else 0.0
    optimizer = optax.adam(
        float(rate[1]) if rate else 1e-4,
        b1=beta,
        b2=float(betas[2]) if betas else 0.99,
        eps=float(epsilon[1].rstrip(".")) if epsilon else 1e-8,
    )
    return optimizer, beta


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


@dataclasses.dataclass(frozen=True)
class Gradients:
    """What a file records of the first gradients: all norms, and a few as they are.

    Attributes:
      norms: network ("D", "G", "MLP") -> published name -> L2 norm.
      whole: the file's name of the array -> gradient in the published layout.
    """

    norms: dict[str, dict[str, float]]
    whole: dict[str, np.ndarray]


@functools.cache
def run(path) -> tuple[list[dict[str, float]], Gradients]:
    """Returns (the loss terms of every step, the gradients of the first).

    The networks are of full width: the program is compiled before there is a state, so that the
    compiler's memory is given back first, and the state is there only once.
    """
    file = golden.load(path)
    optimizer, beta = adam_of(file)
    optimizers = dict.fromkeys(("generator", "discriminator"), optimizer)
    networks, variables = _networks(file)
    initial = functools.partial(_initial, optimizers=optimizers)
    step = _compiled(file, jax.eval_shape(initial, variables), networks, optimizers)
    state = jax.jit(initial)(variables)
    del variables
    losses, first = [], None
    for number in range(1, len(file.arrays["losses"]) + 1):
        state, sums = step(state, _batch(file, number))
        losses.append({name: float(value / weight) for name, (value, weight) in sums.items()})
        if first is None:
            first = _published_gradients(file, state.opt, beta)
    # The next file's step is another program; this one and its state are a gigabyte.
    del state, step
    memory.forget()
    return losses, first


def _networks(file):
    """Returns (network -> module, network -> filled variables)."""
    built = {
        "generator": scat_networks.generator(file, "params_generator"),
        "discriminator": scat_networks.discriminator(file, "params_discriminator"),
    }
    if "params_mlp" in file.info:
        built["head"] = scat_networks.head(file)
    return tuple({name: pair[part] for name, pair in built.items()} for part in (0, 1))


def _initial(variables, optimizers) -> State:
    params = {name: of_network["params"] for name, of_network in variables.items()}
    return State(
        jnp.zeros((), jnp.int32), params=params,
        stats={"discriminator": variables["discriminator"][spectral.COLLECTION]},
        opt=update.initial_optimizer_states(params, optimizers),
    )


def _compiled(file, state, networks, optimizers):
    step = functools.partial(
        update.training_step, networks=networks, optimizers=optimizers, settings=settings_of(file)
    )
    compiled = jax.jit(step, donate_argnums=0).lower(state, _batch(file, 1)).compile()
    memory.forget()
    return compiled


def _batch(file, number: int) -> dict[str, np.ndarray]:
    return {name: file.input(name, step=number) for name in ("image", "mask")}


def _published_gradients(file, opt, beta: float) -> Gradients:
    found = weights.describe_discriminator(file.shapes("params_discriminator"))
    generator = weights.describe_generator(file.shapes("params_generator"))
    tables = {
        "D": weights.discriminator_table(
            found["kind"], spectral_norm=found["spectral_norm"], attention=found["attention"]
        ),
        "G": weights.generator_table(generator["blocks"], generator["rates"]),
        "MLP": weights.head_table(),
    }
    # After one step from zero, Adam's first moment is (1 - beta) times the gradient.
    of_generator, of_discriminator = (
        optax.tree.get(opt[name], "mu") for name in ("generator", "discriminator")
    )
    trees = {
        "D": of_discriminator, "G": of_generator["generator"], "MLP": of_generator.get("head"),
    }
    norms, whole = {}, {}
    for which, tree in trees.items():
        if tree is None:
            continue
        entries = {n: e for n, e in tables[which].items() if e.path[0] == "params"}
        moments = table.to_published(entries, {"params": jax.device_get(tree)})
        gradients = {name: moment / (1 - beta) for name, moment in moments.items()}
        norms[which] = {n: np.linalg.norm(g.astype(np.float64)) for n, g in gradients.items()}
        recorded = {f"grad_{which}_{name}": gradient for name, gradient in gradients.items()}
        whole |= {name: g for name, g in recorded.items() if name in file.arrays}
    return Gradients(norms, whole)


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
        assert set(names) == set(gradients.norms[which])
        for name, expected in zip(names, norms, strict=True):
            if not ignored(name):
                np.testing.assert_allclose(
                    gradients.norms[which][name], expected, rtol=allowed[which],
                    err_msg=f"{path.name}: {which} {name}",
                )
    full = [name for name in file.arrays if name.startswith("grad_")]
    for name in full:
        which = name.split("_")[1]
        expected = file.arrays[name]
        actual = gradients.whole[name]
        error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
        assert error < allowed[which], f"{path.name}: {name} is off by {error:.2e} of its norm"


def _ignored(file):
    """Gate biases: their gradient is zero in exact arithmetic, and the recorded one round-off."""
    pattern = re.search(r"(middle\.\*\.\S+\.bias)", json.dumps(file.info.get("gradient_note", "")))
    regex = re.escape(pattern[1] if pattern else "middle.*.gate.1.bias").replace(r"\*", r"\d+")
    return lambda name: re.fullmatch(regex, name) is not None
