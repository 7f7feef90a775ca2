"""Rates of the published recipes, and the updates against PyTorch's formulas in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit.methods.matting import optimization
from tests import shrink


def test_pretraining_counts_in_epochs():
    config = config_lib.load(f"{shrink.MATTING}:pretrain_paper")
    optim = config.optim
    rate = optimization.schedule(optim.lr, optim.warmup, optim.total, optim.steps_per_epoch)
    # Constant within an epoch; epoch 1 has a tenth of the base rate, epoch 10 all of it.
    np.testing.assert_allclose([rate(0), rate(2501), rate(2502)], [3e-5, 3e-5, 6e-5], rtol=1e-6)
    np.testing.assert_allclose(rate(9 * 2502), 3e-4, rtol=1e-6)
    np.testing.assert_allclose(rate(54 * 2502), 1.5e-4, rtol=1e-5)  # epoch 55: half of the cosine
    last = rate(config.train.steps - 1)  # epoch 99 of 100
    np.testing.assert_allclose(last, 3e-4 * 0.5 * (1 + np.cos(np.pi * 89 / 90)), rtol=1e-3)


def test_finetuning_counts_in_steps():
    config = config_lib.load(f"{shrink.MATTING}:finetune_paper")
    optim = config.optim
    rate = optimization.schedule(optim.lr, optim.warmup, optim.total)
    np.testing.assert_allclose(
        [rate(0), rate(4_999), rate(9_999)], [1e-7, 5e-4, 1e-3], rtol=1e-5
    )
    np.testing.assert_allclose(rate(104_999), 5e-4, rtol=1e-4)
    assert 0 <= rate(199_999) < 1e-9


@pytest.mark.parametrize("preset", ["pretrain_paper", "finetune_paper"])
def test_two_updates(preset):
    """Adam, and AdamW with decay on every tensor, as `torch.optim` defines them; with clipping."""
    optim = config_lib.load(f"{shrink.MATTING}:{preset}").optim
    update = optimization.create(optim, 0)
    rate = optimization.schedule(
        optim.lr, optim.warmup, optim.total,
        optim.steps_per_epoch if optim.schedule == "epochs" else 1,
    )
    rng = np.random.default_rng(0)
    value = rng.normal(size=5).astype(np.float32)
    params = {"bias": jnp.asarray(value)}
    state = update.init(params)
    b1, b2 = optim.betas
    first = second = np.zeros(5)
    running = 0.0
    for step in range(3):
        gradient = rng.normal(size=5) * (1, 10, 1)[step]
        updates, state = update.update({"bias": jnp.asarray(gradient, jnp.float32)}, state, params)
        params = {"bias": params["bias"] + updates["bias"]}
        norm = np.linalg.norm(gradient)
        clipped = gradient * min(1.0, (2 * running if step else 1e6) / (norm + 1e-6))
        running = 0.999 * running + 0.001 * norm if step else norm
        first = b1 * first + (1 - b1) * clipped
        second = b2 * second + (1 - b2) * clipped**2
        lr = float(rate(step))
        value = value * (1 - lr * optim.weight_decay)
        value = value - lr * (first / (1 - b1 ** (step + 1))) / (
            np.sqrt(second / (1 - b2 ** (step + 1))) + optim.eps
        )
    np.testing.assert_allclose(params["bias"], value, rtol=1e-5, atol=1e-7)
