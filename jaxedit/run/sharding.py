"""Devices: process start-up, the mesh, where arrays live, and how a phase is compiled.

Two modes of execution stand behind one small interface (`Plan`): `jit`, one global program over
a mesh (statistics and losses see the whole batch), and `pmap`, one replica of the program per
device (losses see the device's share; gradients are averaged, as PyTorch's DDP does).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxedit.errors import UserError
from jaxedit.host import machine
from jaxedit.host.names import check_choice
from jaxedit.method import Method, State, Sums
from jaxedit.run import programs

AXIS = "data"
SMALL = 2**14  # numbers of a leaf: smaller ones cost more to gather than to keep
PyTree = Any


def start_processes(coordinator: str | None, count: int | None, index: int | None) -> None:
    """Joins a multi-process run; must come before any computation.

    Args:
      coordinator: `host:port` of process 0, or "auto" where the cluster (a TPU pod, SLURM, Open
        MPI) tells JAX, or None for a run of one process.
      count: number of processes; only with an explicit coordinator.
      index: this process's number, from 0; only with an explicit coordinator.
    """
    if coordinator is None:
        if (count, index) != (None, None):
            raise UserError("--processes and --process_index need --coordinator=HOST:PORT.")
        return
    if coordinator == "auto":
        if (count, index) != (None, None):
            raise UserError("--coordinator=auto is told --processes and --process_index by the "
                            "cluster: leave them out, or name HOST:PORT.")
        jax.distributed.initialize()
        return
    if count is None or index is None:
        raise UserError(
            f"--coordinator={coordinator} also needs --processes=N and --process_index=I."
        )
    jax.distributed.initialize(coordinator, count, index)


def make_mesh(devices: list | None = None) -> Mesh:
    """Returns a one-axis mesh over `devices` (default: all devices of all processes)."""
    devices = jax.devices() if devices is None else devices
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


class Plan:
    """Places states and batches and compiles phases, for one mode of execution.

    Attributes:
      axis_name: what `Method.axis_name` must be under this plan.
    """

    axis_name: str | None = None

    def __init__(self, devices: list | None = None, parameters: str = "replicated"):
        check_choice("sharding.parameters", parameters, ("replicated", "fsdp"))
        self.mesh = make_mesh(devices)
        self.parameters = parameters
        self.batch_sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())

    def check_batch(self, size: int, accumulate: int = 1, what: str = "train.batch_size") -> None:
        """Raises UserError unless a batch of `size` divides over devices and micro-batches."""
        devices = self.mesh.devices.size
        parts = devices * accumulate
        if size < 1 or size % parts:
            raise UserError(
                f"{what}={size} does not divide over {devices} devices"
                + (f" times train.accumulate={accumulate}" if accumulate > 1 else "")
                + f": use a multiple of {parts}."
            )

    def state_shardings(self, abstract: PyTree) -> PyTree:
        """Returns a sharding for each leaf of a state, or of its abstract twin."""
        return jax.tree.map(self._leaf_sharding, abstract)

    def _leaf_sharding(self, leaf: Any) -> NamedSharding:
        size = self.mesh.devices.size
        if self.parameters == "replicated" or leaf.size < SMALL or size == 1:
            return self.replicated
        axes = [i for i, n in enumerate(leaf.shape) if n % size == 0]
        if not axes:
            return self.replicated
        largest = max(axes, key=lambda i: leaf.shape[i])
        return NamedSharding(
            self.mesh, PartitionSpec(*[AXIS if i == largest else None for i in range(leaf.ndim)])
        )

    def place_state(self, state: State) -> State:
        """Returns `state` on the devices, in the layout that the compiled phases expect."""
        return jax.tree.map(place, state, self.state_shardings(state))

    def global_state(self, state: State) -> State:
        """Returns the state as plain global arrays, for checkpoints and evaluation."""
        return state

    def place_batch(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Returns this process's share of a batch as global arrays; skips host-only entries."""
        return {
            key: jax.make_array_from_process_local_data(self.batch_sharding, value)
            for key, value in batch.items()
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
        }

    def compile(
        self, method: Method, phase: str, state: State, batch: PyTree, key: jax.Array
    ) -> tuple[Callable, dict[str, float]]:
        """Returns (compiled phase, facts about it).

        The compiled phase maps (state, batch, key, last) to (state, Sums); it donates the state.
        `last`, an int32 scalar, is what `State.step` advances by: 1 after the last phase of a
        step, else 0.

        Args:
          method: whose `update` is compiled.
          phase: the phase; static.
          state, batch, key: examples, already placed.
        """
        function = jax.jit(
            phase_function(method, phase, None),
            donate_argnums=0,
            out_shardings=(jax.tree.map(lambda x: x.sharding, state), self.replicated),
        )
        return compile_and_describe(function, state, batch, key, np.int32(1))


class PmapPlan(Plan):
    """One replica of state and program per device, gradients averaged across them.

    Each replica draws from a key of its own, for its own share of the batch: what is drawn cannot
    but depend on the number of devices. A run that goes on with another number of them is sound,
    but its figures are not those of one that kept it (a small example: 1.7 % after three steps).
    Under `Plan` they are, up to rounding.
    """

    axis_name = AXIS

    def __init__(self, devices: list | None = None, parameters: str = "replicated"):
        super().__init__(devices, parameters)
        if parameters != "replicated":
            raise UserError("sharding.mode='pmap' keeps a replica per device: "
                            "sharding.parameters must be 'replicated'.")
        self.local = [d for d in self.mesh.devices.flat if d.process_index == jax.process_index()]

    def place_state(self, state: State) -> State:
        stacked = jax.tree.map(
            lambda x: np.broadcast_to(np.asarray(x)[None], (len(self.local),) + x.shape), state
        )
        return jax.pmap(lambda x: x, devices=self._devices())(stacked)

    def global_state(self, state: State) -> State:
        def first(x):
            return np.asarray(x.addressable_shards[0].data)[0]

        return jax.tree.map(lambda x: place(first(x), self.replicated), state)

    def place_batch(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(self.local)
        return {
            key: value.reshape((count, value.shape[0] // count) + value.shape[1:])
            for key, value in batch.items()
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
        }

    def compile(
        self, method: Method, phase: str, state: State, batch: PyTree, key: jax.Array
    ) -> tuple[Callable, dict[str, float]]:
        mapped = jax.pmap(
            phase_function(method, phase, AXIS), axis_name=AXIS, in_axes=(0, 0, None, None),
            out_axes=(0, None), donate_argnums=0, devices=self._devices(),
        )
        compiled, facts = compile_and_describe(mapped, state, batch, key, np.int32(1))
        # Compiled ahead, a program of several processes wants global arrays, not their shares.
        return (mapped if jax.process_count() > 1 else compiled), facts

    def _devices(self):
        return None if jax.process_count() > 1 else self.local


class Phases:
    """The phases of a stage, each compiled when it first runs, once.

    Attributes:
      facts: phase -> what compiling it took and what it costs, see `compile_and_describe`.
    """

    def __init__(
        self, plan: Plan, method: Method, say: Callable[[str], None] = lambda line: None,
        size: str = "",
    ):
        """Args:
          plan: where it runs.
          method: whose phases.
          say: is told of each that takes long to be prepared, and what it took.
          size: of the batches, see `programs.size_of`.
        """
        self.facts: dict[str, dict[str, float]] = {}
        self._plan, self._method, self._say, self._size = plan, method, say, size
        self._compiled: dict[str, Callable] = {}

    def compiled(self, phase: str) -> bool:
        """Whether `phase` runs without compiling first."""
        return phase in self._compiled

    def __call__(
        self, phase: str, last: bool, state: State, batch: PyTree, key: jax.Array
    ) -> tuple[State, Sums]:
        """Returns the state after `phase` and its sums; donates the state.

        Args:
          phase: one of those that `Method.phases` names.
          last: whether it is the last of its step, after which `State.step` advances.
          state, batch, key: placed as the plan places them.
        """
        if phase not in self._compiled:
            what = f"the phase {phase!r} of a step{self._size}"
            with programs.watched(what, self._say) as watch:
                self._compiled[phase], facts = self._plan.compile(
                    self._method, phase, state, batch, key
                )
            self.facts[phase] = facts
            seconds, known = facts.get("compile_seconds", 0), facts.get("from_cache", False)
            if line := watch.over(seconds, known):
                self._say(line)
        return self._compiled[phase](state, batch, key, np.int32(last))


def create_plan(config: Any, devices: list | None = None) -> Plan:
    """Returns the plan that `config.sharding` names."""
    plans = {"jit": Plan, "pmap": PmapPlan}
    check_choice("sharding.mode", config.sharding.mode, plans)
    return plans[config.sharding.mode](devices, config.sharding.parameters)


def compile_and_describe(function: Callable, *args: Any) -> tuple[Callable, dict[str, float]]:
    """Returns (compiled function, facts about it).

    They are compile_seconds, tracing included, from_cache, flops, temporary_bytes, argument_bytes.
    """
    started = time.perf_counter()
    compiled, from_cache = programs.compiled(function.lower(*args))
    facts = {"compile_seconds": time.perf_counter() - started, "from_cache": from_cache}
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    if cost and "flops" in cost:
        facts["flops"] = float(cost["flops"])
    memory = compiled.memory_analysis()
    if memory is not None:
        facts["temporary_bytes"] = int(memory.temp_size_in_bytes)
        facts["argument_bytes"] = int(memory.argument_size_in_bytes)
    machine.release_memory()  # which counting has taken too
    return compiled, facts


def local_rows(array: jax.Array) -> np.ndarray:
    """Returns the rows of a batch-sharded array that live on this process, in order."""
    if jax.process_count() == 1:
        return np.asarray(array)
    shards = {s.index[0].start or 0: s.data for s in array.addressable_shards}
    return np.concatenate([np.asarray(shards[start]) for start in sorted(shards)])


def barrier(name: str) -> None:
    """Waits until every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def is_first_process() -> bool:
    """Whether this process writes files and talks to the user."""
    return jax.process_index() == 0


def enable_compilation_cache() -> str | None:
    """Turns the persistent compilation cache on; returns its folder.

    The folder is $JAX_COMPILATION_CACHE_DIR, or `jaxedit/xla` under the user's cache directory.
    JAXEDIT_COMPILATION_CACHE=0 leaves it off.
    """
    if os.environ.get("JAXEDIT_COMPILATION_CACHE", "1") == "0":
        return None
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = os.path.join(root, "jaxedit", "xla")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def phase_function(method: Method, phase: str, axis_name: str | None) -> Callable:
    """Returns the pure function of one phase: update, step count, and sums over devices."""

    def run(state: State, batch: PyTree, key: jax.Array, last: jax.Array):
        rng = jax.random.fold_in(key, state.step)
        if axis_name is not None:
            rng = jax.random.fold_in(rng, jax.lax.axis_index(axis_name))
        new_state, sums = method.update(state, batch, rng, phase=phase)
        sums = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), sums)
        if axis_name is not None:
            sums = jax.lax.psum(sums, axis_name)
        return new_state.replace(step=state.step + last), sums

    return run


def with_shardings(shapes: PyTree, shardings: Callable[[PyTree], PyTree]) -> PyTree:
    """Returns a tree of shapes and dtypes with the shardings that a function gives such a tree."""
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings(shapes)
    )


def place(value: Any, sharding: NamedSharding) -> jax.Array:
    """Returns `value` (the same on every process) as a global array laid out by `sharding`."""
    if isinstance(value, jax.Array) and value.sharding == sharding:
        return value
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return jax.jit(lambda x: x, out_shardings=sharding)(value)
    host = np.asarray(value)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
