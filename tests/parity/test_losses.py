"""Adversarial, contrastive and reconstruction losses against the published ones."""

import re

import numpy as np
import pytest

from jaxedit.losses import adversarial
from jaxedit.methods.scat import contrastive
from jaxedit.methods.scat.generator import composite, corrupt
from tests.parity import golden, scat_networks

FILES = golden.goldens("losses")


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_adversarial_losses(path):
    file = golden.load(path)
    case = file.cases()[0]
    mask = file.input("mask", case)
    real, fake, real_pixel, fake_pixel = (
        file.input(name, case)
        for name in ("d_real_global", "d_fake_global", "d_real_pixel", "d_fake_pixel")
    )
    names = [name for name in file.arrays if name.startswith("adv_")]
    assert names
    for name in names:
        kind, *region = name.removeprefix("adv_").split("_")
        kind = "hinge" if kind == "hingegan" else kind
        losses = [
            adversarial.discriminator_loss(kind, real, fake),
            adversarial.segmentation_discriminator_loss(kind, real_pixel, fake_pixel, mask),
            adversarial.generator_loss(kind, fake),
            adversarial.segmentation_generator_loss(kind, fake_pixel, mask, *region),
        ]
        file.compare(name, np.array(losses))


@pytest.fixture(scope="module")
def encoded():
    """A cache: path -> discriminator outputs of everything that the contrastive losses compare."""
    return {}


def _encode(file, encoded):
    if file.path not in encoded:
        case = file.cases()[0]
        image, mask, prediction = (file.input(n, case) for n in ("image", "mask", "pred"))
        built = scat_networks.discriminator(file, "params_discriminator")
        encode = lambda x: scat_networks.evaluate(built, x, decode=False)
        encoded[file.path] = (
            encode(composite(image, prediction, mask)),
            encode(image),
            encode(corrupt(image, mask)),
            encode(contrastive.corrupted_by_every_mask(image, mask)),
        )
    return encoded[file.path]


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_textural_loss(path, encoded):
    file = golden.load(path)
    of_fake, of_image, of_corrupted, _ = _encode(file, encoded)
    levels = range(1, 1 + len(file.arrays["textural_terms"]))
    terms = contrastive.textural_terms(
        of_fake.features, of_image.features, of_corrupted.features, levels
    )
    file.compare("textural_terms", terms)
    file.compare("textural", contrastive.textural_loss(terms))


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_semantic_loss(path, encoded):
    file = golden.load(path)
    heads = [h for h in ("mlp", "nomlp") if f"logits_{h}" in file.arrays]
    assert heads
    for head in heads:
        _check_semantic_loss(file, head, encoded)


def _check_semantic_loss(file, head, encoded):
    names = [n for n in file.arrays if n.startswith("semantic") and n.endswith(f"_{head}")]
    of_fake, of_image, _, of_negatives = _encode(file, encoded)
    built = scat_networks.head(file) if head == "mlp" else None
    project = lambda pooled: contrastive.normalise(
        scat_networks.evaluate(built, pooled) if built else pooled
    )
    logits = contrastive.semantic_logits(
        project(of_fake.pooled), project(of_image.pooled), project(of_negatives.pooled)
    )
    file.compare(f"logits_{head}", logits)
    for name in names:
        digits = re.search(r"_tau(\d+)_", name)  # 007 is 0.07
        temperature = float(f"{digits[1][0]}.{digits[1][1:]}") if digits else 1.0
        file.compare(name, contrastive.semantic_loss(logits, temperature))


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_reconstruction(path):
    file = golden.load(path)
    case = file.cases()[0]
    difference = file.input("pred", case) - file.input("image", case)
    file.compare("l1_pred_image", np.mean(np.abs(difference)))
