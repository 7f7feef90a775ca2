"""The autoencoder beyond its golden file: options, scales, checkpointed blocks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.models.autoencoder_kl import AutoencoderKL, distribution, draw
from jaxedit.models.diffusion.configs import AutoencoderConfig
from jaxedit.models.diffusion.patch_discriminator import PatchDiscriminator
from jaxedit.run import drawing
from tests import fake_run

CONFIG = AutoencoderConfig(
    latent_channels=2, block_out_channels=(4, 6), down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, norm_num_groups=2,
    scaling_factor=0.5, shift_factor=0.25,
)
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 6, 8, 3)), jnp.float32)


def drawn(module):
    return fake_run.drawn(jax.eval_shape(module.init, jax.random.key(0), IMAGE))


def test_checkpointed_blocks_keep_less_for_the_backward_pass():
    modules = [AutoencoderKL(CONFIG, checkpointed=kept) for kept in (False, True)]
    shapes = [jax.eval_shape(module.init, jax.random.key(0), IMAGE) for module in modules]
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])
    kept = [
        sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(
            lambda v, m=module: jax.vjp(lambda v: m.apply(v, IMAGE), v)[1], shapes[0]
        )))
        for module in modules
    ]
    assert kept[1] < 0.6 * kept[0]


def test_what_may_be_left_out():
    bare = dataclasses.replace(CONFIG, use_quant_conv=False, use_post_quant_conv=False,
                               mid_block_add_attention=False)
    params = drawn(AutoencoderKL(bare))["params"]
    assert set(params) == {"encoder", "decoder"}
    assert "attentions_0" not in params["encoder"]["mid_block"]
    assert jax.eval_shape(AutoencoderKL(bare).apply, {"params": params}, IMAGE).shape == IMAGE.shape


def test_latents_of_the_diffusion_model():
    module = AutoencoderKL(CONFIG)
    latents = jnp.asarray([0.25, 4.25])
    np.testing.assert_allclose(module.to_diffusion(latents), [0, 2])
    np.testing.assert_allclose(module.from_diffusion(module.to_diffusion(latents)), latents)


def test_extreme_variances_are_clipped():
    moments = jnp.asarray([[1.0, 2.0, -1e9, 1e9]])
    mean, log_variance = distribution(moments)
    assert mean.tolist() == [[1, 2]] and log_variance.tolist() == [[-30, 20]]
    found = draw(moments, jnp.asarray([[1.0, -1.0]]))
    np.testing.assert_allclose(found, [[1 + np.exp(-15), 2 - np.exp(10)]], rtol=1e-6)


def test_patches_of_the_discriminator():
    """Each logit sees its patch alone, of 16 pixels with two layers that halve."""
    module = PatchDiscriminator(channels=4, layers=1)
    image = jnp.zeros((1, 32, 32, 3))
    variables = drawing.drawn(module.init, jax.random.key(0), image)
    run = jax.jit(lambda image: module.apply(variables, image, train=False))
    logits = run(image)
    assert logits.shape == (1, 32 // 2 - 2, 32 // 2 - 2, 1)
    changed = np.asarray(run(image.at[0, 0, 0].set(1)) - logits)[0, ..., 0]
    assert changed[0, 0] and not changed[8:].any() and not changed[:, 8:].any()
