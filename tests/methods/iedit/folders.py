"""A tiny Stable Diffusion and a tiny CLIPSeg in whole folders, of weights that nobody trained."""

import json

import safetensors.numpy

from jaxedit.models.clip import folder as clip_folder
from jaxedit.models.clip import tokenizer
from jaxedit.models.clip.configs import CLIPConfig, CLIPSegConfig
from jaxedit.models.diffusion import parts
from jaxedit.models.diffusion.configs import UNetConfig
from jaxedit.weights import table
from tests.models.clip import examples as clip
from tests.models.diffusion import examples as diffusion
from tests.parity import fill

WORDS = ["a red hat on a table", "a blue hat in a meadow", "a photo of a star at night"] * 3
TOKENIZER = tokenizer.learn(WORDS, 560, 12)


def stable_diffusion(folder):
    """Writes a whole folder and returns it: factor 2, pictures of 16 pixels, texts of 12 tokens."""
    diffusion.write(folder)
    (folder / "tokenizer" / "merges.txt").unlink()
    TOKENIZER.write(folder / "tokenizer")
    described = diffusion.UNET | {"cross_attention_dim": 8}
    _rewrite_unet(folder, described)
    text = clip.TEXT_ALONE | _tower()
    _write(folder / "text_encoder", text, CLIPConfig)
    return folder


def clipseg(folder, side=16):
    """Writes the folder of a CLIPSeg and returns it."""
    described = clip.SEGMENTER | {"text_config": clip.TEXT | _tower()}
    _write(folder, described, CLIPSegConfig)
    TOKENIZER.write(folder)
    size = {"size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(size))
    return folder


def _tower():
    end = TOKENIZER.end
    return {"vocab_size": TOKENIZER.size, "max_position_embeddings": 12, "eos_token_id": end}


def _write(folder, described, kind):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(described))
    config = kind.from_published(described)
    arrays = _filled(clip_folder.conversion_table(config), clip_folder.variables(config))
    safetensors.numpy.save_file(arrays, folder / "model.safetensors", {"format": "pt"})


def _rewrite_unet(folder, described):
    config = UNetConfig.from_published(described)
    arrays = _filled(parts.table("unet", config), parts.variables("unet", config))
    (folder / "unet" / "config.json").write_text(json.dumps(described))
    safetensors.numpy.save_file(
        arrays, folder / "unet" / "diffusion_pytorch_model.safetensors", {"format": "pt"}
    )


def _filled(conversion, variables):
    shapes = table.to_published(conversion, clip.zeros(variables))
    return fill.fill_all({name: array.shape for name, array in shapes.items()})
