"""Table entries of PyTorch's usual layers, by the names that their parameters have there."""

from __future__ import annotations

from jaxedit.layers.normalization import COLLECTION
from jaxedit.weights.table import Entry

Path = tuple[str, ...]  # of module names, without the variable collection


def convolution(name: str, path: Path, *, bias: bool = False, kind: str = "conv") -> dict:
    """Returns name -> entry of a convolution, transposed or not: `kernel`, and `bias` if it has."""
    entries = {f"{name}.weight": Entry(("params", *path, "kernel"), kind)}
    if bias:
        entries[f"{name}.bias"] = Entry(("params", *path, "bias"))
    return entries


def linear(name: str, path: Path) -> dict:
    """Returns name -> entry of a dense layer with a bias."""
    return convolution(name, path, bias=True, kind="linear")


def batch_norm(name: str, path: Path) -> dict:
    """Returns name -> entry of a batch normalisation with its running statistics."""
    return {
        f"{name}.weight": Entry(("params", *path, "scale")),
        f"{name}.bias": Entry(("params", *path, "bias")),
        f"{name}.running_mean": Entry((COLLECTION, *path, "mean")),
        f"{name}.running_var": Entry((COLLECTION, *path, "var")),
    }


def prelu(name: str, path: Path) -> dict:
    """Returns name -> entry of the slopes of `layers.activation.PReLU`."""
    return {f"{name}.weight": Entry(("params", *path, "slope"))}
