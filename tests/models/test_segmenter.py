"""The segmenter: shapes, features, and that the deepest level sees the whole picture."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.layers.convolution import formulation
from jaxedit.models.segmenter import Segmenter
from jaxedit.run import drawing

NETWORK = Segmenter(5, (8, 16, 16))


def test_scores_and_features_have_their_shapes():
    def everything(image):
        variables = NETWORK.init(jax.random.key(1), image)
        apply = lambda method: NETWORK.apply(variables, image, method=method)
        return apply(None), apply("features"), apply("pooled")

    image = jax.ShapeDtypeStruct((2, 16, 24, 3), jnp.float32)
    scores, features, pooled = jax.eval_shape(everything, image)
    assert scores.shape == (2, 16, 24, 5) and scores.dtype == jnp.float32
    assert [f.shape for f in features] == [(2, 16, 24, 8), (2, 8, 12, 16), (2, 4, 6, 16)]
    assert pooled.shape == (2, 16) and NETWORK.multiple == 4
    half = Segmenter(5, (8, 16, 16), jnp.bfloat16)
    low, deep = jax.eval_shape(
        lambda i: half.init_with_output(jax.random.key(1), i)[0], image
    ), jax.eval_shape(
        lambda i: half.init_with_output(jax.random.key(1), i, method="features")[0], image
    )
    assert low.dtype == jnp.float32 and {f.dtype for f in deep} == {jnp.dtype("bfloat16")}


def test_a_corner_reaches_the_far_one_and_no_other_sample():
    network = Segmenter(2, (8, 8))
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    with formulation.preferring("xla"):
        variables = drawing.drawn(network.init, jax.random.key(1), image)
        run = jax.jit(network.apply)
        scores = run(variables, image)
        # another array: XLA may still be reading the first one, whose memory it shares
        other = image.copy()
        other[1, 0, 0] += 3
        changed = np.asarray(run(variables, other) != scores)
    assert not changed[0].any() and changed[1, -1, -1].any()
