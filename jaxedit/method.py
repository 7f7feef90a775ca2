"""The contract between the shared core and a paper: `Method`, with `Task`, `Evaluation`, `State`.

The core (`run/`, `apply/`, `report/`) knows no paper by name. Everything that a paper
decides stands behind the methods of `Method`, each of which is either pure (it may be traced,
compiled for any platform and sharded) or runs on the host and says so.

Conventions: images are NHWC; batches are dicts of arrays with the batch as the first axis;
networks see images in [-1, 1]; masks are 1 inside the hole.
"""

from __future__ import annotations

import abc
import functools
import importlib
import inspect
import os
import pathlib
import shutil
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np
import optax

from jaxedit import bounds as bounds_lib
from jaxedit.data.sources import Opened, Source
from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host.names import check_choice, did_you_mean
from jaxedit.layers.convolution import formulation
from jaxedit.state import Artifact, StartingValue, State, put
from jaxedit.task import Task

PyTree = Any
Batch = Mapping[str, jax.Array]
Record = Mapping[str, Any]
# name -> (sum, weight): the logged value is sum / weight, added up over the steps (and phases)
# between two log lines. A phase that did not run adds nothing.
Sums = dict[str, tuple[jax.Array, jax.Array]]


class Method(abc.ABC):
    """A paper: networks, losses, data construction and what to do with the result.

    Attributes:
      config: the frozen run configuration.
      axis_name: the name of the mapped batch axis when the step runs under `pmap`, else None.
        Gradients and statistics that must agree across devices go through
        `gradients.synchronise(tree, method.axis_name)`.
      artifacts: stage -> what earlier host stages have made.

    Convolutions that `variables`, `update` and `predict` trace are formulated as
    `config.layers.convolution` says, see `layers.convolution.formulation`.
    """

    def __init_subclass__(cls, **options: Any):
        """Lets the functions that hold networks be traced with the configured convolutions."""
        super().__init_subclass__(**options)
        for name in {"variables", "update", "predict"} & set(vars(cls)):
            setattr(cls, name, _with_convolutions(vars(cls)[name]))

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        axis_name: str | None = None,
        artifacts: Mapping[str, Artifact] | None = None,
    ):
        self.config = config
        self.axis_name = axis_name
        self.artifacts = dict(artifacts or {})
        check_choice("layers.convolution", self.convolution, formulation.MODES)

    @property
    def convolution(self) -> str:
        """How convolutions are computed on CPU, "auto" or "xla"."""
        # Runs of before that key had XLA's convolutions.
        return self.config.get("layers", {}).get("convolution", "xla")

    @abc.abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Returns the linen modules by name; the names key `State.params`."""

    @abc.abstractmethod
    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns the optax transformations by name; the names key `State.opt`."""

    @abc.abstractmethod
    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Returns the shapes and dtypes of a training batch of `batch_size` samples."""

    @abc.abstractmethod
    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        """Returns a fresh state: step 0, `params`, and what it has of `stats` and `extra`. Pure.

        Frozen networks that are drawn rather than read stand here too. Optimizer states and
        averages do not: `init` makes them of the parameters that result.
        """

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns (from, to) pairs that hold for every stage, ahead of those of its own.

        Written as in `config.stages`, see `run/stages.py`; a pretrained network that is never
        trained is for example `("weights:vgg19", "frozen/vgg19")`.
        """
        return ()

    def fit(self, value: StartingValue, fresh: PyTree | None) -> PyTree:
        """Returns what takes the place of `fresh`; pure, for values that fill a network in part.

        Args:
          value: a starting value.
          fresh: what stands at its target in the fresh state, or None.
        """
        del fresh
        return value.tree

    def optimizer_states(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        """Returns `State.opt`. Pure; by default each optimizer trains the network of its name."""
        optimizers = self.optimizers(self.config.train.steps)
        return {name: tx.init(params[name]) for name, tx in optimizers.items()}

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        """Returns `State.ema` before the first step, by default none. Pure."""
        del params
        return {}

    def init(
        self,
        rng: jax.Array,
        spec: Mapping[str, jax.ShapeDtypeStruct],
        start: Sequence[StartingValue] = (),
    ) -> State:
        """Returns the state before the first step. Pure: it also runs under `jax.eval_shape`.

        First fresh variables, then the starting values in their order, then optimizer states and
        averages of the parameters that result; values for those two come last.

        Raises:
          UserError: a starting value has no place in the state, or another shape.
        """
        state = self.variables(rng, spec)
        follows = lambda value: value.target.startswith(("opt/", "ema/"))
        for value in start:
            if not follows(value):
                state = put(state, value, self.fit)
        state = state.replace(
            opt=self.optimizer_states(state.params), ema=self.averages(state.params)
        )
        for value in filter(follows, start):
            state = put(state, value, self.fit)
        return state

    def build(
        self,
        source: Source,
        folder: pathlib.Path,
        start: State,
        *,
        process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        """Makes this process's part of an artefact in `folder`, in place of training. Host side.

        A host stage (`"build": True` in its entry of `config.stages`) calls it. It yields the
        share done, in (0, 1], after each piece that need not be made again: the run may be killed
        at any moment and calls `build` anew on the same folder, where it goes on from what it
        finds. Files that are written with `host.atomic.atomic_file` are whole or absent.

        Args:
          source: the training records of `config.data.source`; several sources may be joined in it.
            What else is drawn from stands in `sources`.
          folder: this process's own.
          start: holds the starting values of the stage as NumPy arrays, and nothing else.
          process_index, process_count: `range(process_index, len(source), process_count)` is this
            process's share.
        """
        raise UserError(f"Method {self.config.method!r} builds nothing: its stages only train.")

    @property
    def sources(self) -> dict[str, Opened]:
        """Returns what `build` draws from besides its records, by configuration key.

        The same objects at every call: the loop opens them at the start, `build` reads
        `sources[KEY].source`, and at the end what was skipped in them is reported.
        """
        return {}

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Puts the parts of all processes together in `folder`; returns facts for the manifest.

        Host side, on process 0, when all parts are done. By default the artefact is the files of
        all parts, whose names must differ. `parts` stay as they are.
        """
        for part in parts:
            shutil.copytree(part, folder, copy_function=_link, dirs_exist_ok=True)
        return {}

    def phases(self, step: int) -> tuple[str, ...]:
        """Returns the phases of training step `step` (counted from 0), in order. Host side."""
        del step
        return ("step",)

    @abc.abstractmethod
    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        """Returns the state after one phase and what to log. Pure; `phase` is static.

        `State.step` is advanced by the core after the last phase of a step, not here.
        """

    @abc.abstractmethod
    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns the outputs of `task`. Pure; evaluation, the command line and apply call it.

        Args:
          state: of the networks.
          inputs: what `task` reads, samples first.
          rng: one key per sample (B,), as evaluation hands it on, so that what is drawn for a
            sample does not depend on its batch, or a single key (). A method that draws turns
            either into keys per sample by `layers.randomness.sample_keys`.
          task: a key of `tasks`.
        """

    @property
    @abc.abstractmethod
    def tasks(self) -> dict[str, Task]:
        """Returns the tasks that `predict` knows, by name."""

    @abc.abstractmethod
    def transform(self, *, train: bool) -> Callable[[Record, np.random.Generator], dict]:
        """Returns a picklable callable from (record, NumPy generator) to one sample. Host side.

        One that draws from further sources has them as `sources`, see `data.sources.Opened`.
        """

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns how to measure this method, by name; {} for a stage that is not measured.

        The first is the one that is measured during training and that chooses the best checkpoint.
        """
        return {}

    @property
    def best(self) -> tuple[str, str] | None:
        """The figure by which the best checkpoint is kept, of the first evaluation; or None."""
        return next((evaluation.best for evaluation in self.evaluations().values()), None)

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns column title -> uint8 images (N, H, W, 3): what a person would look at.

        The first column is what the outputs were made from.
        """
        del batch, outputs
        return {}


def create(
    config: ml_collections.ConfigDict,
    axis_name: str | None = None,
    artifacts: Mapping[str, Artifact] | None = None,
) -> Method:
    """Returns the method that `config.method` names.

    A plain name is a folder of `jaxedit/methods`; a dotted name is a module of the user's own.
    Either way the module `<name>.method` (or the dotted module itself) defines
    `create(config, axis_name, artifacts)`; the last argument may be left out.

    Args:
      config: of the stage.
      axis_name: see `Method`.
      artifacts: stage -> what earlier host stages of the run have made.

    Raises:
      UserError: there is no such method, and the message names the nearest known one; or a value
        of a key of its own breaks its rule.
    """
    module = _of_config(config)
    bounds_lib.check(config, _own_bounds(module))
    if "artifacts" in inspect.signature(module.create).parameters:
        return module.create(config, axis_name, artifacts or {})
    return module.create(config, axis_name)


def of_part(
    parts: Mapping[str, str], config: ml_collections.ConfigDict, axis_name: str | None = None,
    artifacts: Mapping[str, Artifact] | None = None,
) -> Method:
    """Returns the part of a paper that `config.part` names, for the `create` of such a paper.

    Args:
      parts: the part's name -> "module:class", imported when it is needed.
      config, axis_name, artifacts: as of `create`.
    """
    module, name = parts[config.part].split(":")
    return getattr(importlib.import_module(module), name)(config, axis_name, artifacts)


def bounds(config: ml_collections.ConfigDict) -> dict[str, bounds_lib.Rule]:
    """Returns dotted key -> rule, of the keys of the core and of those of `config.method`.

    A paper's own stand in `BOUNDS` of the module that defines `create`; they go before the core's,
    as where a method computes in one precision only.

    Raises:
      UserError: there is no such method.
    """
    return {**bounds_lib.CORE, **_own_bounds(_of_config(config))}


def _own_bounds(module: types.ModuleType) -> dict[str, bounds_lib.Rule]:
    return getattr(module, "BOUNDS", {})


def _of_config(config: ml_collections.ConfigDict) -> types.ModuleType:
    bounds_lib.check(config, bounds_lib.CORE, only=["method"])
    name = config.method
    if "." not in name:
        known = known_methods()
        if name not in known:
            raise UserError(
                f"config.method is {name!r}, which is no folder of jaxedit/methods. "
                f"Known methods: {', '.join(known)}.{did_you_mean(name, known)} A module of your "
                "own is named with a dot, as in 'mypaper.method'."
            )
        name = f"jaxedit.methods.{name}.method"
    return _module(name)


def _module(name: str) -> types.ModuleType:
    """Returns a module by its dotted name, also one below the folder that one stands in."""
    # `python -m` looks there by itself, the program `jaxedit` does not; last, so that nothing
    # there takes the place of an installed package.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    top = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # the module is there; what it imports itself is not
        raise UserError(
            f"config.method is {name!r}, and there is no module {error.name!r}. Start in the "
            f"folder that holds {top}/, or put that folder into PYTHONPATH."
        ) from error


def known_methods() -> list[str]:
    """Returns the names of the methods that ship with jaxedit."""
    from importlib import resources

    root = resources.files("jaxedit.methods")
    return sorted(p.name for p in root.iterdir() if p.is_dir() and (p / "method.py").is_file())


def _with_convolutions(function: Callable) -> Callable:
    @functools.wraps(function)
    def run(self: Method, *arguments: Any, **options: Any) -> Any:
        with formulation.preferring(self.convolution):
            return function(self, *arguments, **options)

    return run


def _link(source: str, target: str) -> None:
    """Gives a file a second name, or copies it where the file system knows no second names."""
    if os.path.exists(target):
        raise UserError(
            f"Two parts of an artefact both hold {os.path.basename(target)}: names must tell the "
            "processes apart, or Method.merge must put the parts together."
        )
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
