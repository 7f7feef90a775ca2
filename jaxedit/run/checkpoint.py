"""Checkpoints with Orbax: asynchronous, items kept apart, best and last kept, broken ones skipped.

Layout under a run directory: `checkpoints/<stage>/<step>/{params,stats,opt,ema,extra,meta}` and,
once per stage, `frozen/<stage>`. `meta` is JSON: the position in the data, the sums since the last
log line, and what is needed to write the same metrics file after a resume.
"""

from __future__ import annotations

import copy
import errno
import json
import logging
import pathlib
import shutil
import sys
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.method import Method, State
from jaxedit.run import sharding, snapshot

ITEMS = ("params", "stats", "opt", "ema", "extra")
PyTree = Any

# Orbax reports every save and scan at INFO and WARNING through absl: noise beside our own lines.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpointer:
    """Saves and restores the state of one stage of a run."""

    def __init__(
        self,
        run_dir: pathlib.Path,
        stage: str,
        keep_last: int = 2,
        keep_best: int = 1,
        best: tuple[str, str] = ("psnr", "max"),
        read_only: bool = False,
    ):
        self.run_dir = run_dir.resolve()
        self.stage = stage
        self.folder = self.run_dir / "checkpoints" / stage
        metric, direction = best
        policies = checkpoint_managers.AnyPreservationPolicy([
            checkpoint_managers.LatestN(max(1, keep_last)),
            checkpoint_managers.BestN(
                get_metric_fn=lambda metrics: metrics[metric],
                # Orbax keeps the last in this order: ascending keeps the largest.
                reverse=direction == "min",
                n=keep_best,
                keep_checkpoints_without_metrics=False,
            ),
        ])
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=policies if keep_best else checkpoint_managers.LatestN(keep_last),
            best_fn=lambda metrics: metrics[metric],  # without it Orbax writes no metrics
            best_mode=direction,
            enable_async_checkpointing=True,
            # A reader beside a running run must leave its half-written checkpoint alone.
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(self.folder, options=self._options)

    def save(self, state: State, meta: dict[str, Any], metrics: dict[str, float] | None) -> None:
        """Starts saving `state` (without `frozen`) as its own step; returns before it is on disk.

        Args:
          state: global arrays.
          meta: JSON-able facts to restore beside the state.
          metrics: figures by which the best checkpoint is chosen, or None.

        Raises:
          UserError: the disk is, or would be, full.
        """
        step = int(state.step)
        if self._manager.latest_step() == step:
            return
        items = {name: getattr(state, name) for name in ITEMS}
        items = {name: tree for name, tree in items.items() if jax.tree.leaves(tree)}
        self._check_space(items)
        items = snapshot.take(items)
        arguments = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        arguments["meta"] = ocp.args.JsonSave(copy.deepcopy({**meta, "step": step}))
        try:
            self._manager.save(step, args=ocp.args.Composite(**arguments), metrics=metrics)
        except OSError as error:
            raise self._disk_error(error) from error

    def restore(self, abstract: State) -> tuple[State, dict[str, Any]] | None:
        """Returns (state, meta) of the newest readable checkpoint, or None if there is none.

        A checkpoint that cannot be read is moved to `broken_checkpoints/` and named on stderr,
        and the one before it is tried.

        Args:
          abstract: shapes, dtypes and shardings to restore into; `frozen` is left as it is.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self.restore_step(step, abstract)
            except Exception as error:  # Orbax and TensorStore raise many kinds.
                self._set_aside(step, error)
        return None

    def restore_step(
        self, step: int, abstract: State, items: tuple[str, ...] = ITEMS
    ) -> tuple[State, dict[str, Any]]:
        """Returns (state, meta) of checkpoint `step`, reading only `items` of it."""
        trees = {name: getattr(abstract, name) for name in items}
        arguments = {
            name: ocp.args.StandardRestore(tree)
            for name, tree in trees.items()
            if jax.tree.leaves(tree)
        }
        arguments["meta"] = ocp.args.JsonRestore()
        restored = self._manager.restore(step, args=ocp.args.Composite(**arguments))
        found = {name: restored[name] for name in arguments if name != "meta"}
        counter = jnp.asarray(step, jnp.int32)
        if isinstance(getattr(abstract.step, "sharding", None), jax.sharding.NamedSharding):
            counter = sharding.place(counter, abstract.step.sharding)
        return abstract.replace(step=counter, **found), restored["meta"]

    def steps(self) -> list[int]:
        """Returns the steps on disk, ascending."""
        return sorted(self._manager.all_steps())

    def best_step(self) -> int | None:
        """Returns the step with the best metric, or None if none was measured."""
        return self._manager.best_step()

    def wait(self) -> None:
        """Returns when every started save is on disk.

        Raises:
          UserError: a save failed because the disk is full.
        """
        try:
            self._manager.wait_until_finished()
        except OSError as error:
            raise self._disk_error(error) from error
        except Exception as error:
            if "No space left" in str(error) or "ENOSPC" in str(error):
                raise self._disk_error(error) from error
            raise

    def close(self) -> None:
        """Waits for saves under way and lets go of the folder."""
        self.wait()
        self._manager.close()

    def _check_space(self, items: PyTree) -> None:
        needed = sum(x.nbytes for x in jax.tree.leaves(items)) * 5 // 4 + 2**20
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise UserError(
                f"No space left for a checkpoint in {self.folder}: it needs about "
                f"{needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free. The checkpoints "
                "already there are untouched. Free some space, or lower checkpoint.keep_last, "
                "and start the same command again to resume."
            )

    def _disk_error(self, error: Exception) -> Exception:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT, None):
            return error
        return UserError(
            f"Could not write a checkpoint to {self.folder}: {error}. Free some space and start "
            "the same command again; it resumes from the last complete checkpoint."
        )

    def _set_aside(self, step: int, error: Exception) -> None:
        target = self.run_dir / "broken_checkpoints" / f"{self.stage}-{step}"
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        if sharding.is_first_process():
            print(
                f"Checkpoint {self.folder / str(step)} cannot be read ({reason}). It is moved to "
                f"{target}; trying the one before it.",
                file=sys.stderr,
                flush=True,
            )
        sharding.barrier(f"before_set_aside_{step}")
        self._manager.close()
        if sharding.is_first_process():
            target.parent.mkdir(exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            (self.folder / str(step)).rename(target)
        sharding.barrier(f"after_set_aside_{step}")
        self._manager = self._open()


def save_frozen(run_dir: pathlib.Path, stage: str, frozen: PyTree) -> None:
    """Writes the frozen networks of a stage, once; does nothing if they are there or none are."""
    folder = run_dir.resolve() / "frozen" / stage
    if not jax.tree.leaves(frozen) or folder.exists():
        return
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, snapshot.take(frozen))


def load_frozen(run_dir: pathlib.Path, stage: str) -> PyTree:
    """Returns the frozen networks that `save_frozen` wrote, or {} if there are none."""
    folder = run_dir.resolve() / "frozen" / stage
    if not folder.exists():
        return {}
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder)


def read_run_config(run_dir: pathlib.Path) -> config_lib.ConfigDict:
    """Returns the configuration that a run directory was started with.

    Raises:
      UserError: this is no run directory, or its config.json cannot be read.
    """
    path = pathlib.Path(run_dir) / "config.json"
    if not path.is_file():
        raise UserError(
            f"{run_dir} is no run directory: it holds no config.json. Train one with "
            "`python -m jaxedit.main --config=configs/scat.py --workdir=DIRECTORY`."
        )
    try:
        return config_lib.from_json(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path} cannot be read: {error}.") from error


def load_run(
    run_dir: pathlib.Path | str, step: int | str | None = None, stage: str | None = None
) -> tuple[config_lib.ConfigDict, Method, State]:
    """Returns (stage configuration, method, state) of a run, for inference.

    Optimizer states are not read.

    Args:
      run_dir: the run directory.
      step: a step, "last", "best", or None for the last one.
      stage: the name of a stage; None is the last one that was started.

    Raises:
      UserError: no run, no checkpoint, or no such step or stage.
    """
    from jaxedit.run import stages

    run_dir = pathlib.Path(run_dir)
    config = read_run_config(run_dir)
    started = [s for s in stages.read(config) if (run_dir / "checkpoints" / s.name).is_dir()]
    if not started:
        raise UserError(f"{run_dir} holds no checkpoint yet: let it train to its first one.")
    names = [s.name for s in started]
    if stage is not None and stage not in names:
        raise UserError(
            f"{run_dir} holds no checkpoint of a stage {stage!r}; it has {', '.join(names)}."
        )
    stage = started[-1 if stage is None else names.index(stage)]
    method = method_lib.create(stage.config)
    plan = sharding.Plan()
    abstract = abstract_state(method, plan)
    evaluation = method.evaluation()
    checkpointer = Checkpointer(
        run_dir, stage.name, stage.config.checkpoint.keep_last, stage.config.checkpoint.keep_best,
        **({"best": evaluation.best} if evaluation else {}), read_only=True,
    )
    steps = checkpointer.steps()
    wanted = _choose_step(step, steps, checkpointer, run_dir)
    state, _ = checkpointer.restore_step(wanted, abstract, ("params", "stats", "ema", "extra"))
    checkpointer.close()
    frozen = load_frozen(run_dir, stage.name)
    return stage.config, method, plan.place_state(state.replace(opt={}, frozen=frozen))


def abstract_state(method: Method, plan: sharding.Plan) -> State:
    """Returns the shapes, dtypes and shardings of a method's state, without computing it."""
    spec = method.spec(1)
    abstract = jax.eval_shape(lambda rng: method.init(rng, spec), jax.random.key(0))
    shardings = plan.state_shardings(abstract)
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings
    )


def _choose_step(
    step: int | str | None, steps: list[int], checkpointer: Checkpointer, run_dir: pathlib.Path
) -> int:
    if not steps:
        raise UserError(f"{run_dir} holds no complete checkpoint.")
    if step in (None, "last"):
        return steps[-1]
    if step == "best":
        best = checkpointer.best_step()
        if best is None:
            raise UserError(f"{run_dir} holds no measured checkpoint: use --step=last or a number.")
        return best
    try:
        wanted = int(step)
    except ValueError:
        raise UserError(f"--step={step}: expected a number, 'last' or 'best'.") from None
    if wanted not in steps:
        raise UserError(
            f"{run_dir} holds no checkpoint of step {wanted}. There are: "
            f"{', '.join(map(str, steps))}."
        )
    return wanted
