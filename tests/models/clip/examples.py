"""A tiny CLIP and a tiny CLIPSeg, as published folders hold them."""

import json

import ml_dtypes
import numpy as np
import safetensors.numpy

from jaxedit.models.clip import folder
from jaxedit.models.clip.configs import CLIPConfig, CLIPSegConfig
from jaxedit.weights import table
from tests.parity import fill

TEXT = {"vocab_size": 20, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 6, "eos_token_id": 19}
VISION = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 3,
          "num_attention_heads": 4, "image_size": 16, "patch_size": 8}
BOTH = {"model_type": "clip", "text_config": TEXT, "vision_config": VISION, "projection_dim": 4}
SEGMENTER = {**BOTH, "model_type": "clipseg", "extract_layers": [0, 2], "reduce_dim": 8,
             "decoder_num_attention_heads": 2, "decoder_intermediate_size": 5,
             "use_complex_transposed_convolution": True}
TEXT_ALONE = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **TEXT}
PUBLISHED = {"clip": BOTH, "clipseg": SEGMENTER, "text": TEXT_ALONE}


def config(name):
    """Returns the description of "clip", "clipseg" or "text"."""
    kind = CLIPSegConfig if name == "clipseg" else CLIPConfig
    return kind.from_published(PUBLISHED[name])


def arrays(name):
    """Returns the published arrays, filled by the rule."""
    described = config(name)
    empty = zeros(folder.variables(described))
    shapes = table.to_published(folder.conversion_table(described), empty)
    return fill.fill_all({key: array.shape for key, array in shapes.items()})


def zeros(tree):
    """Returns arrays of zeros of the shapes of `tree`."""
    if hasattr(tree, "shape"):
        return np.zeros(tree.shape, np.float32)
    return {key: zeros(branch) for key, branch in tree.items()}


def write(target, name, dtype="float32", *, prefix=True, positions=False,
          file="model.safetensors"):
    """Writes a folder of `name`; without `prefix`, as a tower alone is in memory."""
    target.mkdir(parents=True)
    (target / "config.json").write_text(json.dumps(PUBLISHED[name]))
    (target / "vocab.json").write_text("{}")
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    found = {key if prefix else key.removeprefix("text_model."): array.astype(kind)
             for key, array in arrays(name).items()}
    if positions:
        found["text_model.embeddings.position_ids"] = np.arange(6)[None]
    safetensors.numpy.save_file(found, target / file, {"format": "pt"})
    return target
