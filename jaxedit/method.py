"""The contract between the shared core and a paper: `Method`, `State`, `Task`, `Evaluation`.

What a stage starts from is one idea, `StartingValue`: arrays of an earlier stage, of published
weights, of a file or of an artefact that take their place in the new state, after the parameters
are drawn and before optimizers and averages follow from them.

The core (`train.py`, `evaluate.py`, `apply.py`) knows no paper by name. Everything that a paper
decides stands behind the methods of `Method`, each of which is either pure (it may be traced,
compiled for any platform and sharded) or runs on the host and says so.

Conventions: images are NHWC; batches are dicts of arrays with the batch as the first axis;
networks see images in [-1, 1]; masks are 1 inside the hole.
"""

from __future__ import annotations

import abc
import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.host.names import did_you_mean
from jaxedit.layers.convolution import formulation
from jaxedit.metrics import Keys, Metric

PyTree = Any
Batch = Mapping[str, jax.Array]
Record = Mapping[str, Any]
# name -> (sum, weight): the logged value is sum / weight, added up over the steps (and phases)
# between two log lines. A phase that did not run adds nothing.
Sums = dict[str, tuple[jax.Array, jax.Array]]


@flax.struct.dataclass
class State:
    """Everything that training changes, and the frozen networks it leans on: one pytree.

    Attributes:
      step: int32 scalar, the number of finished training steps.
      params: network name -> parameters, trained.
      stats: network name -> variables that forward passes change (batch or spectral statistics).
      opt: optimizer name -> optax state.
      ema: network name -> averaged parameters; empty where a method keeps none.
      frozen: network name -> pretrained variables, never trained; saved once per run.
      extra: whatever else a method carries from step to step.
    """

    step: jax.Array
    params: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    stats: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    opt: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    ema: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    frozen: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    extra: dict[str, PyTree] = dataclasses.field(default_factory=dict)


@flax.struct.dataclass
class StartingValue:
    """Arrays that a stage starts from, and where in its state they belong.

    Attributes:
      tree: an array, or a nested dict of them.
      source: where they come from, as the configuration writes it; for messages and for
        `Method.fit`.
      target: slash-separated path in the new state, of which the first part is a field of `State`.
    """

    tree: PyTree
    source: str = flax.struct.field(pytree_node=False)
    target: str = flax.struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Task:
    """What a command hands to `Method.predict` and gets back.

    Attributes:
      inputs: keys of `inputs` that `predict` reads.
      outputs: keys of the dict that `predict` returns.
      multiple: image height and width must be multiples of this many pixels.
      minimum: smallest image side, in pixels.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    multiple: int = 1
    minimum: int = 1


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a method wants to be measured. All callables run on the host, on NumPy arrays.

    Attributes:
      task: the name of the task whose outputs are measured.
      prediction: the output key that is compared with `target`.
      target: the batch key that holds the truth.
      metrics: names of metrics in `jaxedit.metrics` or in `own`, and metrics that are made already
        (see `metrics.create`).
      region: the batch key of the mask where figures of a region count, such as `psnr_hole`.
      own: name -> maker, of metrics that only this paper knows.
      groups: ordered group labels; every table has a column group for each and one for `all`.
      group: batch -> one label per sample, each in `groups`, or None for none of them.
      baselines: name -> function from an input batch to an array like `prediction`.
      best: (metric name, "min" or "max"), the figure by which the best checkpoint is kept.
      prepare: batch -> batch that `predict` gets, for example padded; None hands it on as it is.
      finish: (outputs, batch) -> outputs that are measured, for example cut to size.
      picture: arrays like `prediction` -> uint8 (N, H, W, 1 or 3), for the picture grid.
      absent: lines that say which baselines are missing, and how to get them.
    """

    task: str
    prediction: str
    target: str
    metrics: tuple[str | Metric, ...]
    region: str | None = None
    own: Mapping[str, Callable[[Keys], Metric]] = dataclasses.field(default_factory=dict)
    groups: tuple[str, ...] = ()
    group: Callable[[Mapping[str, np.ndarray]], list[str | None]] | None = None
    baselines: Mapping[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = dataclasses.field(
        default_factory=dict
    )
    best: tuple[str, str] = ("psnr", "max")
    prepare: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] | None = None
    finish: Callable[[Mapping, Mapping], Mapping[str, np.ndarray]] | None = None
    picture: Callable[[np.ndarray], np.ndarray] = levels.of_picture
    absent: tuple[str, ...] = ()


class Method(abc.ABC):
    """A paper: networks, losses, data construction and what to do with the result.

    Attributes:
      config: the frozen run configuration.
      axis_name: the name of the mapped batch axis when the step runs under `pmap`, else None.
        Gradients and statistics that must agree across devices go through
        `gradients.synchronise(tree, method.axis_name)`.
    """

    def __init__(self, config: ml_collections.ConfigDict, axis_name: str | None = None):
        self.config = config
        self.axis_name = axis_name

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
        """Returns the outputs of `task`. Pure; evaluation, the command line and apply call it."""

    @property
    @abc.abstractmethod
    def tasks(self) -> dict[str, Task]:
        """Returns the tasks that `predict` knows, by name."""

    @abc.abstractmethod
    def transform(self, *, train: bool) -> Callable[[Record, np.random.Generator], dict]:
        """Returns a picklable callable from (record, NumPy generator) to one sample. Host side."""

    def evaluation(self) -> Evaluation | None:
        """Returns how to measure this method, or None for a stage that is not measured."""
        return None

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns column title -> uint8 images (N, H, W, 3): what a person would look at."""
        del batch, outputs
        return {}


def create(config: ml_collections.ConfigDict, axis_name: str | None = None) -> Method:
    """Returns the method that `config.method` names, and sets `layers` as the configuration says.

    A plain name is a folder of `jaxedit/methods`; a dotted name is a module of the user's own.
    Either way the module `<name>.method` (or the dotted module itself) defines `create`.

    Raises:
      UserError: there is no such method; the message names the nearest known one.
    """
    # Runs of before that key had XLA's convolutions.
    formulation.select(config.get("layers", {}).get("convolution", "xla"))
    name = config.method
    if "." in name:
        return importlib.import_module(name).create(config, axis_name)
    known = known_methods()
    if name not in known:
        raise UserError(
            f"config.method is {name!r}, which is no folder of jaxedit/methods. "
            f"Known methods: {', '.join(known)}.{did_you_mean(name, known)}"
        )
    return importlib.import_module(f"jaxedit.methods.{name}.method").create(config, axis_name)


def known_methods() -> list[str]:
    """Returns the names of the methods that ship with jaxedit."""
    from importlib import resources

    root = resources.files("jaxedit.methods")
    return sorted(p.name for p in root.iterdir() if p.is_dir() and (p / "method.py").is_file())


_MAY_BE_NEW = ("ema", "frozen", "extra")


def find(tree: PyTree, path: str) -> PyTree | None:
    """Returns what a state, or a nested dict, holds at a slash-separated path, None for nothing."""
    node = tree
    for key in filter(None, path.split("/")):
        node = node.get(key) if isinstance(node, Mapping) else getattr(node, key, None)
        if node is None:
            return None
    return node


def put(
    state: State, value: StartingValue, fit: Callable[[StartingValue, PyTree | None], PyTree]
) -> State:
    """Returns `state` with a starting value in its place. Pure.

    What it replaces must have the same keys and shapes, and lends its dtypes. In `ema`, `frozen`
    and `extra` a value may stand where nothing was.

    Raises:
      UserError: it has no place there, or another shape; the message names keys and shapes.
    """
    field, *keys = value.target.split("/")
    fresh = find(state, value.target)
    new = fit(value, fresh)
    if fresh is None:
        if field not in _MAY_BE_NEW or not keys:
            known = _known(state, value.target)
            raise UserError(
                f"The starting value {value.source!r} -> {value.target!r}: the new state has no "
                f"such place. There are: {', '.join(known)}." + did_you_mean(value.target, known)
            )
    else:
        _check_same(new, fresh, value)
        new = jax.tree.map(lambda x, old: jnp.asarray(x, old.dtype), new, fresh)

    def replaced(node: PyTree, keys: Sequence[str]) -> PyTree:
        if not keys:
            return new
        return {**node, keys[0]: replaced(node.get(keys[0], {}), keys[1:])}

    return state.replace(**{field: replaced(getattr(state, field), keys)})


def _known(state: State, path: str) -> list[str]:
    """Returns the paths beside the first step of `path` that leads nowhere."""
    inside, (first, *rest) = "", path.split("/")
    while isinstance(find(state, inside + first), Mapping) and rest:
        inside, (first, *rest) = f"{inside}{first}/", rest
    if not inside:
        return [field.name for field in dataclasses.fields(state)]
    return [inside + key for key in find(state, inside)]


def _check_same(new: PyTree, fresh: PyTree, value: StartingValue) -> None:
    there, here = (
        {jax.tree_util.keystr(key, simple=True, separator="/"): tuple(leaf.shape)
         for key, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (new, fresh)
    )
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            raise UserError(
                f"The starting value {value.source!r} -> {value.target!r} does not fit at "
                f"{key or value.target!r}: shape {there.get(key, 'absent')} there, "
                f"{here.get(key, 'absent')} here."
            )
