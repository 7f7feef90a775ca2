"""SDIC's optimizer, losses and code edits against the published ones."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxedit.optim.ranger import ranger
from tests.parity import fill, golden
from tests.parity.sdic_files import SdicFile

_RANGER = {
    "lr", "alpha", "k", "N_sma_threshold", "betas", "eps", "weight_decay", "steps_saved"
}


@pytest.mark.parametrize("path", golden.goldens("ranger", "sdic"), ids=golden.name_of)
def test_sdic_ranger(path):
    file = SdicFile(path)
    config, described = file.config, file.info["inputs"]
    assert set(config) == _RANGER
    assert set(described) == {"param_<name>", "grad_<name>_<t>"}
    shapes = described["param_<name>"]["shape"]
    draw = lambda what, key: {
        name: jnp.asarray(fill.make_input(what.replace("<name>", name), tuple(shape),
                                          described[key]["salt"]))
        for name, shape in shapes.items()
    }
    optimizer = ranger(
        config["lr"], betas=tuple(config["betas"]), epsilon=config["eps"],
        weight_decay=config["weight_decay"], lookahead=config["k"], alpha=config["alpha"],
        threshold=config["N_sma_threshold"], output_axis=0,
    )
    params = draw("param_<name>", "param_<name>")
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, gradient):
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    kept = []
    for number in range(1, max(config["steps_saved"]) + 1):
        gradient = draw(f"grad_<name>_{number}", "grad_<name>_<t>")
        params, state = step(params, state, gradient)
        if number in config["steps_saved"]:
            kept.append(params)
    for name in shapes:  # arrays of several steps: no maps, whatever their axes
        gap = np.abs(np.stack([one[name] for one in kept]) - file.arrays[name]).max()
        assert gap <= file.info["limits"][name]
    assert set(shapes) == set(file.arrays)
