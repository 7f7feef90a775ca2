"""The discriminators against the published ones, with and without spectral normalisation."""

import re

import jax
import numpy as np
import pytest

from jaxedit.layers import spectral
from jaxedit.methods.scat import weights
from jaxedit.methods.scat.contrastive import (
    corrupted_by_every_mask,
    normalise,
    semantic_logits,
    semantic_loss,
    textural_loss,
    textural_terms,
)
from jaxedit.methods.scat.generator import composite, corrupt
from tests.parity import golden, scat_networks

FILES = golden.goldens("disc_")
# Outputs end in a case (`pixel_64`) or in a pass of a sequence (`pixel_train1`, `pixel_eval3`).
PASS = re.compile(r"_(train|eval)(\d+)$")
SEQUENCES = [path for path in FILES if any(PASS.search(n) for n in golden.load(path).arrays)]
CASES = [
    (path, case)
    for path in FILES
    if path not in SEQUENCES
    for case in golden.load(path).cases()
]


@pytest.mark.parametrize(
    ("path", "case"), CASES, ids=[f"{golden.name_of(path)}-{case}" for path, case in CASES]
)
def test_discriminator(path, case):
    file = golden.load(path)
    built = scat_networks.discriminator(file)
    found = scat_networks.evaluate(built, file.input("image", case))
    suffix = "" if case is None else f"_{case}"
    names = [name for name in file.arrays if name.endswith(suffix)]
    assert names
    contrast = None
    for name in names:
        key = name.removesuffix(suffix).rstrip("_")
        if key in ("textural", "semantic"):
            contrast = contrast or _contrastive(file, built, found, case)
            file.compare(name, contrast[key])
        else:
            file.compare(name, _part(found, key))


def _part(found, key):
    if level := re.fullmatch(r"feat(\d)", key):
        return found.features[int(level[1])]
    parts = {"pixel": "pixel_logits", "global": "global_logits", "pooled": "pooled"}
    return getattr(found, parts[key])


def _contrastive(file, built, of_image, case):
    image, mask = file.input("image", case), file.input("mask", case)
    encode = lambda x: scat_networks.evaluate(built, x, decode=False)
    of_fake = encode(composite(image, file.input("pred", case), mask))
    terms = textural_terms(
        of_fake.features, of_image.features, encode(corrupt(image, mask)).features
    )
    head = scat_networks.head(file)
    project = lambda pooled: normalise(scat_networks.evaluate(head, pooled))
    negatives = encode(corrupted_by_every_mask(image, mask)).pooled
    logits = semantic_logits(
        project(of_fake.pooled), project(of_image.pooled), project(negatives)
    )
    return {"textural": textural_loss(terms), "semantic": semantic_loss(logits)}


@pytest.mark.parametrize("path", SEQUENCES, ids=golden.name_of)
def test_spectral_normalisation_over_forward_passes(path):
    file = golden.load(path)
    built = scat_networks.discriminator(file)
    image = file.input("image", file.cases()[0])
    passes = sorted(
        {(int(m[2]), m[1]) for name in file.arrays if (m := PASS.search(name))}
    )
    for number, mode in passes:
        if mode == "train":
            built = scat_networks.iterated(built)
        found = scat_networks.evaluate(built, image)
        suffix = f"_{mode}{number}"
        for name in file.arrays:
            if not name.endswith(suffix):
                continue
            key = name.removesuffix(suffix)
            if key == "sigma":
                file.compare(name, _sigmas(file, built))
            elif vector := re.fullmatch(r"([uv])_(\w+)", key):
                file.compare(name, _vector(file, built, *vector.groups(), name))
            else:
                file.compare(name, _part(found, key.rstrip("_")))


def _sigmas(file, built):
    _, variables = built
    places = _table(file)
    sigmas = []
    for layer in file.info["sigma_order"]:
        kernel = _at(variables, places[f"{layer}.weight_orig"].path)
        u = _at(variables, places[f"{layer}.weight_u"].path)
        v = _at(variables, places[f"{layer}.weight_v"].path)
        sigmas.append(jax.jit(spectral.sigma)(kernel, u, v))
    return np.array(sigmas)


def _vector(file, built, which, layer, output):
    """The layer is named in the output's description, else by a short form, `blocks3`."""
    text = file.info["outputs"].get(output, {}).get("what", "")
    if described := re.search(rf"weight_{which} of (\S+)", text):
        return _at(built[1], _table(file)[f"{described[1]}.weight_{which}"].path)
    wanted = re.sub(r"[^a-z0-9]", "", layer)
    matches = [
        name
        for name in file.info["sigma_order"]
        if re.sub(r"[^a-z0-9]", "", name).startswith(wanted)
        and not re.sub(r"[^a-z0-9]", "", name)[len(wanted):len(wanted) + 2].isdigit()
    ]
    return _at(built[1], _table(file)[f"{matches[0]}.weight_{which}"].path)


def _table(file):
    found = weights.describe_discriminator(file.shapes())
    return weights.discriminator_table(
        found["kind"], spectral_norm=found["spectral_norm"], attention=found["attention"]
    )


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree
