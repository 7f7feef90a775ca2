"""Evaluation: predict over a source, stream the metrics, compare with baselines, write the table.

Every system (the model and each baseline) sees the same inputs, drawn from the same seed. Figures
are kept per group (for inpainting: the hole-ratio bin) and for all samples. With several
processes each one measures its share; the states of the metrics are merged at the end.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxedit import config as config_lib
from jaxedit import metrics
from jaxedit.data import pipeline, sources
from jaxedit.errors import UserError
from jaxedit.method import Method, State
from jaxedit.report import pictures
from jaxedit.run import sharding

ALL = "all"
MODEL = "model"


@dataclasses.dataclass
class Result:
    """What an evaluation found.

    Attributes:
      table: system -> group -> metric -> value; None where a figure cannot be had.
      counts: group -> number of samples.
      metrics: metric names, in order.
      higher_is_better: metric -> direction.
      absent: lines that say which metrics are missing, and how to get them.
      notes: what a reader of a figure must know, or why a figure is missing.
      source: what was measured on.
      grids: name -> uint8 (H, W, 3) picture.
    """

    table: dict[str, dict[str, dict[str, float | None]]]
    counts: dict[str, int]
    metrics: list[str]
    higher_is_better: dict[str, bool]
    absent: list[str]
    notes: list[str]
    source: str
    grids: dict[str, np.ndarray]

    def scalars(self) -> dict[str, float]:
        """Returns the model's figures over all samples, and per group as `metric/group`."""
        values = {}
        for group, row in self.table[MODEL].items():
            for name, value in row.items():
                if value is not None:
                    values[name if group == ALL else f"{name}/{group}"] = value
        return values

    def to_json(self, step: int) -> dict[str, Any]:
        """Returns the content of evaluation.json."""
        return {
            "source": self.source,
            "step": step,
            "count": self.counts[ALL],
            "groups": list(self.counts),
            "counts": self.counts,
            "systems": list(self.table),
            "metrics": self.metrics,
            "higher_is_better": self.higher_is_better,
            "table": self.table,
            "absent": self.absent,
            "notes": self.notes,
        }


class Evaluator:
    """Measures states of one method; opened once, so that `predict` is compiled once."""

    def __init__(
        self, method: Method, config: config_lib.ConfigDict, mesh: jax.sharding.Mesh | None = None
    ):
        wanted = method.evaluation()
        if wanted is None:
            raise UserError(f"Method {config.method!r} defines no evaluation for this stage.")
        self.method = method
        self.config = config
        self.wanted = wanted
        devices = jax.devices() if mesh is None else list(mesh.devices.flat)
        # One picture at a time, each of its own size, needs no more than one device.
        self.alone = config.evaluate.batch_size == 1 < len(devices) and jax.process_count() == 1
        self.plan = sharding.Plan(devices[:1] if self.alone else devices)
        self.plan.check_batch(config.evaluate.batch_size, what="evaluate.batch_size")
        name, split = evaluation_source(config)
        self.source_name = name
        self.source = sources.create(name, split)
        self.transform = method.transform(train=False)
        self.metrics, absent = metrics.create(
            wanted.metrics, metrics.Keys(wanted.prediction, wanted.target, wanted.region),
            own=wanted.own,
        )
        self.absent = [*absent, *wanted.absent]
        task = wanted.task
        self._predict = jax.jit(
            lambda state, inputs, rng: method.predict(state, inputs, rng, task=task),
            out_shardings=self.plan.batch_sharding,
        )

    def run(
        self,
        state: State,
        limit: int = 0,
        baselines: bool = False,
        others: Mapping[str, State] | None = None,
    ) -> Result:
        """Returns the figures of `state`.

        Args:
          state: global arrays; optimizer states are not looked at.
          limit: at most this many samples; 0 is all of them.
          baselines: measure the method's baselines too.
          others: name -> another state of the same networks, measured beside it.
        """
        states = {MODEL: state.replace(opt={})}
        states |= {name: other.replace(opt={}) for name, other in (others or {}).items()}
        if self.alone:
            states = {name: self.plan.place_state(one) for name, one in states.items()}
        systems = [*states, *(self.wanted.baselines if baselines else ())]
        groups = [*self.wanted.groups, ALL]
        table = {s: {g: [m.new() for m in self.metrics] for g in groups} for s in systems}
        counts = np.zeros(len(groups), np.int64)
        grids: list[dict[str, np.ndarray]] = []
        key = jax.random.key(self.config.evaluate.seed)

        for index, batch in enumerate(self._batches(limit)):
            valid = np.asarray(batch.pop("valid"), bool)
            outputs = self._outputs(states, batch, jax.random.fold_in(key, index), valid)
            batch = {k: _rows(v, valid) for k, v in batch.items()}
            labels = self.wanted.group(batch) if self.wanted.group else [None] * int(valid.sum())
            members = [np.asarray([lab == g for lab in labels], bool) for g in self.wanted.groups]
            members.append(np.ones(int(valid.sum()), bool))
            counts += [int(m.sum()) for m in members]
            for name in systems[len(states) :]:
                outputs[name] = {self.wanted.prediction: self.wanted.baselines[name](batch)}
            self._measure(table, groups, members, batch, outputs)
            shown = sum(len(next(iter(g.values()))) for g in grids)
            if shown < self.config.evaluate.pictures and valid.any():
                columns = self.method.pictures(batch, outputs[MODEL])
                for name in systems[1:]:
                    columns[name] = self.wanted.picture(outputs[name][self.wanted.prediction])
                grids.append(columns)

        figures, notes = self._merge(table)
        return Result(
            table=figures,
            counts=self._merge_counts(groups, counts),
            metrics=[n for m in self.metrics for n in m.names],
            higher_is_better={n: m.higher_is_better[n] for m in self.metrics for n in m.names},
            absent=list(self.absent),
            notes=list(dict.fromkeys(notes)),
            source=self.source_name,
            grids={"samples": self._grid(grids)} if grids else {},
        )

    def _outputs(
        self, states: Mapping[str, State], batch: Mapping[str, np.ndarray], rng: jax.Array,
        valid: np.ndarray,
    ) -> dict[str, Mapping[str, np.ndarray]]:
        """Returns the outputs of every state on the valid rows of a batch, ready to be measured."""
        prepare, finish = self.wanted.prepare, self.wanted.finish
        placed = self.plan.place_batch(prepare(batch) if prepare else batch)
        found = {}
        for name, state in states.items():
            outputs = self._predict(state, placed, rng)
            outputs = {k: sharding.local_rows(v) for k, v in outputs.items()}
            outputs = finish(outputs, batch) if finish else outputs
            found[name] = {k: v[valid] for k, v in outputs.items()}
        return found

    def _batches(self, limit: int):
        return pipeline.eval_batches(
            self.source,
            self.transform,
            batch_size=self.config.evaluate.batch_size,
            seed=self.config.evaluate.seed,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            limit=limit or None,
        )

    def _measure(self, table, groups, members, batch, outputs) -> None:
        if not members[-1].any():
            return
        for position, metric in enumerate(self.metrics):
            prepared = metric.prepare(batch)  # the same for every system
            for system, found in outputs.items():
                rows = metric.measure(found, batch, prepared)
                for group, chosen in zip(groups, members, strict=True):
                    if chosen.any():
                        table[system][group][position].add(metrics.select(rows, chosen))

    def _merge(self, table) -> tuple[dict[str, dict[str, dict[str, float | None]]], list[str]]:
        """Returns (plain figures, notes), with the accumulators of all processes merged."""
        result: dict[str, dict[str, dict[str, float | None]]] = {}
        notes: list[str] = []
        for system, by_group in table.items():
            result[system] = {}
            for group, accumulators in by_group.items():
                figures: dict[str, float | None] = {}
                for metric, accumulator in zip(self.metrics, accumulators, strict=True):
                    states = metrics.gather(accumulator.state())
                    merged = metric.new().merge(states)
                    found = merged.result()
                    figures |= {n: _finite(found.get(n)) for n in metric.names}
                    if group == ALL:
                        notes += merged.notes().values()
                result[system][group] = figures
        return result, notes

    def _merge_counts(self, groups: list[str], counts: np.ndarray) -> dict[str, int]:
        total = sum(s["counts"] for s in metrics.gather({"counts": counts}))
        return {group: int(n) for group, n in zip(groups, total, strict=True)}

    def _grid(self, grids: list[Mapping[str, np.ndarray]]) -> np.ndarray:
        columns = {k: [image for g in grids for image in g[k]] for k in grids[0]}
        return pictures.grid(columns, limit=self.config.evaluate.pictures)


def evaluation_source(config: config_lib.ConfigDict) -> tuple[str, str]:
    """Returns (source, split) to evaluate on.

    The training source gives its evaluation part; another source is taken whole, unless
    `evaluate.split` says otherwise.
    """
    name = config.evaluate.source or config.data.source
    usual = "eval" if name == config.data.source else "all"
    return name, config.evaluate.split or usual


def evaluate(
    method: Method, config: config_lib.ConfigDict, state: State, run_dir: pathlib.Path,
    name: str = "evaluation",
) -> Result:
    """Measures `state` with baselines; writes `<name>.json` and a picture grid into `run_dir`.

    The last states of the stages that `evaluate.compare` names are measured beside it.
    """
    from jaxedit.run import checkpoint, writer

    others = {
        stage: checkpoint.load_run(run_dir, stage=stage)[2] for stage in config.evaluate.compare
    }
    result = Evaluator(method, config).run(
        state, config.evaluate.limit, baselines=config.evaluate.baselines, others=others
    )
    output = writer.Writer(run_dir)
    step = int(state.step)
    for grid, image in result.grids.items():
        output.picture(f"{name}-{grid}", step, image)
    output.file(f"{name}.json", result.to_json(step))
    output.close()
    return result


def _rows(value: Any, valid: np.ndarray) -> Any:
    if isinstance(value, np.ndarray):
        return value[valid]
    return [v for v, keep in zip(value, valid, strict=True) if keep]


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
