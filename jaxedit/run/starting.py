"""What a stage starts from: reads the starting values that its (from, to) pairs name.

`run/stages.py` has the forms that a pair may have; where a value goes, and what follows from it,
is `Method.init`'s.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice, did_you_mean
from jaxedit.method import Method
from jaxedit.run import drawing, sharding
from jaxedit.run.stages import Stage
from jaxedit.state import Artifact, StartingValue, State, among, find, put, read_arrays
from jaxedit.weights import catalogue, convert, manifest, shipped
from jaxedit.weights.entry import Bundle

PyTree = Any


def initial_state(
    method: Method,
    plan: sharding.Plan,
    rng: jax.Array,
    pairs: Iterable[tuple[str, str]] = (),
    earlier: Mapping[str, State] | None = None,
) -> State:
    """Returns the state of a stage before its first step, as the plan's `place_state` takes it.

    Args:
      method: the stage's method, whose own starting values come first.
      plan: where the state will live.
      rng: the key that parameters are drawn with.
      pairs: (from, to) of the stage, see `run/stages.py`.
      earlier: the results of earlier stages, by name.

    Raises:
      PretrainedWeightsMissing: published weights are not here; the message says how to get them.
      UserError: a value cannot be read, has no place in the state, or another shape.
    """
    start = read((*method.starting_values(), *pairs), earlier or {}, method.artifacts)
    spec = method.spec(1)
    function = lambda rng, start: method.init(rng, spec, start)
    if plan.parameters == "fsdp":  # the whole state may not fit any one device
        shardings = plan.state_shardings(jax.eval_shape(function, rng, start))
        state = jax.jit(function, out_shardings=shardings)(rng, start)
    elif jax.default_backend() == "cpu":
        state = drawing.drawn(function, rng, start)
    else:
        state = jax.jit(function)(rng, start)
    # Saved before the loop places the rest: every process must hold the same global arrays.
    frozen = jax.tree.map(sharding.place, state.frozen, plan.state_shardings(state.frozen))
    return state.replace(frozen=frozen)


def frozen_names(
    method: Method, pairs: Iterable[tuple[str, str]], abstract: State
) -> set[str]:
    """Returns the names of the frozen networks that a stage begins with.

    Args:
      method, pairs: as of `initial_state`.
      abstract: the fresh state, without starting values.
    """
    targets = [target.split("/") for _, target in (*method.starting_values(), *pairs)]
    return {*abstract.frozen, *(path[1] for path in targets if path[0] == "frozen" and path[1:])}


def host_state(
    method: Method, pairs: Iterable[tuple[str, str]], earlier: Mapping[str, State]
) -> State:
    """Returns the starting values of a host stage, in a state that holds nothing else.

    Args and errors as of `initial_state`; the arrays are NumPy's.
    """
    every = (*method.starting_values(), *pairs)
    return filled(State(step=np.int32(0)), method, every, earlier)


def filled(
    state: State, method: Method, pairs: Iterable[tuple[str, str]],
    earlier: Mapping[str, State] | None = None,
) -> State:
    """Returns `state` with the values of (from, to) pairs in their places, new ones included.

    Args and errors as of `initial_state`; nothing follows from the values.
    """
    fields = [field.name for field in dataclasses.fields(State)]
    for value in read(pairs, earlier or {}, method.artifacts):
        state = put(state, value, method.fit, may_be_new=fields)
    return state


def read(
    pairs: Iterable[tuple[str, str]],
    earlier: Mapping[str, State],
    artifacts: Mapping[str, Artifact] | None = None,
) -> tuple[StartingValue, ...]:
    """Returns the values that (from, to) pairs name, in main memory.

    Raises:
      PretrainedWeightsMissing: published weights are not here; the message says how to get them.
      UserError: a pair names nothing that is there; the message says what there is.
    """
    return tuple(
        StartingValue(
            jax.tree.map(_host, _read(source, earlier, artifacts or {})), source, target
        )
        for source, target in pairs
    )


def check(
    stage: Stage, pairs: Iterable[tuple[str, str]], earlier: Sequence[Stage], begun: bool
) -> list[str]:
    """Finds what is wrong with (from, to) pairs before the first stage runs, hours ahead.

    Returns the names of weights that are not here.

    Args:
      stage: whose pairs they are.
      pairs: its own and those of its method.
      earlier: the stages before it.
      begun: whether it has results, and so no need of what it started from.

    Raises:
      UserError: a pair names no earlier stage, no file or no field of a state.
    """
    absent = []
    fields = [field.name for field in dataclasses.fields(State)]
    built = [one.name for one in earlier if one.build]
    for source, target in pairs:
        field = target.split("/")[0]
        check_choice(f"Stage {stage.name!r} starts {target!r}: the field", field, fields)
        kind, name, _ = parse(source, [one.name for one in earlier if not one.build])
        if kind == "artifact":
            check_choice(f"Stage {stage.name!r} starts from {source!r}: the host stage",
                         name.partition(":")[0], built)
        elif kind == "weights" and not catalogue.is_here(name) and not begun:
            absent.append(name)
        elif kind == "file" and not pathlib.Path(name).is_file() and not begun:
            raise UserError(f"Stage {stage.name!r} starts from {source!r}: there is no such file.")
    return absent


def described(
    pairs: Iterable[tuple[str, str]], networks: Collection[str], earlier: Collection[str]
) -> str:
    """Returns in words where the weights of each network come from: `painter from stage 'sketch'`.

    Networks that nothing fills are drawn anew, "from nothing"; where that is all of them, it is all
    that is said.

    Args:
      pairs: (from, to), of the method and of the stage.
      networks: the names of those that are trained.
      earlier: the names of the stages before it.
    """
    origins: dict[str, dict[str, None]] = {name: {} for name in networks}
    for source, target in pairs:
        field, _, rest = target.partition("/")
        network, _, part = rest.partition("/")
        origin = _in_words(source, earlier)
        if field == "frozen" and network:
            origins.setdefault(f"{network} (frozen)", {})[origin] = None
        elif field == "params" and network in networks:
            within = f"{origin} ({part})" if part else origin
            origins[network][within] = None
    filled = {name: " and ".join(found) for name, found in origins.items() if found}
    drawn = [name for name, found in origins.items() if not found]
    texts = [f"{name} from {origin}" for name, origin in filled.items()]
    if drawn:
        texts.append(f"{_listed(drawn)} from nothing" if texts else "from nothing")
    return "; ".join(texts)


def _in_words(source: str, earlier: Collection[str]) -> str:
    """Returns what a pair names as its origin, in words."""
    kind, name, _ = parse(source, earlier)
    if kind == "stage":
        return f"stage {name!r}"
    if kind == "artifact":
        return f"what stage {name.partition(':')[0]!r} built"
    if kind == "file":
        return f"the file {name}"
    ours = name in shipped.names()
    return f"{name!r}, which comes with jaxedit" if ours else f"the published weights {name!r}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def as_saved(abstract: State, items: Iterable[str], folder: pathlib.Path) -> dict[str, PyTree]:
    """Returns field -> abstract tree, with what a checkpoint holds beside the fresh state.

    A starting value may stand in `ema` or `extra` where the method itself has nothing; that it is
    there, only the checkpoint knows.

    Args:
      abstract: shapes, dtypes and shardings of the fresh state; what is new gets those of its
        `step`.
      items: the fields wanted.
      folder: the checkpoint, with a folder for each field.
    """

    def merged(here: PyTree, there: PyTree) -> PyTree:
        if here is None:
            sharding = abstract.step.sharding
            return jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), there
            )
        if not isinstance(here, Mapping) or not isinstance(there, Mapping):
            return here
        return {**here, **{key: merged(here.get(key), node) for key, node in there.items()}}

    trees = {name: getattr(abstract, name) for name in items}
    with ocp.StandardCheckpointer() as checkpointer:
        for name in ("ema", "extra"):
            if name in trees and (folder / name).is_dir():
                saved = checkpointer.metadata(folder / name).item_metadata.tree
                trees[name] = merged(trees[name], saved)
    return trees


def parse(source: str, stages: Collection[str]) -> tuple[str, str, str]:
    """Returns (stage | weights | artifact | file, its name, path inside) of where a value is from.

    Raises:
      UserError: it is none of them.
    """
    origin, _, path = source.rpartition(":")
    kind, _, rest = source.partition(":")
    if origin in stages:
        return "stage", origin, path
    if kind == "weights":
        name, _, path = rest.partition(":")
        return kind, name, path
    if kind == "artifact":
        stage, _, rest = rest.partition(":")
        file, _, path = rest.partition(":")
        return kind, f"{stage}:{file}", path
    if origin.endswith(".safetensors"):
        return "file", origin, path
    raise UserError(
        f"The starting value {source!r}: {origin or source!r} is neither an earlier stage "
        f"({', '.join(stages) or 'there is none'}), nor weights:NAME, nor artifact:STAGE:FILE, nor "
        f"a .safetensors file.{did_you_mean(origin, stages)}"
    )


def _read(
    source: str, earlier: Mapping[str, State], artifacts: Mapping[str, Artifact]
) -> PyTree:
    kind, name, path = parse(source, earlier)
    if kind == "stage":
        tree = earlier[name]
    elif kind == "weights":
        # Of a bundle, which may be large, no other network is read.
        bundle = isinstance(manifest.get(name), Bundle)
        tree = convert.load(name, networks=path.split("/")[:1] if bundle and path else None)
    elif kind == "artifact":
        stage, _, file = name.partition(":")
        tree = among(artifacts, stage, source).arrays(file)
    else:
        tree = read_arrays(pathlib.Path(name))
    found = find(tree, path) if path else tree
    if found is None:
        raise UserError(f"The starting value {source!r}: {kind} {name!r} holds no {path!r}.")
    return found


def _host(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        return multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(leaf)
