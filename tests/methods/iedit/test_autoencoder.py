"""The autoencoder trains, with and without its discriminator; its loss is what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.iedit import autoencoder_loss, latent_scale
from jaxedit.methods.iedit.data import Pictures
from jaxedit.models import autoencoder_kl
from jaxedit.run import evaluate, readers, sharding, starting, train
from tests import fake_run, shrink


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Steps against the discriminator, in two micro-batches each."""
    folder = tmp_path_factory.mktemp("run")
    config = shrink.iedit("autoencoder", **{
        "train.accumulate": "2", "remat": "true", "loss.adversarial_start": "0",
    })
    train.train(config, folder, jax.devices()[:1])
    return folder


def test_it_trains_and_is_measured(run):
    stage, method, state = readers.load_run(run)
    fresh = starting.initial_state(
        method, sharding.Plan(jax.devices()[:1]), jax.random.key(1)
    )
    for name, params in state.params.items():
        moved = [
            np.isfinite(after).all() and (np.asarray(after) != before).any() for after, before in
            zip(jax.tree.leaves(params), jax.tree.leaves(fresh.params[name]), strict=True)
        ]
        assert np.mean(moved) > 0.8, name  # the hinge leaves the last bias where it was
    statistics = jax.tree.leaves(state.stats["discriminator"])
    assert statistics and all(np.isfinite(leaf).all() for leaf in statistics)
    table = evaluate.evaluate(method, stage, state, run).table
    assert {"model", "small picture"} <= set(table)
    assert np.isfinite(table["model"]["all"]["psnr"])


def test_the_latent_scale_is_saved_with_the_weights(run):
    """1 / deviation of the latents, of pictures it has not seen either."""
    _, method, state = readers.load_run(run)
    transform = method.transform(train=False)
    source = sources.create("scenes:64", "eval")
    images = np.stack([transform(source[i], np.random.default_rng(0))["image"] for i in range(8)])
    network = method.networks()["autoencoder"]
    moments = network.apply({"params": state.params["autoencoder"]}, images, method="encode")
    noise = np.random.default_rng(0).standard_normal((*moments.shape[:-1], 4))
    latents = autoencoder_kl.draw(moments, noise.astype(np.float32))
    # The weights have moved for three steps while it was measured.
    np.testing.assert_allclose(state.extra["latent_scale"], 1 / np.std(latents), rtol=0.2)


def test_scale_of_many_batches():
    rng, measured = np.random.default_rng(0), latent_scale.start()
    assert latent_scale.scale(measured) == 1
    measure = jax.jit(latent_scale.measure)
    first = measure(measured, jnp.asarray([1.0, 3.0]))
    np.testing.assert_allclose(latent_scale.scale(first), 1.0, rtol=1e-5)  # deviation 1, mean 2
    for _ in range(400):
        measured = measure(measured, rng.normal(0.5, 4.0, (8, 64)).astype(np.float32))
    np.testing.assert_allclose(latent_scale.scale(measured), 1 / 4, rtol=0.02)


def test_reconstruction_loss_by_hand():
    image, made = jnp.zeros((2, 2, 2, 3)), jnp.full((2, 2, 2, 3), 0.5)
    far = lambda a, b: jnp.asarray([1.0, 3.0])
    total, terms = autoencoder_loss.reconstruction(image, made, jnp.float32(0.2), far, 0.1)
    each = [12 * ((0.5 + 0.1 * d) * np.exp(-0.2) + 0.2) for d in (1, 3)]
    np.testing.assert_allclose(total, np.mean(each), rtol=1e-6)
    assert terms["l1"] == 0.5 and terms["perceptual"] == 2
    assert "perceptual" not in autoencoder_loss.reconstruction(image, made, 0.0, None, 1.0)[1]


def test_divergence_from_the_standard_normal():
    moments = jnp.concatenate([jnp.full((1, 1, 1, 2), 2.0), jnp.log(jnp.full((1, 1, 1, 2), 3.0))],
                              -1)
    expected = 2 * 0.5 * (4 + 3 - 1 - np.log(3))
    np.testing.assert_allclose(autoencoder_kl.divergence(moments), [expected], rtol=1e-6)


def test_the_balance_is_that_of_whole_gradients():
    """The length in the last layer alone is the length that differentiating everything gives."""
    config = shrink.iedit("autoencoder")
    method = method_lib.create(config)
    state = fake_run.begun(method)
    image = jax.random.uniform(jax.random.key(2), (2, 32, 32, 3), minval=-1)

    @jax.jit
    def both(params):
        made, _, features, _ = method._forward(params, image, jax.random.key(0))
        loss = lambda made: jnp.square(made - image).sum()
        whole = lambda params: loss(method._forward(params, image, jax.random.key(0))[0])
        kernel = params["decoder"]["conv_out"]["kernel"]
        found = autoencoder_loss.last_layer_norm(features, kernel, jax.grad(loss)(made))
        return found, jnp.linalg.norm(jax.grad(whole)(params)["decoder"]["conv_out"]["kernel"])

    found, expected = both(state.params["autoencoder"])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert autoencoder_loss.balance(jnp.float32(1), jnp.float32(0)) == 1e4
    np.testing.assert_allclose(
        autoencoder_loss.balance(jnp.float32(3), jnp.float32(2)), 3 / (2 + 1e-4)
    )


def test_phases_and_networks():
    method = method_lib.create(shrink.iedit("autoencoder"))
    assert method.phases(0) == ("alone",) and method.phases(1) == ("adversarial", "judge")
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1)))
    batch = method.spec(2)
    update = lambda state, batch: method.update(state, batch, jax.random.key(0), phase="alone")
    after, sums = jax.eval_shape(update, state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert "loss/adversarial" not in sums and "loss/reconstruction" in sums
    for changes in ({"loss.adversarial": "0"}, {"loss.adversarial_start": "3"}):
        method = method_lib.create(shrink.iedit("autoencoder", **changes))
        assert set(method.networks()) == {"autoencoder", "log_variance"}
        assert method.phases(2) == ("alone",)
    method = method_lib.create(shrink.iedit("autoencoder", **{"loss.features": "lpips"}))
    assert [source for source, _ in method.starting_values()] == ["weights:vgg16",
                                                                  "weights:lpips-vgg"]
    with pytest.raises(UserError, match="must be a multiple of 2"):
        method_lib.create(shrink.iedit("autoencoder", image_size="33"))


def test_pictures_are_parts_in_training_and_whole_in_evaluation():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = 255
    record, rng = {"image": image}, np.random.default_rng(0)
    whole = Pictures(20, False, (0.5, 1.0), True)(record, rng)["image"]
    assert whole.shape == (20, 20, 3) and whole[0, 0, 0] == 1 and whole[0, -1, 0] == -1
    shares = [(Pictures(20, True, (0.5, 0.7), True)(record, rng)["image"] > 0).mean()
              for _ in range(20)]
    assert len(set(np.round(shares, 3))) > 3
