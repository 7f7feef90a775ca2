"""Checkpoints with Orbax: asynchronous, items kept apart, best and last kept, damaged ones skipped.

Layout under a run directory: `checkpoints/<stage>/<step>/{params,stats,opt,ema,extra,meta}`. `meta`
is JSON: the position in the data, the sums since the last log line, and what is needed to write the
same metrics file after a resume. `manifest.json` beside them keeps the digest of every file; it is
part of the checkpoint before Orbax commits it.

Only damage makes a checkpoint be passed over, and only a training run that has found a good one
sets the damaged ones aside.
"""

from __future__ import annotations

import copy
import logging
import pathlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxedit import config as config_lib
from jaxedit.errors import NonFiniteLoss, UserError
from jaxedit.host import manifests, names
from jaxedit.layers.convolution import formulation
from jaxedit.method import Method, State
from jaxedit.run import best as best_lib
from jaxedit.run import damage, disk, sharding, snapshot, starting, verdicts
from jaxedit.run.stages import Stage

ITEMS = ("params", "stats", "opt", "ema", "extra")
# What must be finite before a checkpoint counts as good.
_FINITE = ("params", "ema")
# Stands in `meta` of a checkpoint that has a manifest; those of before manifests lack both.
_SEALED = "sealed"
# Written by Orbax after the manifest.
_AFTERWARDS = ("_CHECKPOINT_METADATA", "commit_success.txt")
# Of the configurations met last: what tells a method's shapes -> the shapes.
_SHAPES: dict[tuple[type, str, str], State] = {}
PyTree = Any

# Orbax reports every save and scan at INFO and WARNING through absl: noise beside our own lines.
logging.getLogger("absl").setLevel(logging.ERROR)
# Its errors come as exceptions too; logged, they would be tracebacks ahead of our one message.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)


class Checkpointer:
    """Saves and restores the state of one stage of a run."""

    def __init__(
        self,
        run_dir: pathlib.Path,
        stage: str,
        keep_last: int = 2,
        keep_best: int = 1,
        best: tuple[str, str] | None = None,
        read_only: bool = False,
    ):
        self.run_dir, self.stage = run_dir.resolve(), stage
        self.folder = self.run_dir / "checkpoints" / stage
        self._best, self._by_figures = best, bool(best and keep_best)
        self._saving: int | None = None
        self._options = ocp.CheckpointManagerOptions(
            **best_lib.options(best, keep_last, keep_best),
            enable_async_checkpointing=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
            # A reader beside a running run must leave its half-written checkpoint alone.
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        self._manager = self._open()

    def _open(self) -> best_lib.Manager:
        return best_lib.Manager(self.folder, self._options)

    def save(
        self, state: State, meta: dict[str, Any], metrics: Mapping[str, float] | None,
        replace: bool = False,
    ) -> None:
        """Starts saving `state` (without `frozen`) as its own step; returns before it is on disk.

        Args:
          state: global arrays.
          meta: JSON-able facts to restore beside the state.
          metrics: figures by which the best checkpoint is chosen, or None. Without a finite figure
            of the right name the checkpoint counts as not measured.
          replace: write this step anew if it is there; the only checkpoint just gets its figures.

        Raises:
          UserError: the disk is, or would be, full.
          NonFiniteLoss: a parameter or an average is NaN or infinite.
        """
        step = int(state.step)
        figures = best_lib.measured(self._best, metrics)
        if self._manager.latest_step() == step and not (replace and len(self.steps()) > 1):
            if replace and figures:
                self.wait()
                self._manager.attach(step, figures)
            return
        items = {name: getattr(state, name) for name in ITEMS}
        items = {name: tree for name, tree in items.items() if jax.tree.leaves(tree)}
        disk.check_space(self.folder, items)
        items = snapshot.take(items)
        self._check_finite(step, items)
        arguments = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        # Deep: Orbax turns it into text later, when the loop has gone on.
        arguments["meta"] = ocp.args.JsonSave(copy.deepcopy(
            {**meta, "step": step, _SEALED: True}
        ))
        self.wait()
        self._saving = step
        try:
            if step in self.steps():
                self._manager.delete(step)
            self._manager.save(step, args=ocp.args.Composite(**arguments), metrics=figures)
        except Exception as error:
            raise disk.explained(self.folder, error) from error

    def restore(self, abstract: State) -> tuple[State, dict[str, Any]] | None:
        """Returns (state, meta) of the newest readable checkpoint, or None if there is none.

        Damaged checkpoints that are newer are named on stderr and moved to `broken_checkpoints/`,
        once a good one is found, and so are older ones whose figures are damaged: one of them may
        be the best, which the next save would delete. Several processes agree on it.

        Args:
          abstract: shapes, dtypes and shardings to restore into; `frozen` is left as it is.

        Raises:
          UserError: there are checkpoints and none is good, or reading fails for another reason
            than damage. Nothing was moved.
        """
        found, damaged = self.newest(abstract)
        for step in damaged:
            self.tell(step, damaged[step], f"It is moved to {self._aside(step)}")
        doubtful = self._doubtful_before(int(found[0].step)) if found else []
        if damaged or doubtful:
            self._set_aside([*damaged, *doubtful])
        return found

    def newest(
        self, abstract: State, items: tuple[str, ...] = ITEMS
    ) -> tuple[tuple[State, dict[str, Any]] | None, dict[int, str]]:
        """Returns ((state, meta) of the newest good checkpoint or None, damaged step -> reason).

        Moves nothing.

        Raises:
          UserError: as `restore`.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            found, reason = self._examine(step, abstract, items)
            if found is not None:
                return found, damaged
            damaged[step] = reason
        if damaged:
            reasons = "; ".join(f"step {step}: {reason}" for step, reason in damaged.items())
            raise UserError(
                f"None of the checkpoints in {self.folder} can be read ({reasons}). Nothing was "
                "moved, and the run does not start over by itself. Put them back from a copy, or "
                "move that folder and metrics.jsonl away to train the stage from its beginning."
            )
        return None, damaged

    def restore_step(
        self, step: int, abstract: State, items: tuple[str, ...] = ITEMS
    ) -> tuple[State, dict[str, Any]]:
        """Returns (state, meta) of checkpoint `step`, reading only `items` of it.

        Raises:
          UserError: it is damaged, or cannot be read just now.
        """
        found, reason = self._examine(step, abstract, items)
        if found is None:
            others = ", ".join(str(other) for other in self.steps() if other != step)
            raise UserError(
                f"Checkpoint {self.folder / str(step)} cannot be read ({reason}). "
                + (f"There are others, of step {others}." if others else "There is no other.")
            )
        return found

    def steps(self) -> list[int]:
        """Returns the steps on disk, ascending."""
        return sorted(self._manager.all_steps())

    @property
    def doubtful(self) -> Mapping[int, str]:
        """Step -> in which way its figures are damaged."""
        return self._manager.doubtful

    def reload(self) -> None:
        """Looks again which checkpoints are on disk."""
        self._manager.reload()

    def best_step(self) -> int | None:
        """Returns the step with the best metric, or None if none was measured.

        Raises:
          UserError: the figures of one are damaged, which may be the best.
        """
        if doubtful := self.doubtful:
            reasons = "; ".join(f"step {step}: {doubtful[step]}" for step in sorted(doubtful))
            raise UserError(
                f"Which checkpoint in {self.folder} is the best cannot be told: figures are "
                f"damaged ({reasons}). Nothing was moved. Put them back from a copy, or name a "
                f"step; there are {', '.join(map(str, self.steps()))}."
            )
        return self._manager.best_step()

    def wait(self) -> None:
        """Returns when every started save is on disk.

        Raises:
          UserError: a save failed because the disk is full.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise disk.explained(self.folder, error) from error

    def close(self) -> None:
        """Waits for saves under way and lets go of the folder."""
        self.wait()
        self._manager.close()

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes, after an error too: what was being saved gets finished.

        After a second Ctrl-C nothing is waited for, and may have been broken off.
        """
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            self.close()

    def _check_finite(self, step: int, items: Mapping[str, PyTree]) -> None:
        where = snapshot.first_not_finite({name: items.get(name, {}) for name in _FINITE})
        if verdicts.worst(verdicts.GOOD if where is None else verdicts.DAMAGED) != verdicts.GOOD:
            raise NonFiniteLoss(
                f"Step {step}: {where or 'a parameter'} is NaN or infinite. Training stopped; the "
                "last good checkpoint is kept. Lower the learning rate, look at the input data, or "
                "resume with precision.compute='float32' in a new --workdir."
            )

    def _seal(self) -> None:
        """Writes the manifest; Orbax calls it when all is written, before it commits the folder."""
        if not sharding.is_first_process() or self._saving is None:
            return
        unfinished = sorted(self.folder.glob(f"{self._saving}.*tmp*"))
        for folder in unfinished or [self.folder / str(self._saving)]:
            manifests.seal(folder, without=_AFTERWARDS)

    def _examine(
        self, step: int, abstract: State, items: tuple[str, ...]
    ) -> tuple[tuple[State, dict[str, Any]] | None, str]:
        """Returns (what is in a checkpoint, "") or (None, in which way it is damaged).

        Raises:
          UserError: it cannot be read for another reason.
        """
        folder = self.folder / str(step)
        verdict, found, reason = verdicts.attempt(
            folder, lambda: self._read(step, abstract, items)
        )
        if verdict == verdicts.GOOD:
            return found, ""
        if verdict == verdicts.DAMAGED:
            return None, reason
        if verdict == verdicts.PASSING:
            raise damage.cannot_read_now(folder, reason)
        raise UserError(
            f"Checkpoint {folder} is whole, but does not fit this configuration and version "
            f"({reason}). Nothing was moved. Use the version of the code that wrote it (see "
            "versions.json), or choose another --workdir."
        )

    def _read(
        self, step: int, abstract: State, items: tuple[str, ...]
    ) -> tuple[State, dict[str, Any]]:
        trees = starting.as_saved(abstract, items, self.folder / str(step))
        arguments = {
            name: ocp.args.StandardRestore(t) for name, t in trees.items() if jax.tree.leaves(t)
        }
        arguments["meta"] = ocp.args.JsonRestore()
        restored = self._manager.restore(step, args=ocp.args.Composite(**arguments))
        found = {name: restored[name] for name in arguments if name != "meta"}
        if where := snapshot.first_not_finite({name: found.get(name, {}) for name in _FINITE}):
            raise damage.Damaged(f"{where} is NaN or infinite")
        if restored["meta"].get(_SEALED) and not manifests.is_sealed(self.folder / str(step)):
            raise damage.Damaged(f"{manifests.NAME} is missing")
        counter = jnp.asarray(step, jnp.int32)
        if isinstance(getattr(abstract.step, "sharding", None), jax.sharding.NamedSharding):
            counter = sharding.place(counter, abstract.step.sharding)
        return abstract.replace(step=counter, **found), restored["meta"]

    def _aside(self, step: int) -> pathlib.Path:
        folder = self.run_dir / "broken_checkpoints"
        return names.first_free(
            lambda n: folder / (f"{self.stage}-{step}" + (f".{n}" if n > 1 else ""))
        )

    def tell(self, step: int, reason: str, what: str) -> None:
        """Says on stderr that a checkpoint is damaged, and what becomes of it."""
        _say(
            f"Checkpoint {self.folder / str(step)} cannot be read ({reason}). {what}; trying the "
            "one before it."
        )

    def _doubtful_before(self, last: int) -> list[int]:
        """Returns, telling of each, steps below `last` whose figures any process finds damaged."""
        found = []
        for step in (one for one in self.steps() if one < last and self._by_figures):
            reason = self.doubtful.get(step)
            if verdicts.worst(verdicts.DAMAGED if reason else verdicts.GOOD) != verdicts.GOOD:
                found.append(step)
                _say(
                    f"Checkpoint {self.folder / str(step)} has damaged figures "
                    f"({reason or 'as another process says'}), so that it may or may not be the "
                    f"best one. It is moved to {self._aside(step)}."
                )
        return found

    def _set_aside(self, steps: Iterable[int]) -> None:
        sharding.barrier("before_set_aside")
        self._manager.close()
        if sharding.is_first_process():
            for step in steps:
                target = self._aside(step)
                target.parent.mkdir(exist_ok=True)
                (self.folder / str(step)).rename(target)
        sharding.barrier("after_set_aside")
        self._manager = self._open()


def _say(line: str) -> None:
    if sharding.is_first_process():
        print(line, file=sys.stderr, flush=True)


def of_stage(
    run_dir: pathlib.Path, stage: Stage, method: Method, read_only: bool = False
) -> Checkpointer:
    """Returns the checkpoints of a stage, kept as its configuration says."""
    keep = stage.config.checkpoint
    return Checkpointer(
        run_dir, stage.name, keep.keep_last, keep.keep_best, method.best, read_only
    )


def read_run_config(run_dir: pathlib.Path) -> config_lib.ConfigDict:
    """Returns the configuration that a run directory was started with.

    Raises:
      UserError: this is no run directory, or its config.json cannot be read.
    """
    path = pathlib.Path(run_dir) / "config.json"
    if not path.is_file():
        raise UserError(
            f"{run_dir} is no run directory: it holds no config.json. Train one with "
            "`python -m jaxedit.main --config=configs/FILE.py --workdir=DIRECTORY`."
        )
    try:
        config = config_lib.from_json(path.read_text(encoding="utf-8"))
        lacking = [key for key in ("method", "stages", "train", "data") if key not in config]
        if lacking:
            raise ValueError(f"it has no {', '.join(lacking)}")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read as the configuration of a run: {damage.first_line(error)}. Put "
            "it back from a copy, or choose another --workdir."
        ) from error
    return config


def has_checkpoint(folder: pathlib.Path) -> bool:
    """Whether a stage's folder of checkpoints holds one."""
    return folder.is_dir() and bool(ocp.utils.checkpoint_steps(folder))


def abstract_state(method: Method, plan: sharding.Plan) -> State:
    """Returns the shapes, dtypes and shardings of a method's state, without computing it.

    Shapes are traced once for a configuration: who applies one run again and again pays once.
    """
    made = {name: (str(one.folder), repr(one.facts)) for name, one in method.artifacts.items()}
    key = (type(method), config_lib.to_json(method.config), repr(sorted(made.items())))
    if key not in _SHAPES:
        while len(_SHAPES) >= 16:
            _SHAPES.pop(next(iter(_SHAPES)), None)
        spec = method.spec(1)
        with formulation.using("xla"):  # the shapes are the same, and sooner known
            _SHAPES[key] = jax.eval_shape(lambda rng: method.init(rng, spec), jax.random.key(0))
    return sharding.with_shardings(_SHAPES[key], plan.state_shardings)
