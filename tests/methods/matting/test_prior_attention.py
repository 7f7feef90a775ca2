"""Prior tokens, and what attends to them."""

import jax
import numpy as np

from jaxedit.methods.matting.prior_attention import PriorAttention, PriorBlock, prior_tokens
from jaxedit.run import drawing

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_prior_tokens_are_means_of_unknown_background_and_foreground():
    x, labels = draw(2, 3, 4, 5), RNG.integers(0, 3, (2, 3, 4))
    labels[1][labels[1] == 2] = 0  # no foreground in the second picture
    priors = prior_tokens(x, np.eye(3, dtype=np.float32)[labels])
    for batch in range(2):
        for slot, label in enumerate((1, 0, 2)):
            members = x[batch][labels[batch] == label]
            expected = members.mean(0) if len(members) else np.zeros(5)
            np.testing.assert_allclose(priors[batch, slot], expected, atol=1e-6)


def test_priors_do_not_attend_and_are_never_masked():
    windows, priors = draw(1, 2, 4, 6), draw(1, 3, 6)
    module = PriorAttention(2, window=2)
    variables = drawing.drawn(
        lambda *inputs: module.init(*inputs, None), jax.random.key(0), windows, priors
    )
    run = module.apply
    alone = np.full((2, 4, 4), -1e9, np.float32)
    alone[:, range(4), range(4)] = 0
    attended, gained = run(variables, windows, priors, None)
    masked, same = run(variables, windows, priors, alone)
    # What the priors gain comes from themselves; what the windows gain, from the priors too.
    np.testing.assert_array_equal(gained, same)
    _, other = run(variables, windows + 1, priors, None)
    np.testing.assert_array_equal(gained, other)
    shifted, _ = run(variables, windows, priors + 1, alone)
    assert np.abs(shifted - masked).min() > 0 and np.abs(masked - attended).max() > 0


def test_memory_grows_by_a_set_and_keeps_its_order():
    x, trimap = draw(2, 4, 4, 4), np.eye(3, dtype=np.float32)[RNG.integers(0, 3, (2, 4, 4))]
    module = PriorBlock(1, window=2, shift=1)
    empty, earlier = np.zeros((2, 0, 4), np.float32), draw(2, 3, 4)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, trimap, earlier, False))
    variables = jax.tree.map(lambda leaf: 0 * draw(*leaf.shape), shapes)
    run = lambda memory: module.apply(variables, x, trimap, memory, False)
    # With all weights zero both branches add nothing: tokens and priors pass through.
    y, memory = run(earlier)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(memory[:, :3], earlier)
    np.testing.assert_allclose(memory[:, 3:], prior_tokens(x, trimap), atol=1e-7)
    table = variables["params"]["attn"]["bias"]["table"]
    variables["params"]["attn"]["bias"]["table"] = table[:-3]
    assert run(empty)[1].shape == (2, 3, 4)


def test_every_branch_and_prior_is_dropped_on_its_own():
    x = draw(40, 2, 2, 4)
    trimap = np.eye(3, dtype=np.float32)[np.tile([[0, 1], [2, 1]], (40, 1, 1))]
    module = PriorBlock(1, window=2, drop_path=0.5)
    memory = np.zeros((40, 0, 4), np.float32)
    variables = drawing.drawn(
        lambda *inputs: module.init(*inputs, False), jax.random.key(0), x, trimap, memory
    )
    y, after = module.apply(
        variables, x, trimap, memory, True, rngs={"drop_path": jax.random.key(1)}
    )
    untouched = (np.asarray(y) == x).all((1, 2, 3))
    assert 2 <= untouched.sum() <= 20  # both branches dropped: a quarter
    kept = (np.asarray(after) == np.asarray(prior_tokens(x, trimap))).all(-1)
    assert (kept.sum(0) > 0).all() and (kept.sum(0) < 25).all()
    assert (kept[:, 0] != kept[:, 1]).any() and (kept[:, 1] != untouched).any()
