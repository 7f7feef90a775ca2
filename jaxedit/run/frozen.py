"""The frozen networks of a stage, `frozen/<stage>` in the run directory: saved once, verified."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxedit.errors import UserError
from jaxedit.host import manifests
from jaxedit.run import damage, sharding, snapshot

PyTree = Any
# From a tree of shapes to the shardings of its leaves, as `Plan.state_shardings`.
Shardings = Callable[[PyTree], PyTree]


def save(run_dir: pathlib.Path, stage: str, frozen: PyTree) -> None:
    """Writes the frozen networks at the fresh start of a stage.

    What is there from a start that came to nothing is replaced: it may have been of another
    configuration.
    """
    folder = _folder(run_dir, stage)
    if not jax.tree.leaves(frozen):
        if sharding.is_first_process():
            shutil.rmtree(folder, ignore_errors=True)
        return
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, snapshot.take(frozen), force=True)
    if sharding.is_first_process():
        manifests.seal(folder)
    sharding.barrier(f"frozen_{stage}")


def load(
    run_dir: pathlib.Path, stage: str, shardings: Shardings | None = None,
    names: Iterable[str] = (),
) -> PyTree:
    """Returns the frozen networks of a stage, or {} if there are none.

    Each array is read straight to its place: all of one that is split may fit no device.

    Args:
      run_dir: the run directory.
      stage: the stage's name.
      shardings: of the arrays, whatever they were when they were saved; by default the arrays are
        replicated over all devices.
      names: of networks that must be among them.

    Raises:
      UserError: they are damaged or missing, or cannot be read just now.
    """
    folder = _folder(run_dir, stage)
    try:
        wanted = shardings or sharding.Plan().state_shardings
        return damage.retry(lambda: _read(folder, wanted, names))
    except Exception as error:
        if damage.is_passing(error):
            raise damage.cannot_read_now(folder, damage.first_line(error)) from error
        raise UserError(
            f"The frozen networks of stage {stage!r} in {folder} are damaged "
            f"({damage.first_line(error)}). Put that folder back from a copy. Without a copy, "
            "train in a new --workdir; the checkpoints of this run need these networks."
        ) from error


@jax.tree_util.register_pytree_with_keys_class
class Incomplete(dict):
    """Frozen networks of which some are not there: whoever asks for one of those is told so.

    A task that does without them works as ever.
    """

    def __init__(self, networks: Mapping[str, PyTree], reason: str):
        super().__init__(networks)
        self.reason = reason

    def __missing__(self, name: str) -> PyTree:
        raise UserError(f"The frozen network {name!r} is needed, and {self.reason}")

    def tree_flatten_with_keys(self) -> tuple[list, tuple]:
        names = sorted(self)
        return [(jax.tree_util.DictKey(n), self[n]) for n in names], (tuple(names), self.reason)

    @classmethod
    def tree_unflatten(cls, facts: tuple, networks: Iterable[PyTree]) -> Incomplete:
        names, reason = facts
        return cls(dict(zip(names, networks, strict=True)), reason)


def load_for_reading(
    run_dir: pathlib.Path, stage: str, shardings: Shardings, names: Iterable[str]
) -> PyTree:
    """Returns the frozen networks of a stage; `Incomplete` where some of `names` are not there.

    Args and errors as of `load`.
    """
    networks = load(run_dir, stage, shardings)
    if not set(names) - networks.keys():
        return networks
    return Incomplete(networks, (
        f"stage {stage!r} has no folder {_folder(run_dir, stage)} any more. Put that folder back "
        "from a copy of the run (`frozen/` belongs to it); without a copy, train in a new "
        "--workdir."
    ))


def _folder(run_dir: pathlib.Path, stage: str) -> pathlib.Path:
    return run_dir.resolve() / "frozen" / stage


def _read(folder: pathlib.Path, shardings: Shardings, names: Iterable[str]) -> PyTree:
    if not folder.exists():
        if lacking := sorted(names):
            raise damage.Damaged(f"there is no such folder; it held {', '.join(lacking)}")
        return {}
    found = manifests.damages(folder)
    if found:
        raise damage.Damaged(found[0])
    # Runs of before manifests have none in their checkpoints either.
    checkpoints = folder.parents[1] / "checkpoints" / folder.name
    if not manifests.is_sealed(folder) and any(checkpoints.glob(f"*/{manifests.NAME}")):
        raise damage.Damaged(f"{manifests.NAME} is missing, by which its files are verified")
    with ocp.StandardCheckpointer() as checkpointer:
        # What is written beside the arrays of the devices they were on may not exist here.
        facts = checkpointer.metadata(folder).item_metadata.tree
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), facts)
        return checkpointer.restore(folder, sharding.with_shardings(shapes, shardings))
