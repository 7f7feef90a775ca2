"""What the manifest says of published weights: where they are, under which licence, what they fill.

`Published` is one file for one network. `Bundle` is what a publisher provides together: several
networks in one file, in several files, or in a folder with their configurations.

A paper's own entries stand in `methods/<paper>/published.py`, those of shared networks in
`models/published.py`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import jax
import numpy as np


class Lazy:
    """Something of another module, named by its path and imported when it is needed."""

    def __init__(self, path: str, **options: Any):
        """`path` is "module:name" of a class or function, `options` what it is called with."""
        self.path = path
        self.options = options

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        module, name = self.path.split(":")
        return getattr(importlib.import_module(module), name)(*arguments, **self.options, **more)


@dataclasses.dataclass(frozen=True)
class File:
    """A file as its publisher provides it.

    Attributes:
      address: where it is.
      path: its place in the published folder, or its name.
      sha256: lower-case hexadecimal digest, or None where it is not established.
      sha256_prefix: its first digits as they stand in the published file name, or None.
      bytes: its size, or None where it is not established.
    """

    address: str
    path: str = ""
    sha256: str | None = None
    sha256_prefix: str | None = None
    bytes: int | None = None

    def __post_init__(self):
        if not self.path:
            name = PurePosixPath(unquote(urlsplit(self.address).path)).name
            object.__setattr__(self, "path", name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """One network of what a publisher provides.

    Attributes:
      name: what it is called among ours, for example "generator".
      table: makes the conversion table.
      network: makes the linen module whose variables the file fills; or those variables as a
        nested dict of shape structs, where no module has them (an average of codes).
      inputs: shapes of float arrays that the module can be initialised with, or shape structs; or
        what makes them from the options.
      paths: where its file is in the published folder; of several the first that is there. Empty
        where everything is in one file.
      nested: keys that lead to the state dict inside of the file.
      prefix: stripped from all names where all have it.
      starts: how the names of this network begin among those of several in one state dict, for
        example ("encoder.",); stripped. Several are spellings of one.
      ignore: patterns of published entries that our network has no use for.
      prepare: turns the arrays by their names into those that the table knows, where a publisher
        had several spellings or shapes.
      config: path of the JSON file in the published folder that describes the network.
      configure: turns what that file holds into options, with which `table`, `network` and
        `inputs` are called.
    """

    name: str
    table: Callable[..., Mapping[str, Any]]
    network: Callable[..., Any]
    inputs: Any = ((1, 96, 96, 3),)
    paths: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    prefix: str = "module."
    starts: tuple[str, ...] = ("",)
    ignore: tuple[str, ...] = ()
    prepare: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None
    config: str = ""
    configure: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None

    def options(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what the published configuration asks of table, network and inputs."""
        return {} if self.configure is None else self.configure(config)

    def expected(self, **options: Any) -> dict[str, Any]:
        """Returns our variables as shape structs, which every file is checked against."""
        network = self.network(**options)
        if isinstance(network, Mapping):
            return dict(network)
        inputs = self.inputs(**options) if callable(self.inputs) else self.inputs
        structs = [
            jax.ShapeDtypeStruct(x, np.float32) if isinstance(x, tuple) else x for x in inputs
        ]
        return jax.eval_shape(network.init, jax.random.key(0), *structs)


@dataclasses.dataclass(frozen=True)
class AsPublished:
    """What is used as its publisher provides it, and named by its place; nothing is converted.

    Attributes:
      name: in lists.
      what: one line on what it is for.
      address: the publisher's place.
      file: the file there, or "" for a whole folder.
      licence: as published.
      use: how to get and to name it.
      place: where it is looked for in the folder of weights; "" where it is only ever named.
    """

    name: str
    what: str
    address: str
    file: str
    licence: str
    use: str
    place: str = ""


@dataclasses.dataclass(frozen=True)
class Trained:
    """Weights that this project trains itself, and how, for while none of that name come with it.

    Attributes:
      name: what the user types.
      what: one line on what they are for.
      command: trains such weights from nothing.
    """

    name: str
    what: str
    command: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published(Network):
    """A file of weights that its publisher provides, and the network that it fills.

    Attributes, beside those of `Network` (where `name` is what the user types):
      what: one line on what it is for.
      address: where the file is; a folder or a page where the publisher gives no file address.
      licence: of the weights, as the publisher states it.
      sha256, sha256_prefix, bytes: as in `File`.
      file: the file to take, where the address is a folder.
      by_hand: what a person has to do at the address, where no program may or can fetch the file.
      tasks: task -> its front end, a function from the weights' name to (predict, variables, Task)
        as `apply.Applier` takes them, or to (Method, State) where it is a task of a method; none
        where no command applies the network as it is.
    """

    what: str
    address: str
    licence: str
    sha256: str | None = None
    sha256_prefix: str | None = None
    bytes: int | None = None
    file: str = ""
    by_hand: str = ""
    tasks: Mapping[str, Callable[[str], Any]] = dataclasses.field(default_factory=dict)

    @property
    def files(self) -> tuple[File, ...]:
        """The one file."""
        facts = (self.sha256, self.sha256_prefix, self.bytes)
        return (File(self.address, self.file, *facts),)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The one network."""
        return (self,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """Several networks that belong together, from one file, several files or a folder.

    Attributes:
      name: what the user types.
      what: one line on what it is for.
      address: the page where the publisher describes it.
      licence: of the weights, as the publisher states it.
      files: what has to be downloaded.
      networks: what the files fill. One file may hold several, told apart by `nested` or `starts`.
      keep: paths of other files of the folder that the networks need (a vocabulary); they are
        stored with the weights and read by `convert.load_file`.
      by_hand: what a person has to do at the address, where no program may or can fetch the files.
      tasks: as of `Published`.
    """

    name: str
    what: str
    address: str
    licence: str
    files: tuple[File, ...]
    networks: tuple[Network, ...]
    keep: tuple[str, ...] = ()
    by_hand: str = ""
    tasks: Mapping[str, Callable[[str], Any]] = dataclasses.field(default_factory=dict)

    @property
    def bytes(self) -> int | None:
        """The size of all files, or None where one is not established."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(sizes)
