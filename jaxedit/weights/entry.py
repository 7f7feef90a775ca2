"""What the manifest says of published weights: where they are, under which licence, what they fill.

A paper's own entries stand in `methods/<paper>/published.py`, those of shared networks in
`manifest`.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import jax
import jax.numpy as jnp


class Lazy:
    """Something of another module, named by its path and imported when it is needed."""

    def __init__(self, path: str, **options: Any):
        """`path` is "module:name" of a class or function, `options` what it is called with."""
        self.path = path
        self.options = options

    def __call__(self) -> Any:
        module, name = self.path.split(":")
        return getattr(importlib.import_module(module), name)(**self.options)


@dataclasses.dataclass(frozen=True)
class Published:
    """A file of weights that its publisher provides, and the network that it fills.

    Attributes:
      name: what the user types.
      what: one line on what it is for.
      address: where the file is; a folder or a page where the publisher gives no file address.
      licence: of the weights, as the publisher states it.
      table: makes the conversion table.
      network: makes the linen module whose variables the file fills.
      inputs: shapes of arrays that the network can be initialised with.
      sha256: lower-case hexadecimal digest of the file, or None where it is not established.
      sha256_prefix: its first digits as they stand in the published file name, or None.
      bytes: size of the file, or None where it is not established.
      file: the file to take, where the address is a folder.
      nested: keys that lead to the state dict inside of the file.
      prefix: stripped from all names where all have it.
      ignore: patterns of published entries that our network has no use for.
    """

    name: str
    what: str
    address: str
    licence: str
    table: Lazy
    network: Lazy
    inputs: tuple[tuple[int, ...], ...] = ((1, 96, 96, 3),)
    sha256: str | None = None
    sha256_prefix: str | None = None
    bytes: int | None = None
    file: str = ""
    nested: tuple[str, ...] = ()
    prefix: str = "module."
    ignore: tuple[str, ...] = ()

    def expected(self) -> dict[str, Any]:
        """Returns our variables as shape structs, which every file is checked against."""
        inputs = [jnp.zeros(shape) for shape in self.inputs]
        return jax.eval_shape(self.network().init, jax.random.key(0), *inputs)
