"""A trained run, or published weights, as a callable on pictures of any size.

Pictures are padded by reflection, as their task says or to a bucket of sizes, so that a folder of
many sizes needs few compilations; nothing is resized. Masks are reflected with their pictures: the
mirror image of a hole is a hole, so what lies under it is never shown to the network.
"""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxedit import bounds
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.data import padding
from jaxedit.errors import UserError
from jaxedit.host import machine
from jaxedit.layers import platforms
from jaxedit.layers.convolution import formulation
from jaxedit.method import Method, State, Task
from jaxedit.run import programs, sharding
from jaxedit.task import Picture

_SMALLER = "Cut out the part that matters, or scale the picture and its mask down."
PyTree = Any
Predict = Callable[[PyTree, Mapping[str, jax.Array], jax.Array], Mapping[str, jax.Array]]


class Applier:
    """One task of a network, on one sample at a time: pictures of any size, numbers, texts.

    Attributes:
      task: what goes in and comes out.
      method: whose task it is; None where it is no `Method` but published weights.
      name: of the task, for messages; "" where `predict` is all there is.
      compilations: (padded height, padded width) of the first picture that goes in, of every
        program compiled so far; None where no picture does.
    """

    def __init__(
        self,
        predict: Predict,
        variables: PyTree,
        task: Task,
        *,
        bucket: int | None = None,
        seed: int = 0,
        convolution: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ):
        """Args:
          predict: pure function of (variables, inputs, rng); inputs and outputs are batches.
          variables: passed to `predict`.
          task: its sizes are kept to, and its inputs are asked for.
          bucket: sides are padded to multiples of this many pixels; 1 pads no more than the
            network needs and compiles once per size. None is 1 where the task has a margin of
            its own, else few sizes of which each is at most half as long again as the last, see
            `padding.COARSE`.
          seed: of the random numbers that `predict` may draw; the same for every picture unless
            it comes with a seed.
          convolution: "auto" or "xla", see `layers.convolution.formulation`; None leaves it to
            `predict`, where it is one of a `Method`.
          say: is told about each compilation that takes long.
        """
        if bucket is not None and bucket < 1:
            raise UserError(f"bucket={bucket}: expected a number of pixels of at least 1.")
        if bucket is None:
            bucket = padding.COARSE if task.margin is None else 1
        self.task = task
        self.method: Method | None = None
        self.name = ""
        self._predict = jax.jit(predict)
        self._device = jax.local_devices()[0]
        self._variables = jax.device_put(variables, self._device)
        self._step = bucket
        self._rng = jax.random.key(seed)
        self._convolution = convolution
        self._say = say
        self._compiled: dict[tuple, Callable] = {}

    @property
    def variables(self) -> PyTree:
        """What `predict` gets: of a `Method` its state, without optimizers."""
        return self._variables

    def beside(self, task: str) -> Applier:
        """Returns another task of the same method as a callable; the networks are held once.

        Raises:
          UserError: the method does not know the task.
        """
        name = self.method.config.method
        options = {"bucket": self._step or None, "say": self._say}
        return _of_method(self.method, self._variables, task, f"These are networks of {name!r},",
                          options)

    @property
    def compilations(self) -> list[tuple[int, int] | None]:
        return [key[0] for key in self._compiled]

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Returns the task's outputs for one sample.

        Args:
          **inputs: the task's inputs; pictures (H, W, C). What has a default may be left out.

        Returns:
          Output name -> array without the axis of samples; padding is cut off again.

        Raises:
          UserError: the network does not take such inputs, or the program would need more memory
            than there is.
        """
        batch, seed = self.task.read(inputs)
        padded, frames = self.task.pad(batch, self._step)
        outputs = self._run(padded, self._rng if seed is None else jax.random.key(seed))
        outputs = {name: np.asarray(outputs[name]) for name in self.task.outputs}
        outputs = self.task.finished(outputs, frames, batch)
        return {name: array[0] for name, array in outputs.items()}

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Returns the padded size of a picture: its bucket."""
        return self.task.padded(height, width, self._step)

    def _run(self, batch: Mapping[str, np.ndarray], rng: jax.Array) -> Mapping[str, np.ndarray]:
        try:
            return jax.device_get(self._program(batch, rng)(self._variables, batch, rng))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UserError(
                "The memory was too small" + _pixels(self._size(batch), " for ") + ". " + _SMALLER
            ) from error

    def _program(self, batch: Mapping[str, np.ndarray], rng: jax.Array) -> Callable:
        """Returns the compiled program for arrays of these shapes, compiling it if it is new."""
        size = self._size(batch)
        key = (size, *((name, a.shape, str(a.dtype)) for name, a in sorted(batch.items())))
        if key not in self._compiled:
            started = time.perf_counter()
            what = "the network" + (f" ({self.name})" if self.name else "")
            what += "" if size is None else f" for {size[1]} x {size[0]} pixels"
            watched = programs.watched(what, self._say)
            with self._convolutions(), platforms.here_alone(), watched as watch:
                compiled, facts = sharding.compile_and_describe(
                    self._predict, self._variables, batch, rng
                )
            self._check_memory(size, facts.get("temporary_bytes", 0))
            seconds = time.perf_counter() - started
            if line := watch.over(seconds, facts["from_cache"]):
                self._say(line)
            self._compiled[key] = compiled
        return self._compiled[key]

    def _size(self, batch: Mapping[str, np.ndarray]) -> tuple[int, int] | None:
        """Returns (height, width) of the first picture of a batch, None where there is none."""
        pictures = [n for n, kind in self.task.inputs.items() if isinstance(kind, Picture)]
        return tuple(batch[pictures[0]].shape[1:3]) if pictures else None

    def _convolutions(self) -> contextlib.AbstractContextManager:
        if self._convolution is None:
            return contextlib.nullcontext()
        return formulation.preferring(self._convolution)

    def _check_memory(self, size: tuple[int, int] | None, needed: int) -> None:
        free = self._free_memory()
        if free is not None and needed > free:
            raise UserError(
                ("A picture" + _pixels(size, " of ") if size else "A sample") + " needs about "
                f"{needed / 2**30:.1f} GiB of memory here and {free / 2**30:.1f} GiB are free. "
                + _SMALLER
            )

    def _free_memory(self) -> int | None:
        if self._device.platform == "cpu":
            return machine.available_memory_bytes()
        statistics = self._device.memory_stats() or {}
        if "bytes_limit" not in statistics:
            return None
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)


def _pixels(size: tuple[int, int] | None, before: str) -> str:
    return "" if size is None else f"{before}{size[1]} x {size[0]} pixels (with padding)"


def from_run(
    run_dir: str | pathlib.Path, task: str, *, step: int | str | None = None,
    stage: str | None = None, trust_code: bool = False, changes: Mapping[str, Any] | None = None,
    **options: Any,
) -> Applier:
    """Returns one task of a trained run as a callable.

    Args:
      run_dir: the run directory.
      task: the task's name, for example "inpaint".
      step: a step, "last" or "best"; None is the last.
      stage: of the run; None is the last that has a checkpoint.
      trust_code: as for `readers.load_run`.
      changes: dotted key -> value, of configuration keys that only say how a task is done, such as
        the steps of a sampler.
      **options: for `Applier`.

    Raises:
      UserError: no such run or checkpoint, or the run's method does not know the task.
    """
    from jaxedit.run import readers

    _, method, state = readers.load_run(pathlib.Path(run_dir), step, stage, trust_code)
    method = _changed(method, changes)
    return _of_method(method, state.replace(opt={}), task, f"{run_dir} is a run of", options)


def from_weights(
    name: str, task: str, *, changes: Mapping[str, Any] | None = None, **options: Any
) -> Applier:
    """Returns one task of a published network as a callable.

    Args:
      name: the weights' name, as `jaxedit weights list` shows it.
      task: the task's name.
      changes: as for `from_run`, of weights that come with the package.
      **options: for `Applier`.

    Raises:
      UserError: unknown or absent weights, or weights of a network that does not do `task`.
    """
    from jaxedit.weights import manifest, shipped

    entry = manifest.get(name)
    if isinstance(entry, shipped.Shipped) and "config" in entry.card:
        config = config_lib.from_json(json.dumps(entry.card["config"]))
        state = State(step=np.zeros((), np.int32)).replace(**shipped.load(entry))
        method = _changed(method_lib.create(config), changes)
        if pairs := shipped.start_of(entry):
            from jaxedit.run import starting

            state = starting.filled(state, method, pairs)
        return _of_method(method, state, task, f"{name} holds", options)
    front_ends = {} if isinstance(entry, shipped.Shipped) else entry.tasks
    if task not in front_ends:
        able = [other.name for other in manifest.entries().values() if task in other.tasks]
        raise UserError(
            f"The weights {name!r} ({entry.what}) are not of a network that can {task}. "
            f"These are: {', '.join(able) or 'none'}. `jaxedit weights list` says what each is for."
        )
    found = front_ends[task](name)
    if isinstance(found[0], Method):
        return _of_method(*found, task, f"{name} holds", options)
    predict, variables, description = found
    return Applier(predict, variables, description, **{"convolution": "auto", **options})


def _changed(method: Method, changes: Mapping[str, Any] | None) -> Method:
    """Returns the method with other values of configuration keys.

    Raises:
      UserError: it has no such key, or a value breaks the key's rule.
    """
    if not changes:
        return method
    config = method.config.copy_and_resolve_references()
    with config.unlocked(), config.ignore_type():
        for key, value in changes.items():
            if not bounds.lookup(config, key)[0]:
                raise UserError(f"The method {config.method!r} has no {key} to be changed.")
            config.update_from_flattened_dict({key: value})
    return method_lib.create(config.lock(), artifacts=method.artifacts)


def _of_method(
    method: Method, state: State, task: str, what: str, options: Mapping[str, Any]
) -> Applier:
    """Returns `task` of a method with the parameters of `state`."""
    if task not in method.tasks:
        known = ", ".join(method.tasks) or "none"
        raise UserError(
            f"{what} {method.config.method!r}, which cannot {task!r}. Its tasks: {known}."
        )
    predict = functools.partial(method.predict, task=task)
    applier = Applier(predict, state, method.tasks[task], **options)
    applier.method, applier.name = method, task
    return applier
