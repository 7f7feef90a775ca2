"""Synthesis, alignment and ordering network of SIMS against an independent reference."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import resampling
from jaxedit.layers.normalization import SampleNorm
from jaxedit.methods.sims import affine, alignment, synthesis
from jaxedit.methods.sims.alignment import AlignmentNetwork
from jaxedit.methods.sims.ordering_network import OrderingNetwork
from jaxedit.methods.sims.synthesis import SynthesisNetwork
from tests.parity import golden, sims_files


def files(family):
    return pytest.mark.parametrize("path", golden.goldens(family, "sims"), ids=golden.name_of)


@files("synthesis")
def test_synthesis_network(path):
    file = sims_files.load(path)
    shapes, arrays = file.info["parameters"], file.arrays
    classes = shapes["to_semantic.bias"][0] - 1
    network = SynthesisNetwork(
        classes, 1 + ("decoder.up.0.conv.weight" in shapes), shapes["encoder.1.0.conv.weight"][0]
    )
    x = synthesis.network_input(
        *(arrays[name][None] for name in ("label", "canvas", "present")), classes
    )
    variables = file.variables(network, x)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert count == file.info["parameter_count"]
    picture, logits = jax.jit(network.apply)(variables, x)
    step = file.info["semantic_stride"]
    file.compare("rgb", picture)
    file.compare("semantic", logits[:, ::step, ::step])


@files("transform_net")
def test_alignment_network(path):
    file = sims_files.load(path)
    shapes, text = file.info["parameters"], file.info["input"]
    colour = (file.made() + 1) / 2
    height, width = colour.shape[:2]
    target = np.zeros((height, width, 1), np.float32)
    assert "rows H/4..3H/4-1, columns W//3..2*W//3-1" in text
    target[height // 4 : 3 * height // 4, width // 3 : 2 * width // 3] = 1
    label = file.arrays["label_small"]
    label = label.repeat(height // len(label), 0).repeat(width // label.shape[1], 1)
    classes = int(re.search(r"\((\d+) classes\)", text)[1]) - 1
    network = AlignmentNetwork(
        shapes["encoder.1.0.conv.weight"][0], {"halved": 2, "quartered": 4}[
            re.search(r"then (halved|quartered) by align-corners", text)[1]]
    )
    x = alignment.network_input(colour[None], target[None], label[None], classes)
    variables = file.variables(network, x, ahead="trunk")
    theta = jax.jit(network.apply)(variables, x)
    file.compare("theta", theta[0])
    file.compare("warped_stride16", affine.warp(colour[None], theta, "released")[0, ::16, ::16])


@files("ordering_net")
def test_ordering_network(path):
    file = sims_files.load(path)
    shapes = file.info["parameters"]
    x = (file.made() + 1) / 2
    classes, width = shapes["classify.bias"][0] - 1, shapes["encoder.1.0.conv.weight"][0]
    for pool in ("whole", "released"):
        network = OrderingNetwork(classes, width, pool)
        variables = file.variables(network, x, ahead="trunk")
        file.compare(f"logits_{pool}", jax.jit(network.apply)(variables, x))


@files("affine")
def test_affine_warp(path):
    file = sims_files.load(path)
    theta = jnp.asarray(file.arrays["theta"])
    image = jnp.broadcast_to(file.arrays["image"], (len(theta), *file.arrays["image"].shape))
    for rule in ("released", "zero_padded"):
        file.compare(f"warped_{rule}", affine.warp(image, theta, rule))
    file.compare("theta_rounded", affine.rounded(theta))
    warped = affine.warp(image, affine.rounded(theta), "released")
    file.compare("warped_released_rounded", warped)


def test_sims_affine_by_hand():
    cases = [*sims_files.hand("warp by whole pixels"), *sims_files.hand("identity warp")]
    assert cases
    for case in cases:
        image = jnp.asarray(case["image"])[None, ..., None]
        theta = jnp.asarray([case["theta"]], jnp.float32)
        for rule in ("released", "zero_padded"):
            np.testing.assert_allclose(affine.warp(image, theta, rule)[0, ..., 0], case[rule])


def test_sims_layers_by_hand():
    for case in sims_files.hand("3x3 average pool, SAME"):
        pooled = resampling.average_pool_same(jnp.asarray(case["image"])[None, ..., None])
        np.testing.assert_allclose(pooled[0, ..., 0], case["pooled"])
    for case in sims_files.hand("align-corners resize"):
        x = jnp.asarray(case["image"])[None, ..., None]
        resized = resampling.resize_bilinear(x, tuple(case["size"]), align_corners=True)
        np.testing.assert_allclose(resized[0, ..., 0], case["resized"])
    for case in sims_files.hand("layer norm"):
        x = golden.to_nhwc(np.asarray(case["input_channels_first"], np.float32)[None])
        norm = SampleNorm()
        y = norm.apply(norm.init(jax.random.key(0), x), x)
        expected = golden.to_nhwc(np.asarray(case["output_gamma1_beta0"])[None])
        np.testing.assert_allclose(y, expected, atol=1e-6)
