"""Published folders are read, and come out as they were."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.models.diffusion import folder
from jaxedit.models.diffusion.configs import UNetConfig
from jaxedit.models.diffusion.schedule import Schedule
from tests.models.diffusion import examples


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, dict(found), dict(expected))


@pytest.mark.parametrize("dtype, old, ending", [
    ("float32", False, "safetensors"), ("float16", True, "fp16.safetensors"),
    ("bfloat16", True, "safetensors"),
])
def test_a_folder_saves_back_unchanged(tmp_path, dtype, old, ending):
    source = examples.write(tmp_path / "source", dtype, old=old, ending=ending)
    loaded = {name: folder.load(source, name) for name in ("unet", "vae")}
    for name, part in loaded.items():
        assert part.config == examples.CONFIGS[name]
        expected = jax.tree.map(
            lambda leaf: leaf.astype(examples.ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
            .astype(np.float32), examples.variables(name)
        )
        same(part.variables, expected)
    back = folder.save(tmp_path / "back", loaded, like=source)
    assert contents(back) == contents(source)


def test_a_changed_part_takes_the_place_of_all_its_copies(tmp_path):
    source = examples.write(tmp_path / "source")
    copy = source / "unet" / "diffusion_pytorch_model.bin"
    copy.write_bytes(b"the same in torch's own form")
    loaded = folder.load(source, "unet")
    changed = folder.Loaded(loaded.config, jax.tree.map(lambda leaf: leaf + 1, loaded.variables))
    back = folder.save(tmp_path / "back", {"unet": changed}, like=source)
    same(folder.load(back, "unet").variables, changed.variables)
    same(folder.load(back, "vae").variables, folder.load(source, "vae").variables)
    assert not (back / "unet" / copy.name).exists()
    with pytest.raises(UserError, match="back"):
        folder.save(back, {"unet": loaded}, like=source)


def test_a_model_of_our_own_is_written_for_others(tmp_path):
    loaded = {name: folder.Loaded(examples.CONFIGS[name], examples.variables(name))
              for name in examples.CONFIGS}
    schedule = Schedule(prediction_type="v_prediction")
    written = folder.save(tmp_path / "ours", loaded, schedule=schedule)
    for name, part in loaded.items():
        again = folder.load(written, name)
        assert again.config == part.config
        same(again.variables, part.variables)
    assert folder.load_schedule(written) == schedule
    assert json.loads((written / "vae/config.json").read_text())["_class_name"] == "AutoencoderKL"
    header = (written / "vae/diffusion_pytorch_model.safetensors").read_bytes()[:200]
    assert b'"format":"pt"' in header


def test_schedule_of_another_sampler(tmp_path):
    source = examples.write(tmp_path / "source")
    assert folder.load_schedule(source) == Schedule()
    # The first published samplers leave the offset out, and count from 0.
    path = source / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear"}))
    found = folder.load_schedule(source)
    assert (found.steps_offset, found.set_alpha_to_one, found.beta_end) == (0, True, 0.02)
    path.write_text(json.dumps({"clip_sample": True}))
    with pytest.raises(UserError, match="clip_sample is True"):
        folder.load_schedule(source)


def rewrite(source, change):
    path = source / "vae" / "diffusion_pytorch_model.safetensors"
    arrays = examples.arrays("vae")
    change(arrays)
    safetensors.numpy.save_file(arrays, path)


@pytest.mark.parametrize("change, message", [
    (lambda a: a.pop("quant_conv.bias"), "missing 'quant_conv.bias'"),
    (lambda a: a.update(extra=np.ones(2, np.float32)), "unused 'extra'"),
    (lambda a: a.update({"quant_conv.bias": np.ones(3, np.float32)}),
     r"'quant_conv.bias' has shape \(3,\)"),
])
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    source = examples.write(tmp_path / "source")
    rewrite(source, change)
    with pytest.raises(UserError, match=message):
        folder.load(source, "vae")


def test_an_incomplete_folder_is_refused(tmp_path):
    source = examples.write(tmp_path / "source")
    (source / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match="unet: this folder lacks diffusion_pytorch_model.safeten"):
        folder.load(source, "unet")
    (source / "unet" / "config.json").write_text("[")
    with pytest.raises(UserError, match="no JSON"):
        folder.load(source, "unet")
    (source / "unet" / "config.json").unlink()
    with pytest.raises(UserError, match="no such file"):
        folder.load(source, "unet")
    with pytest.raises(UserError, match="unknown.*'unet', 'vae'"):
        folder.load(source, "text_encoder")


@pytest.mark.parametrize("change, message", [
    ({"class_embed_type": "timestep"}, "class_embed_type is 'timestep'"),
    ({"block_channels": [1]}, "'block_channels' is not known.*'block_out_channels'"),
    ({"attention_head_dim": [1, 2, 3]}, "one for each of the 2 levels"),
    ({"norm_num_groups": 3}, "norm_num_groups=3 does not divide"),
    ({"up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}, "2 levels, each of CrossAttnUpBlock2D"),
])
def test_another_network_is_refused(change, message):
    with pytest.raises(UserError, match=f"there.json: .*{message}"):
        UNetConfig.from_published({**examples.UNET, **change}, "there.json")


def test_heads_and_depths_by_level():
    config = UNetConfig.from_published(
        {**examples.UNET, "attention_head_dim": [1, 2], "transformer_layers_per_block": 3}
    )
    assert (config.attention_head_dim, config.transformer_layers_per_block) == ((1, 2), (3, 3))
