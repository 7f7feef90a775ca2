"""A tiny latent diffusion model, as published folders and files hold one."""

import json

import ml_dtypes
import numpy as np
import safetensors.numpy

from jaxedit.models.diffusion import parts
from jaxedit.models.diffusion.configs import AutoencoderConfig, UNetConfig
from jaxedit.weights import table
from tests.parity import fill

UNET = {
    "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.2.2", "act_fn": "silu",
    "attention_head_dim": 2, "block_out_channels": [8, 16], "cross_attention_dim": 6,
    "center_input_sample": False, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "in_channels": 4, "out_channels": 4,
    "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 8, "flip_sin_to_cos": True,
}
VAE = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [4, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2,
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1,
    "norm_num_groups": 2, "sample_size": 16,
}
SCHEDULE = {
    "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False,
}
CONFIGS = {"unet": UNetConfig.from_published(UNET), "vae": AutoencoderConfig.from_published(VAE)}
PUBLISHED = {"unet": UNET, "vae": VAE}


def variables(part):
    """Returns the part's variables, filled by the rule."""
    return table.to_jax(parts.table(part, CONFIGS[part]), arrays(part))


def arrays(part):
    """Returns the part's published arrays, filled by the rule."""
    expected = parts.variables(part, CONFIGS[part])
    shapes = {}
    for name, entry in parts.table(part, CONFIGS[part]).items():
        leaf = expected
        for key in entry.path:
            leaf = leaf[key]
        axes = {"conv": (3, 2, 0, 1), "linear": (1, 0)}.get(entry.kind, (0,))
        shapes[name] = tuple(leaf.shape[axis] for axis in axes)
    return fill.fill_all(shapes)


def old_names(published):
    """Returns the autoencoder's arrays as the first published files have them."""
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    result = {}
    for name, array in published.items():
        for new, before in old.items():
            name = name.replace(new, before)
        result[name] = array
    return result


def write(folder, dtype="float32", *, old=False, ending="safetensors"):
    """Writes the folder of the whole model."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    for part in PUBLISHED:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(PUBLISHED[part]))
        found = {name: array.astype(kind) for name, array in arrays(part).items()}
        found = old_names(found) if old and part == "vae" else found
        safetensors.numpy.save_file(
            found, folder / part / f"diffusion_pytorch_model.{ending}", {"format": "pt"}
        )
    for name, content in (
        ("scheduler/scheduler_config.json", json.dumps(SCHEDULE)),
        ("tokenizer/merges.txt", "#version: 0.2\n"), ("model_index.json", "{}"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder
