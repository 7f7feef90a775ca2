"""iEdit's losses, and their gradients in a UNet, against those of the specification."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.methods.iedit import losses
from jaxedit.models.diffusion import names
from jaxedit.models.diffusion.configs import UNetConfig
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.models.unet import UNet
from jaxedit.optim import gradients
from jaxedit.weights import table
from tests.parity import golden
from tests.parity.iedit_files import load


@pytest.mark.parametrize("path", golden.goldens("losses", "iedit"), ids=golden.name_of)
def test_iedit_losses(path):
    file = load(path)
    assert set(file.config) == {"unet", "scheduler"}
    schedule = Schedule.from_published(file.config["scheduler"])
    module = UNet(UNetConfig.from_published(file.config["unet"]))
    source, target, noise, text, time, mask = (file.input(name) for name in (
        "z_source", "z_target", "noise", "edit_prompt_states", "t", "edit_mask"
    ))
    noised = schedule.add_noise(source, noise, jnp.asarray(time))
    signal = schedule.signal_at(jnp.asarray(time))
    expected = jax.eval_shape(module.init, jax.random.key(0), noised, time, text)
    entries = names.conversion_table(expected)
    variables = table.to_jax(entries, file.published(), expected, path.name)
    wanted = losses.target_noise(noised, target, signal)
    all_one = losses.step_weight(signal, "none")

    @jax.jit
    @jax.value_and_grad
    def total(variables):
        predicted = module.apply(variables, noised, time, text)
        terms, _ = losses.noise_terms(
            predicted, noise, noised, target, mask, signal, weighting="none"
        )
        return losses.Weights(pair=1.0).total(terms)

    value, gradient = total(variables)
    predicted = jax.jit(module.apply)(variables, noised, time, text)
    inside, outside = losses.masked(predicted, wanted, noise, mask, all_one)
    estimate = losses.estimate(noised, predicted, signal)
    found = {
        "z_t": noised, "noise_target": wanted, "noise_pred": predicted,
        "loss_paired": losses.paired(predicted, wanted, all_one)[0],
        "loss_paired_snr": losses.paired(predicted, wanted, losses.step_weight(signal))[0],
        "loss_mask_foreground": inside, "loss_mask_background": outside,
        "loss_mask_composite": losses.composite(predicted, wanted, noise, mask, all_one),
        "x0_estimate": estimate, "x0_l2_to_target": jnp.square(estimate - target).mean(),
        "grad_global_norm": gradients.norm(gradient),
    }
    np.testing.assert_allclose(value, found["loss_paired"] + inside + outside, rtol=1e-5)
    published = table.to_published(entries, gradient)
    of_gradient = {name for name in file.outputs if name.startswith("grad/")}
    for name in of_gradient:
        array = published[name.removeprefix("grad/")]
        reference = file.arrays[f"out.{name}"]
        # "relative to the largest magnitude of each tensor"
        limit = file.info["tolerance"]["max_abs_error"] * np.abs(reference).max()
        np.testing.assert_allclose(array, reference, rtol=0, atol=limit, err_msg=name)
        found[name] = np.moveaxis(array, -3, -1) if array.ndim >= 4 else array
    file.compare(found)
