"""Draws belong to samples."""

import jax
import numpy as np

from jaxedit.layers.randomness import sample_keys


def test_keys_per_sample_stay_and_a_single_one_is_folded():
    one = jax.random.key(3)
    keys = sample_keys(one, 4)
    data = np.asarray(jax.random.key_data(keys))
    assert keys.shape == (4,) and len(np.unique(data, axis=0)) == 4
    assert sample_keys(keys[1:], 3).shape == (3,)
    np.testing.assert_array_equal(jax.random.key_data(sample_keys(keys, 4)), data)
    # The first samples of a larger batch have the same keys.
    np.testing.assert_array_equal(jax.random.key_data(sample_keys(one, 6)[:4]), data)
