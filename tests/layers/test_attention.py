"""The SA-GAN block against a NumPy reference."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.layers.attention import SelfAttention

X = np.random.default_rng(0).standard_normal((2, 4, 6, 16)).astype(np.float32)


def test_starts_as_identity():
    layer = SelfAttention()
    variables = layer.init(jax.random.key(0), X)
    assert variables["params"]["gamma"].shape == ()
    np.testing.assert_array_equal(layer.apply(variables, X), X)


def test_attends_to_pooled_keys():
    layer = SelfAttention(kernel_init=jax.nn.initializers.normal(0.3))
    params = layer.init(jax.random.key(0), X)["params"]
    params["gamma"] = jnp.float32(0.7)
    kernels = {name: np.asarray(params[name]["kernel"])[0, 0] for name in
               ("to_q", "to_key", "to_value", "output")}
    pool = lambda x: x.reshape(2, 2, 2, 3, 2, -1).max((2, 4)).reshape(2, 6, -1)
    queries = (X @ kernels["to_q"]).reshape(2, 24, 2)
    keys, values = pool(X @ kernels["to_key"]), pool(X @ kernels["to_value"])
    logits = queries @ keys.transpose(0, 2, 1)
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = 0.7 * ((weights @ values) @ kernels["output"]).reshape(X.shape) + X
    np.testing.assert_allclose(layer.apply({"params": params}, X), expected, atol=1e-5)


def test_all_four_convolutions_are_normalised():
    variables = jax.eval_shape(SelfAttention(spectral_norm=True).init, jax.random.key(0), X)
    assert set(variables["spectral"]) == {"to_q", "to_key", "to_value", "output"}
