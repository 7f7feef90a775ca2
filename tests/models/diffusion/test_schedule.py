"""Noise schedules: what the golden file has not, told by identities."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.models.diffusion.schedule import Schedule


def test_predictions_spacings_and_kinds():
    rng = np.random.default_rng(0)
    latents, noise = rng.standard_normal((2, 3, 4, 4, 2)).astype(np.float32)
    time = jnp.asarray([0, 400, 900])
    for kind in ("epsilon", "v_prediction", "sample"):
        schedule = Schedule(prediction_type=kind)
        noisy = schedule.add_noise(latents, noise, time)
        target = schedule.target(latents, noise, time)
        clean, found = schedule.split(target, noisy, schedule.signal_at(time))
        np.testing.assert_allclose(clean, latents, atol=1e-4)
        np.testing.assert_allclose(found, noise, atol=1e-4)
    assert Schedule(timestep_spacing="trailing").timesteps(4).tolist() == [999, 749, 499, 249]
    assert Schedule(timestep_spacing="linspace").timesteps(4).tolist() == [999, 666, 333, 0]
    assert Schedule().timesteps(3).tolist() == [667, 334, 1]
    flat = Schedule(rescale_betas_zero_snr=True).signal
    np.testing.assert_allclose(flat[[0, -1]], [Schedule().signal[0], 0], atol=1e-7)
    cosine = Schedule(beta_schedule="squaredcos_cap_v2").signal
    share = lambda t: np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(cosine[499], share(0.5) / share(0), rtol=1e-4)
    one = Schedule(set_alpha_to_one=True)
    assert one.signal_at(jnp.int32(-1)) == 1 and Schedule().signal_at(-1) == one.signal[0]
    with pytest.raises(UserError, match="leads to step 1000 of 1000. Take fewer"):
        Schedule().timesteps(1000)
