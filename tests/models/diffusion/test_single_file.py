"""The original layout gives the same networks as the folder."""

import pickle
import re
import zipfile

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.models.diffusion import single_file
from jaxedit.models.diffusion.configs import UNetConfig
from tests.models.diffusion import examples

# By hand: a resnet, its attention, both kinds of changing the size, and what has no number.
PAIRS = {
    "conv_in.weight": "input_blocks.0.0.weight",
    "time_embedding.linear_2.bias": "time_embed.2.bias",
    "down_blocks.0.resnets.0.norm1.weight": "input_blocks.1.0.in_layers.0.weight",
    "down_blocks.0.resnets.0.time_emb_proj.bias": "input_blocks.1.0.emb_layers.1.bias",
    "down_blocks.0.attentions.0.proj_in.weight": "input_blocks.1.1.proj_in.weight",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.bias":
        "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0.bias",
    "down_blocks.0.downsamplers.0.conv.weight": "input_blocks.2.0.op.weight",
    "down_blocks.1.resnets.0.conv_shortcut.weight": "input_blocks.3.0.skip_connection.weight",
    "mid_block.attentions.0.norm.bias": "middle_block.1.norm.bias",
    "mid_block.resnets.1.conv2.weight": "middle_block.2.out_layers.3.weight",
    "up_blocks.0.resnets.1.norm2.weight": "output_blocks.1.0.out_layers.0.weight",
    "up_blocks.0.upsamplers.0.conv.bias": "output_blocks.1.1.conv.bias",
    "up_blocks.1.attentions.1.proj_out.bias": "output_blocks.3.1.proj_out.bias",
    "conv_norm_out.weight": "out.0.weight",
    "conv_out.bias": "out.2.bias",
}
AUTOENCODER_PAIRS = {
    "encoder.down_blocks.0.resnets.0.conv1.bias": "encoder.down.0.block.0.conv1.bias",
    "encoder.down_blocks.0.downsamplers.0.conv.bias": "encoder.down.0.downsample.conv.bias",
    "encoder.down_blocks.1.resnets.0.conv_shortcut.bias":
        "encoder.down.1.block.0.nin_shortcut.bias",
    "encoder.mid_block.resnets.1.norm2.bias": "encoder.mid.block_2.norm2.bias",
    "decoder.mid_block.attentions.0.to_out.0.weight": "decoder.mid.attn_1.proj_out.weight",
    "decoder.mid_block.attentions.0.group_norm.bias": "decoder.mid.attn_1.norm.bias",
    "decoder.up_blocks.0.upsamplers.0.conv.bias": "decoder.up.1.upsample.conv.bias",
    "decoder.up_blocks.1.resnets.1.conv2.bias": "decoder.up.0.block.1.conv2.bias",
    "decoder.conv_norm_out.bias": "decoder.norm_out.bias",
    "decoder.conv_out.bias": "decoder.conv_out.bias",
    "post_quant_conv.weight": "post_quant_conv.weight",
}


def original(published, modules, inner):
    """Returns published arrays by their original names, turned the other way round than loading."""
    result = {}
    for name, array in published.items():
        place, rest = single_file._longest(name, modules)
        for before, after in inner.items():
            if ".resnets." in name and rest.startswith(f"{after}."):
                rest = before + rest.removeprefix(after)
        result[f"{place}.{rest}"] = array
    return result


def unet_file():
    modules = single_file._unet_modules(examples.CONFIGS["unet"])
    return original(examples.arrays("unet"), {v: k for k, v in modules.items()},
                    single_file._RESNET)


def autoencoder_file():
    """By rules of its own, so that the ones under test are told apart from it."""
    result = {}
    for name, array in examples.arrays("vae").items():
        if ".attentions.0.to" in name and name.endswith("weight"):
            array = array[..., None, None]
        for pattern, new in (
            (r"encoder\.down_blocks", "encoder.down"), (r"decoder\.up_blocks\.0", "decoder.up.1x"),
            (r"decoder\.up_blocks\.1", "decoder.up.0"), (r"1x", "1"),
            (r"(down|up)\.(\d)\.resnets", r"\1.\2.block"), (r"downsamplers\.0", "downsample"),
            (r"upsamplers\.0", "upsample"), (r"mid_block\.resnets\.0", "mid.block_1"),
            (r"mid_block\.resnets\.1", "mid.block_2"), (r"mid_block\.attentions\.0", "mid.attn_1"),
            (r"group_norm", "norm"), (r"to_out\.0", "proj_out"), (r"to_([qkv])\.", r"\1."),
            (r"conv_shortcut", "nin_shortcut"), (r"conv_norm_out", "norm_out"),
        ):
            name = re.sub(pattern, new, name)
        result[name] = array
    return result


def whole_file():
    arrays = {single_file.UNET_PREFIX + name: array for name, array in unet_file().items()}
    arrays |= {single_file.AUTOENCODER_PREFIX + n: a for n, a in autoencoder_file().items()}
    extra = np.ones(2, np.float32)
    return arrays | {
        f"{single_file.TEXT_PREFIX}text_model.final_layer_norm.bias": extra,
        "model_ema.decay": extra, "alphas_cumprod": extra, "first_stage_model.loss.logvar": extra,
        "sqrt_alphas_cumprod": extra, "log_one_minus_alphas_cumprod": extra, "betas": extra,
    }


def write_checkpoint(path, arrays):
    """Writes the file that PyTorch Lightning makes of a training, opcode by opcode."""
    text = lambda value: b"X" + len(value).to_bytes(4, "little") + value.encode()
    number = lambda value: b"J" + int(value).to_bytes(4, "little", signed=True)
    numbers = lambda values: b"(" + b"".join(map(number, values)) + b"t"

    def tensor(key, array):
        strides = [stride // 4 for stride in array.strides]
        storage = (b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(key))
                   + text("cuda:0") + number(array.size) + b"tQ")
        return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0)
                + numbers(array.shape) + numbers(strides) + b"\x89NtR")

    score = pickle.dumps(np.float64(1.5), 2).replace(b"numpy._core", b"numpy.core")[2:-1]
    lightning = b"cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
    named = b"".join(
        text(name) + tensor(key, array) + b"s" for key, (name, array) in enumerate(arrays.items())
    )
    data = (b"\x80\x02}" + text("epoch") + number(3) + b"s"
            + text("callbacks") + b"}" + lightning + b"}" + text("best") + score + b"sss"
            + text("state_dict") + b"}" + named + b"s.")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{key}", array.tobytes())


def test_names_by_hand():
    assert {name for name in unet_file()} >= set(PAIRS.values())
    found = single_file.unet_names({n: n for n in PAIRS.values()}, examples.CONFIGS["unet"])
    assert found == {ours: theirs for ours, theirs in PAIRS.items()}
    found = single_file.autoencoder_names(
        {n: n for n in AUTOENCODER_PAIRS.values()}, examples.CONFIGS["vae"]
    )
    assert found == dict(AUTOENCODER_PAIRS)


def test_names_of_full_size():
    """As the original configuration of Stable Diffusion 1.x numbers its blocks."""
    modules = single_file._unet_modules(UNetConfig())
    assert len([k for k in modules if k.startswith("input_blocks")]) == 12 + 6  # with attentions
    for original_place, ours in {
        "input_blocks.3.0.op": "down_blocks.0.downsamplers.0.conv",
        "input_blocks.8.1": "down_blocks.2.attentions.1",
        "input_blocks.11.0": "down_blocks.3.resnets.1",
        "output_blocks.2.1.conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks.5.2.conv": "up_blocks.1.upsamplers.0.conv",
        "output_blocks.11.1": "up_blocks.3.attentions.2",
    }.items():
        assert modules[original_place] == ours


@pytest.mark.parametrize("name, write", [
    ("model.safetensors", lambda path, arrays: safetensors.numpy.save_file(arrays, path)),
    ("model.ckpt", write_checkpoint),
])
def test_a_file_gives_the_same_networks(tmp_path, name, write):
    path = tmp_path / name
    write(path, whole_file())
    found = single_file.load(
        path, unet=examples.CONFIGS["unet"], autoencoder=examples.CONFIGS["vae"]
    )
    for name, part in found.items():
        jax.tree.map(np.testing.assert_array_equal, part.variables, examples.variables(name))
    assert set(single_file.text_arrays(single_file.read(path))) == {
        "text_model.final_layer_norm.bias"
    }


@pytest.mark.parametrize("change, message", [
    (lambda a: a.pop("model.diffusion_model.out.2.bias"), "missing 'conv_out.bias'"),
    (lambda a: a.update({"model.diffusion_model.out.3.bias": np.ones(1, np.float32)}),
     "unused 'out.3.bias'"),
    (lambda a: a.update(strange=np.ones(1, np.float32)), "holds 'strange', which is of no part"),
])
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    arrays = whole_file()
    change(arrays)
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(arrays, path)
    with pytest.raises(UserError, match=message):
        single_file.load(path, unet=examples.CONFIGS["unet"], autoencoder=examples.CONFIGS["vae"])
