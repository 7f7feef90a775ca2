"""SDIC's shapes at every size, and what does not fit is refused; `test_chain` trains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from tests import shrink


def test_what_an_edit_takes_is_what_inverting_gives():
    method = method_lib.create(shrink.sdic())
    tasks = method.tasks
    state = jax.eval_shape(method.init, jax.random.key(0), method.spec(2))
    key, image = jax.random.key(0), jnp.zeros((1, 32, 32, 3))
    found = jax.eval_shape(
        lambda state: method.predict(state, {"image": image}, key, task="invert"), state
    )
    assert found.keys() == tasks["invert"].outputs.keys()
    assert found["image"].shape == (1, 16, 16, 3)
    for name in ("codes", "residual"):
        assert found[name].shape == (1, *tasks["edit"].inputs[name].shape)


def test_cars_are_cropped_and_padded():
    config = shrink.sdic("paper_cars", image_size="(24, 32)")
    method = method_lib.create(config)
    inversion = method.inversion
    assert inversion.rows == slice(4, 28)
    picture = jnp.broadcast_to(jnp.linspace(-1, 1, 16)[:, None, None], (1, 16, 16, 3))
    seen, pooled = inversion.seen(picture), inversion.pooled(picture)
    assert seen.shape == pooled.shape == (1, 24, 32, 3)
    np.testing.assert_allclose(pooled[0, :, 0, 0], np.repeat(np.linspace(-1, 1, 16), 2)[4:28],
                               atol=1e-6)
    square = np.asarray(inversion.squared(seen))
    assert square.shape == (1, 32, 32, 3) and not square[:, :4].any() and not square[:, 28:].any()
    state = jax.eval_shape(method.init, jax.random.key(0), method.spec(2))
    out = jax.eval_shape(
        lambda state, image: method.predict(
            state, {"image": image}, jax.random.key(0), task="measure"
        ), state, jnp.zeros((2, 24, 32, 3)),
    )
    assert out["reconstruction"].shape == out["discrepancy"].shape == (2, 24, 32, 3)


def test_published_shapes():
    """The presets as they stand, with the weights that they name."""
    for name, codes in (("paper_faces", 18), ("paper_cars", 16)):
        config = shrink.config_lib.load(f"{shrink.SDIC}:{name}")
        method = method_lib.create(config)
        tasks = method.tasks
        assert tasks["edit"].inputs["codes"].shape == (codes, 512)
        assert tasks["invert"].outputs["residual"].shape == (64, 64, 512)
        targets = [target for _, target in method.starting_values()]
        assert targets[:3] == ["frozen/encoder", "frozen/generator", "frozen/average"]
        assert {"frozen/perceptual/backbone", "frozen/identity"} <= set(targets)


@pytest.mark.parametrize("changes, message", [
    ({"network.tap": "16"}, "must be below the generator's size, 16 pixels"),
    ({"image_size": "(32, 40)"}, "pictures are 32 pixels wide"),
    ({"image_size": "(24, 32)", "loss.identity_network": "arcface"}, "looks at square faces"),
    ({"network.style_width": "1024"}, "do not divide into rows of 1024"),
    ({"network.attention": "left"}, "network.attention"),
])
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        method_lib.create(shrink.sdic(**changes))
