"""The AOT-GAN baseline: generator, patch discriminator, its losses and VGG-19 features."""

import re

import numpy as np
import pytest

from jaxedit.losses import adversarial, perceptual
from jaxedit.methods.scat.generator import composite, corrupt
from jaxedit.models import imagenet, vgg
from tests.parity import golden, scat_networks

FILES = golden.goldens("aotgan_baseline")
# Files of this family suggest no tolerance. Losses may be smaller than an image's error.
IMAGE = {"atol": 2e-4, "rtol": 2e-4}
LOSS = {"atol": 0.0, "rtol": 2e-4}


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_generator(path):
    file = golden.load(path)
    image, mask = _inputs(file, "image", "mask")
    output = scat_networks.evaluate(
        scat_networks.generator(file, "params_generator"), corrupt(image, mask), mask
    )
    file.compare("out", output, **IMAGE)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_patch_discriminator_and_its_losses(path):
    file = golden.load(path)
    image, mask, prediction = _inputs(file, "image", "mask", "pred")
    built = scat_networks.discriminator(file, "params_discriminator")
    real = scat_networks.evaluate(built, image)
    file.compare("patch", real, **IMAGE)
    fake = scat_networks.evaluate(built, composite(image, prediction, mask))
    file.compare("smgan_d", adversarial.smgan_discriminator_loss(real, fake, mask), **LOSS)
    file.compare("smgan_g", adversarial.smgan_generator_loss(fake, mask), **LOSS)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_soft_mask(path):
    file = golden.load(path)
    (mask,) = _inputs(file, "mask")
    text = file.info["outputs"]["blurred_mask"]["what"]
    size = re.search(r"kernel (\d+)", text)
    deviation = re.search(r"sigma (\d+(?:\.\d+)?)", text)
    blurred = adversarial.soft_mask(
        mask, int(size[1]) if size else 71, float(deviation[1]) if deviation else 10.0
    )
    file.compare("blurred_mask", blurred, **IMAGE)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_vgg_features_and_losses(path):
    file = golden.load(path)
    image, prediction = _inputs(file, "image", "pred")
    variables = vgg.convert(file.published("params_vgg19"), 19)
    of_image, of_prediction = (
        scat_networks.evaluate((vgg.VGG(19), variables), imagenet.normalise(x))
        for x in (image, prediction)
    )
    for name in file.arrays:
        if name.startswith("relu"):
            file.compare(name, of_image[name], **IMAGE)
    file.compare("perceptual", perceptual.perceptual_loss(of_prediction, of_image), **LOSS)
    file.compare("style", perceptual.style_loss(of_prediction, of_image), **LOSS)


def _inputs(file, *names):
    case = file.cases()[0]
    return tuple(np.asarray(file.input(name, case)) for name in names)
