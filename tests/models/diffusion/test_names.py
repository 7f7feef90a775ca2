"""The parameters of Stable Diffusion 1.x at full size, by their published names."""

import jax
import numpy as np
import pytest

from jaxedit.models.autoencoder_kl import AutoencoderKL
from jaxedit.models.diffusion import names
from jaxedit.models.unet import UNet
from jaxedit.weights import table


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, np.float32)


def published_shapes(variables):
    """Name -> the published shape, as exporting gives it, without any array."""
    turned = {"conv": (3, 2, 0, 1), "linear": (1, 0)}
    result = {}
    for name, entry in names.conversion_table(variables).items():
        leaf = variables
        for key in entry.path:
            leaf = leaf[key]
        axes = turned.get(entry.kind, range(len(leaf.shape)))
        result[name] = tuple(leaf.shape[axis] for axis in axes)
    return result


@pytest.fixture(scope="module")
def unet():
    module = UNet()
    variables = jax.eval_shape(
        module.init, jax.random.key(0), shape(1, 64, 64, 4), shape(1), shape(1, 77, 768)
    )
    return published_shapes(variables)


def test_unet_of_full_size(unet):
    assert len(unet) == 686
    assert sum(np.prod(sizes) for sizes in unet.values()) == 859_520_964
    block = "down_blocks.0.attentions.0"
    for name, sizes in {
        f"{block}.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        f"{block}.transformer_blocks.0.attn1.to_out.0.bias": (320,),
        f"{block}.transformer_blocks.0.ff.net.0.proj.weight": (2560, 320),
        f"{block}.transformer_blocks.0.ff.net.2.weight": (320, 1280),
        f"{block}.proj_in.weight": (320, 320, 1, 1),
        "down_blocks.1.resnets.0.conv_shortcut.weight": (640, 320, 1, 1),
        "down_blocks.2.downsamplers.0.conv.weight": (1280, 1280, 3, 3),
        "up_blocks.0.resnets.2.time_emb_proj.weight": (1280, 1280),
        "up_blocks.3.resnets.2.norm1.weight": (640,),
        "up_blocks.0.upsamplers.0.conv.bias": (1280,),
        "time_embedding.linear_1.weight": (1280, 320),
        "conv_norm_out.weight": (320,),
    }.items():
        assert unet[name] == sizes
    # What the published network leaves out.
    assert f"{block}.transformer_blocks.0.attn1.to_q.bias" not in unet
    assert not [n for n in unet if n.startswith(("down_blocks.3.attentions", "up_blocks.0.att"))]
    assert not [n for n in unet if n.startswith(("down_blocks.3.down", "up_blocks.3.up"))]


def test_autoencoder_of_full_size():
    module = AutoencoderKL()
    variables = jax.eval_shape(module.init, jax.random.key(0), shape(1, 512, 512, 3))
    found = published_shapes(variables)
    assert len(found) == 248
    assert sum(np.prod(sizes) for sizes in found.values()) == 83_653_863
    for name, sizes in {
        "encoder.conv_out.weight": (8, 512, 3, 3),
        "encoder.mid_block.attentions.0.to_out.0.weight": (512, 512),
        "encoder.mid_block.attentions.0.to_q.bias": (512,),
        "encoder.down_blocks.2.downsamplers.0.conv.weight": (512, 512, 3, 3),
        "decoder.up_blocks.2.resnets.0.conv_shortcut.weight": (256, 512, 1, 1),
        "decoder.conv_in.weight": (512, 4, 3, 3),
        "quant_conv.weight": (8, 8, 1, 1),
        "post_quant_conv.weight": (4, 4, 1, 1),
    }.items():
        assert found[name] == sizes


def test_old_names_of_the_autoencoder():
    """The first files' attention, and its kernels as convolutions, become today's."""
    ahead = "decoder.mid_block.attentions.0"
    kernel = np.arange(6.0).reshape(2, 3, 1, 1)
    found = names.prepare_autoencoder({
        f"{ahead}.query.weight": kernel,
        f"{ahead}.proj_attn.weight": kernel[..., 0, 0],
        f"{ahead}.key.bias": kernel[0, :, 0, 0],
        "quant_conv.weight": kernel,
        "decoder.up_blocks.0.resnets.0.conv1.weight": kernel,
    })
    assert {name: array.shape for name, array in found.items()} == {
        f"{ahead}.to_q.weight": (2, 3),
        f"{ahead}.to_out.0.weight": (2, 3),
        f"{ahead}.to_k.bias": (3,),
        "quant_conv.weight": (2, 3, 1, 1),
        "decoder.up_blocks.0.resnets.0.conv1.weight": (2, 3, 1, 1),
    }


def test_table_turns_both_ways():
    variables = {"params": {
        "down_blocks_10": {"resnets_2": {"conv1": {"kernel": np.ones((3, 3, 4, 5))}}},
        "time_embedding": {"linear_1": {"kernel": np.ones((2, 7)), "bias": np.ones(7)}},
        "conv_norm_out": {"scale": np.ones(4), "bias": np.ones(4)},
    }}
    entries = names.conversion_table(variables)
    published = table.to_published(entries, variables)
    assert {name: array.shape for name, array in published.items()} == {
        "down_blocks.10.resnets.2.conv1.weight": (5, 4, 3, 3),
        "time_embedding.linear_1.weight": (7, 2), "time_embedding.linear_1.bias": (7,),
        "conv_norm_out.weight": (4,), "conv_norm_out.bias": (4,),
    }
    table.to_jax(entries, published, variables)
