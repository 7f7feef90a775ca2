"""Small published weights for the tests: a file of one network, and bundles of every kind."""

import json

import flax.linen as nn
import jax
import numpy as np
import safetensors.numpy

from jaxedit.weights.entry import Bundle, File, Network
from jaxedit.weights.table import Entry

CHANNELS = (64, 192, 384, 256, 256)


def heads() -> dict[str, np.ndarray]:
    """The published arrays of the smallest checkpoint, lpips-alex, with other numbers."""
    rng = np.random.default_rng(0)
    return {
        f"lin{index}.model.1.weight": rng.random((1, channels, 1, 1)).astype(np.float32)
        for index, channels in enumerate(CHANNELS)
    }


def published(folder, arrays, name="published.safetensors"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(arrays, path)
    return path


def linear(inputs: int, outputs: int) -> dict[str, np.ndarray]:
    """A linear layer as torch publishes it."""
    count = inputs * outputs
    return {
        "weight": np.arange(count, dtype=np.float32).reshape(outputs, inputs),
        "bias": -np.arange(outputs, dtype=np.float32),
    }


def linear_table(**options) -> dict[str, Entry]:
    return {
        "weight": Entry(("params", "kernel"), "linear"),
        "bias": Entry(("params", "bias")),
    }


def prefixed(prefix: str, arrays: dict) -> dict:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def old_spelling(arrays: dict) -> dict:
    """What `Network.prepare` is for."""
    return {name.replace("kernel", "weight"): array for name, array in arrays.items()}


# A folder with configurations: the sizes of the layers stand in JSON files alone.
FOLDER = Bundle(
    name="pipeline",
    what="two networks and a vocabulary",
    address="https://example.com/pipeline",
    licence="MIT",
    files=tuple(
        File(f"https://example.com/pipeline/{path}", path)
        for path in ("unet/weights.safetensors", "unet/config.json", "vae/weights.safetensors",
                     "vae/config.json", "tokenizer/vocab.json")
    ),
    networks=tuple(
        Network(
            name=name,
            table=linear_table,
            network=lambda outputs, inputs: nn.Dense(outputs),
            inputs=lambda outputs, inputs: ((1, inputs),),
            paths=(f"{name}/weights.safetensors", f"{name}/weights.fp16.safetensors"),
            prepare=old_spelling if name == "vae" else None,
            config=f"{name}/config.json",
            configure=lambda config: {"outputs": config["out"], "inputs": config["in"]},
        )
        for name in ("unet", "vae")
    ),
    keep=("tokenizer/vocab.json",),
)


def pipeline(folder, **changes):
    """Writes what `FOLDER` describes; `changes` are more arrays of the unet."""
    for name, sizes in (("unet", (3, 5)), ("vae", (2, 4))):
        arrays = linear(*sizes)
        if name == "vae":
            arrays["kernel"] = arrays.pop("weight")
        arrays |= changes if name == "unet" else {}
        published(folder / name, arrays, "weights.safetensors")
        config = {"in": sizes[0], "out": sizes[1], "_class_name": "Dense"}
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text('{"a": 0}')
    return folder


# One file: two networks told apart by the beginning of their names, and an average beside them.
ONE_FILE = Bundle(
    name="inversion",
    what="an encoder, a generator and an average of codes",
    address="https://example.com/inversion",
    licence="none stated",
    files=(File("https://example.com/inversion.pt"),),
    networks=(
        Network(name="encoder", table=linear_table, network=lambda: nn.Dense(5),
                inputs=((1, 3),), starts=("encoder.", "residue.")),
        Network(name="generator", table=linear_table, network=lambda: nn.Dense(2),
                inputs=((1, 4),), starts=("decoder.",), ignore=("loss.*",)),
        Network(name="average", table=lambda: {"latent_avg": Entry(("code",))},
                network=lambda: {"code": jax.ShapeDtypeStruct((18, 4), np.float32)},
                starts=("",)),
    ),
)


def inversion() -> dict[str, np.ndarray]:
    return {
        **prefixed("residue.", linear(3, 5)),
        **prefixed("decoder.", linear(4, 2)),
        "latent_avg": np.ones((18, 4), np.float16),
        "loss.net.weight": np.ones(3, np.float32),
    }
