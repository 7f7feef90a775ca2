"""Alpha, composition and Laplacian losses against the published trainers."""

import re

import jax
import numpy as np
import pytest

from jaxedit.methods.matting import objectives
from tests.parity import fill, golden
from tests.parity.matting_files import GoldenText

FILES = golden.goldens("losses", "matting")
RTOL = 1e-5  # the files name no tolerance; both sides add up in single precision
RECORDED = re.compile(r"(l1|l2|comp|lap)_(os\d)_(unknown|whole|noweight)")
PRETRAIN = {
    "pretrain_rec": "alpha",
    "pretrain_comp": "composition",
    "pretrain_lap": "laplacian",
    "pretrain_total": None,
}


def _inputs(file):
    """Returns name -> array (NHWC) as the sentences under `inputs` say."""
    inputs = file.info["inputs"]
    labels = file.arrays["trimap_labels"][:, None]
    grey = next(key for key in inputs if "alpha" in key)
    colour = next(key for key in inputs if "noise" in key)
    factor = float(re.match(r"([\d.]+)\*make_input", inputs[colour])[1])
    share = float(re.search(r"([\d.]+)\*noise", inputs[colour])[1])
    make = lambda name, sentence: fill.make_input(
        f"loss.{name}", file.shape(sentence), file.salt
    )
    arrays = {
        name: (make(name, inputs[grey]) + np.float32(1)) / np.float32(2)
        for name in grey.split("/")
    }
    arrays["alpha"] = np.where(labels == 1, arrays["alpha"], labels == 2).astype(np.float32)
    arrays |= {
        name: np.float32(factor) * make(name, inputs[colour]) for name in colour.split("/")
    }
    arrays["unknown"] = (labels == 1).astype(np.float32)
    arrays = {name: golden.to_nhwc(array) for name, array in arrays.items()}
    merged = arrays["fg"] * arrays["alpha"] + arrays["bg"] * (1 - arrays["alpha"])
    arrays["image"] = merged + np.float32(share) * arrays["noise"]
    return arrays


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_every_term_of_every_prediction(path):
    file = GoldenText(path)
    inputs = _inputs(file)
    found = [match for name in file.arrays if (match := RECORDED.fullmatch(name))]
    assert {match[1] for match in found} == {"l1", "l2", "comp", "lap"}
    weights = {
        "unknown": inputs["unknown"],
        "whole": np.ones_like(inputs["unknown"]),
        "noweight": None,
    }
    laplacian = jax.jit(objectives.laplacian)
    for match in found:
        kind, head, region = match.groups()
        prediction, weight = inputs[head], weights[region]
        if kind == "comp":
            actual = objectives.composition(
                prediction, inputs["fg"], inputs["bg"], inputs["image"], weight
            )
        elif kind == "lap":
            actual = laplacian(prediction, inputs["alpha"], weight)
        else:
            actual = objectives.regression(
                prediction, inputs["alpha"], weight, squared=kind == "l2"
            )
        expected = file.arrays[match.string]
        np.testing.assert_allclose(actual, expected, rtol=RTOL, err_msg=match.string)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_pretraining_total(path):
    file = GoldenText(path)
    inputs = _inputs(file)
    total, terms = jax.jit(objectives.loss, static_argnames="settings")(
        {head: inputs[head] for head in ("os1", "os4", "os8")},
        alpha=inputs["alpha"],
        unknown=inputs["unknown"],
        image=inputs["image"],
        foreground=inputs["fg"],
        background=inputs["bg"],
        step=0,
        rng=jax.random.key(0),
        settings=objectives.Settings(),
    )
    names = [name for name in file.arrays if name.startswith("pretrain_")]
    assert set(names) == set(PRETRAIN)
    for name in names:
        actual = total if PRETRAIN[name] is None else terms[PRETRAIN[name]]
        np.testing.assert_allclose(actual, file.arrays[name], rtol=RTOL, err_msg=name)
