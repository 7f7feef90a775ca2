"""What the discriminator suspects: the figure, and what it is computed from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.layers import spectral
from jaxedit.methods.scat import suspicion
from jaxedit.metrics import base
from tests import fake_run, shrink

KEYS = base.Keys("composite", "image", "mask")


def drawn():
    """A hole of 100 pixels, of which ten differ from the truth."""
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[0, :10, :10] = 1
    image = np.zeros((1, 64, 64, 3), np.float32)
    composite = image.copy()
    composite[0, 0, :10] = 0.5
    composite[0, 20] = 1.0  # outside of the hole, where nothing counts
    return {"image": image, "mask": mask}, composite


@pytest.mark.parametrize("suspected, area", [("worst", 1.0), ("others", 0.0), ("nothing", 0.5)])
def test_the_area_counts_pixels_of_the_hole(suspected, area):
    batch, composite = drawn()
    map_ = np.full((1, 64, 64, 1), 0.3, np.float32)
    if suspected != "nothing":
        map_[0, :10, :10] = 0.0 if suspected == "worst" else 1.0
        map_[0, 0, :10] = 1.0 if suspected == "worst" else 0.0
    metric = suspicion.PointsAtErrors(KEYS)
    values, defined = metric.values({"composite": composite, suspicion.OUTPUT: map_}, batch)
    assert defined.all() and values[0] == area


def test_without_a_map_or_an_error_there_is_no_figure():
    batch, composite = drawn()
    map_ = np.zeros((1, 64, 64, 1), np.float32)
    metric = suspicion.PointsAtErrors(KEYS)
    for outputs in (
        {"composite": composite},
        {"composite": batch["image"], suspicion.OUTPUT: map_},
        {"composite": np.where(batch["mask"] > 0, np.nan, composite), suspicion.OUTPUT: map_},
    ):
        assert not metric.values(outputs, batch)[1].any()


def test_the_map_is_the_discriminator_turned_round():
    method = method_lib.create(shrink.scat())
    state = fake_run.begun(method)
    image = jax.random.uniform(jax.random.key(1), (1, 64, 64, 3), minval=-1.0)
    mask = jnp.zeros((1, 64, 64, 1)).at[:, 10:40, 20:50].set(1.0)

    @jax.jit
    def run(state, image):
        rng = jax.random.key(0)
        both = method.predict(state, {"image": image, "mask": mask}, rng, task="measure")
        plain = method.predict(state, {"image": image, "mask": mask}, rng, task="inpaint")
        suspected = method.predict(state, {"image": both["composite"]}, rng, task="suspect")
        logits = method.networks()["discriminator"].apply(
            {"params": state.params["discriminator"],
             spectral.COLLECTION: state.stats["discriminator"]}, both["composite"],
        ).pixel_logits
        return both, plain, suspected, logits

    both, plain, suspected, logits = run(state, image)
    assert both.keys() == method.tasks["measure"].outputs.keys()
    np.testing.assert_array_equal(both["composite"], plain["composite"])
    np.testing.assert_allclose(both["suspicion"], 1 / (1 + np.exp(logits)), atol=1e-6)
    np.testing.assert_allclose(both["suspicion"], suspected["suspicion"], atol=1e-6)


def test_a_network_without_the_head_suspects_nothing():
    assert method_lib.create(shrink.scat(**{"loss.segmentation": "0"})).tasks.keys() == {"inpaint"}
