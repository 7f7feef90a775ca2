"""R1 and path lengths: by hand where that is possible, and through networks in both formulations.

The second derivatives of the formulations for CPU are reverse mode over reverse mode through
gradients of their own: they must be those of plain convolutions.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers.convolution import formulation
from jaxedit.layers.convolution.trilinear import Geometry
from jaxedit.losses import gradient_penalty
from jaxedit.models.stylegan2.discriminator import Discriminator
from jaxedit.models.stylegan2.generator import NOISE, Generator, draw_noise
from jaxedit.run import drawing


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_r1_by_hand():
    """Of the score sum(a x^2) / 2 the gradient is a x."""
    x, a = drawn(3, 4, 4, 2), drawn(4, 4, 2, seed=1)
    found = gradient_penalty.r1(lambda x: 0.5 * (a * x * x).sum((1, 2, 3)), x)
    assert found == pytest.approx(float(jnp.square(a * x).sum() / 3), rel=1e-5)


def test_path_lengths_by_hand():
    """Of a linear map the Jacobian is its matrix, for each of the codes of a picture."""
    matrix, codes, direction = drawn(2, 5, 48), drawn(3, 2, 5, seed=1), drawn(3, 4, 4, 3, seed=2)
    synthesise = lambda codes: jnp.einsum("bnw,nwp->bp", codes, matrix).reshape(-1, 4, 4, 3)
    found = gradient_penalty.path_lengths(synthesise, codes, direction)
    pulled = np.einsum("nwp,bp->bnw", matrix, np.asarray(direction).reshape(3, 48) / 4)
    expected = np.sqrt(np.square(pulled).sum(2).mean(1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    penalty, average = gradient_penalty.path_length_penalty(found, jnp.float32(2.0), 0.1)
    assert average == pytest.approx(2 + 0.1 * (expected.mean() - 2), rel=1e-5)
    assert penalty == pytest.approx(np.square(expected - average).mean(), rel=1e-5)
    # It is differentiated through the running mean, which moves with the lengths.
    slope = jax.grad(lambda x: gradient_penalty.path_length_penalty(x, jnp.float32(2.0), 0.1)[0])
    off = expected - float(average)
    np.testing.assert_allclose(slope(found), 2 / 3 * (off - 0.1 * off.mean()), rtol=1e-4)


def test_second_derivatives_do_not_depend_on_the_formulation():
    """At sizes where convolutions with and without a stride are formulated anew."""
    for geometry, kind in (
        (Geometry((8, 32, 32, 32), (3, 3, 32, 32), padding=1), "Winograd"),
        (Geometry((8, 33, 33, 32), (3, 3, 32, 32), 2, 0), "Strided"),
    ):
        with formulation.using("auto"):
            assert type(formulation.choose(geometry, jnp.float32)).__name__ == kind
    widths = {"channel_multiplier": 1 / 16, "most_channels": 32}
    generator, judge = Generator(32, 8, 1, **widths), Discriminator(32, **widths)
    image, codes = drawn(8, 32, 32, 3), drawn(2, generator.codes, 8, seed=1)
    noise, direction = draw_noise(jax.random.key(0), 32, 2), drawn(2, 32, 32, 3, seed=2)
    made = {
        "judge": drawing.drawn(judge.init, jax.random.key(1), image)["params"],
        "generator": drawing.drawn(generator.init, jax.random.key(2), codes[:, 0]),
    }
    stored = made["generator"][NOISE]
    params = {"judge": made["judge"], "generator": made["generator"]["params"]}

    def penalties(params):
        score = lambda x: judge.apply({"params": params["judge"]}, x)
        synthesise = lambda codes: generator.apply(
            {"params": params["generator"], NOISE: stored}, codes, noise, method="synthesise"
        )[0]
        lengths = gradient_penalty.path_lengths(synthesise, codes, direction)
        penalty, _ = gradient_penalty.path_length_penalty(lengths, jnp.zeros(()), 0.01)
        return gradient_penalty.r1(score, image) + penalty

    found = {}
    for mode in formulation.MODES:
        with formulation.using(mode):
            found[mode] = jax.jit(jax.value_and_grad(penalties))(params)
    assert found["auto"][0] == pytest.approx(float(found["xla"][0]), rel=1e-4)
    leaves = zip(*(jax.tree.leaves(found[mode][1]) for mode in formulation.MODES), strict=True)
    for ours, plain in leaves:
        scale = np.abs(plain).max()
        np.testing.assert_allclose(ours, plain, atol=2e-3 * scale + 1e-9)
    largest = jax.tree.map(lambda g: float(np.abs(g).max()), found["auto"][1])
    assert largest["judge"]["block_32"]["conv2"]["kernel"] > 0
    assert largest["generator"]["convs_4"]["conv"]["kernel"] > 0
