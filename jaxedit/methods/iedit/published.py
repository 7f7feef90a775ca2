"""Public weights of the backbone: Stable Diffusion 1.x, as a folder and as single files."""

from __future__ import annotations

from typing import Any

from jaxedit.models.diffusion import single_file
from jaxedit.weights.entry import Bundle, File, Lazy, Network, Trained

_PARTS = "jaxedit.models.diffusion.parts"
_TEXT = "jaxedit.methods.iedit.text_encoder"
_FILE = "jaxedit.models.diffusion.single_file"
_LICENCE = "CreativeML OpenRAIL-M"
_FOLDER = "https://huggingface.co/CompVis/stable-diffusion-v1-4"
_CKPT = "https://huggingface.co/CompVis/stable-diffusion-v-1-4-original"
_SAFETENSORS = "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5"
# What the samplers and the tokenizer are built from.
_KEPT = ("scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt")
_WEIGHTS = {
    "unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model",
}


def _made_by(name: str) -> dict[str, Any]:
    """Returns what makes table and variables of a network."""
    if name == "text_encoder":
        return {"table": Lazy(f"{_TEXT}:table"), "network": Lazy(f"{_TEXT}:variables")}
    return {
        "table": Lazy(f"{_PARTS}:table", folder=name),
        "network": Lazy(f"{_PARTS}:variables", folder=name),
    }


def _in_folder(name: str) -> Network:
    endings = [f"{name}/{_WEIGHTS[name]}{ending}" for ending in (
        ".safetensors", ".fp16.safetensors", ".bin")]
    if name == "text_encoder":
        endings[-1] = f"{name}/pytorch_model.bin"
        more = {"configure": Lazy(f"{_TEXT}:options"), "prepare": Lazy(f"{_TEXT}:prepare")}
    else:
        more = {"configure": Lazy(f"{_PARTS}:options", folder=name)}
    if name == "vae":
        more["prepare"] = Lazy("jaxedit.models.diffusion.names:prepare_autoencoder")
    return Network(
        name=name, paths=tuple(endings), config=f"{name}/config.json", **_made_by(name), **more
    )


def _in_file(name: str, nested: tuple[str, ...]) -> Network:
    start, prepare = {
        "unet": (single_file.UNET_PREFIX, f"{_FILE}:unet_names"),
        "vae": (single_file.AUTOENCODER_PREFIX, f"{_FILE}:autoencoder_in_file"),
        "text_encoder": (single_file.TEXT_PREFIX, f"{_TEXT}:prepare"),
    }[name]
    return Network(
        name=name, starts=(start,), nested=nested, prefix="", ignore=single_file.IGNORE,
        prepare=Lazy(prepare), **_made_by(name),
    )


ENTRIES = (
    Bundle(
        name="stable-diffusion-v1-4",
        what="Stable Diffusion v1.4, or any 1.x, as the folder of diffusers",
        address=_FOLDER,
        licence=_LICENCE,
        files=tuple(
            File(f"{_FOLDER}/resolve/main/{path}", path) for path in (
                *(f"{name}/config.json" for name in _WEIGHTS),
                *(f"{name}/{file}.safetensors" for name, file in _WEIGHTS.items()), *_KEPT,
            )
        ),
        networks=tuple(map(_in_folder, _WEIGHTS)),
        keep=_KEPT,
    ),
    Bundle(
        name="stable-diffusion-v1-ckpt",
        what="Stable Diffusion 1.x as one .ckpt in the original layout",
        address=_CKPT,
        licence=_LICENCE,
        files=(File(f"{_CKPT}/resolve/main/sd-v1-4.ckpt"),),
        networks=tuple(_in_file(name, ("state_dict",)) for name in _WEIGHTS),
    ),
    Bundle(
        name="stable-diffusion-v1-safetensors",
        what="Stable Diffusion 1.x as one .safetensors in the original layout",
        address=_SAFETENSORS,
        licence=_LICENCE,
        files=(File(f"{_SAFETENSORS}/resolve/main/v1-5-pruned-emaonly.safetensors"),),
        networks=tuple(_in_file(name, ()) for name in _WEIGHTS),
    ),
)

_SCENES = "python -m jaxedit.main --config=configs/iedit.py:scenes"
TRAINED = tuple(Trained(f"world-{name}", what, _SCENES) for name, what in (
    ("autoencoder", "pictures of the small world to latents and back"),
    ("diffusion", "pictures of the small world from captions"),
    ("towers", "CLIP's towers of the small world"),
    ("segmenter", "marks what a word names in the small world"),
))
