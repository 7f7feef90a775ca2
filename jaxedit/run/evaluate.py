"""Evaluation: predict over a source, stream the metrics, compare with baselines, draw curves.

Every system (the model, its other outputs, other states, each baseline) sees the same inputs.
Figures are kept per group (for inpainting: the hole-ratio bin) and for all samples. Random draws,
of the data and of the network, belong to the sample: figures do not depend on the batch size. Means
over samples are equal to the last digit, provided that `predict` computes a sample alike in batches
of any size; figures of distributions, such as FID, may differ by rounding. With several processes
each one measures its share; the states of the metrics are merged at the end.
"""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxedit import config as config_lib
from jaxedit import metrics
from jaxedit.data import joined, pipeline, skipped, sources
from jaxedit.errors import UserError
from jaxedit.evaluation import Curve, Evaluation
from jaxedit.host.names import check_choice
from jaxedit.layers.convolution import formulation
from jaxedit.method import Method, State
from jaxedit.report import pictures
from jaxedit.run import programs, sharding
from jaxedit.run.figures import ALL, MODEL, Result, Table, check_different

Outputs = dict[str, Mapping[str, np.ndarray]]


class Evaluator:
    """Measures states of one method; opened once, so that `predict` is compiled once.

    Args:
      method: whose states are measured.
      config: of the stage.
      mesh: the devices; all of them by default.
      name: which of the method's evaluations; the first by default.
      say: is told of each program that takes long to be prepared; by default standard error is.
    """

    def __init__(
        self, method: Method, config: config_lib.ConfigDict,
        mesh: jax.sharding.Mesh | None = None, name: str | None = None,
        say: Callable[[str], None] = programs.tell,
    ):
        self.name, wanted = _choose(method, name)
        self.method = method
        self.config = config
        self.wanted = wanted
        devices = jax.devices() if mesh is None else list(mesh.devices.flat)
        # One picture at a time, each of its own size, needs no more than one device.
        self.alone = config.evaluate.batch_size == 1 < len(devices) and jax.process_count() == 1
        self.plan = sharding.Plan(devices[:1] if self.alone else devices)
        self.plan.check_batch(config.evaluate.batch_size, what="evaluate.batch_size")
        self.source_name, split = evaluation_source(config)
        self.source = sources.create(self.source_name, split)
        taken = {split(part.name) for part in sources.parts(self.source_name)}
        self.split = taken.pop() if len(taken) == 1 else "mixed"
        self.transform = method.transform(train=False)
        self.read = [self.source, *sources.open_all(self.transform)]
        joined.check(self.source, self.transform)
        self.metrics, absent = create_metrics(wanted)
        self.absent = [*absent, *wanted.absent]
        self.curves = [curve for curve in wanted.curves if self._can_draw(curve)]
        task, key = wanted.task, jax.random.key(config.evaluate.seed)
        self.task = method.tasks[task]
        self._seconds: dict[str, list[float]] = {}  # state -> of each batch, compiling included
        self._say, self._sizes = say, set()

        def predict(state: State, inputs: Mapping[str, jax.Array], index: jax.Array):
            rng = jax.vmap(lambda i: jax.random.fold_in(key, i))(index)
            return method.predict(state, inputs, rng, task=task)

        self._predict = jax.jit(predict, out_shardings=self.plan.batch_sharding)

    def run(
        self,
        state: State,
        limit: int = 0,
        baselines: bool = False,
        others: Mapping[str, State] | None = None,
        curves: bool = False,
    ) -> Result:
        """Returns the figures of `state`.

        Args:
          state: global arrays; optimizer states are not looked at.
          limit: at most this many samples; 0 is all of them.
          baselines: measure the method's baselines too.
          others: name -> another state of the same networks, measured beside it.
          curves: measure the points of the method's curves too.
        """
        # The networks of metrics are compiled by the first batch, with this method's convolutions.
        with formulation.preferring(self.method.convolution):
            return self._run(state, limit, baselines, others, curves)

    def _run(
        self, state: State, limit: int, baselines: bool, others: Mapping[str, State] | None,
        curves: bool,
    ) -> Result:
        fillings = self.wanted.baselines if baselines else {}
        states, systems = self._systems(state, others, fillings)
        table = Table(self.metrics, systems, self.wanted.groups)
        points = self._points(systems) if curves else []
        grids: list[dict[str, np.ndarray]] = []

        for batch, index in self._batches(limit):
            valid = np.asarray(batch.pop("valid"), bool)
            outputs = self._outputs(states, fillings, batch, index, valid)
            kept = {k: _rows(v, valid) for k, v in batch.items()}
            count = int(valid.sum())
            labels = self.wanted.group(kept) if self.wanted.group else [None] * count
            table.add(outputs, kept, count, labels)
            for curve, value, point in points:
                number = np.full(len(valid), value, np.float32)
                found = self._outputs(
                    *(_named(x, point.systems) for x in (states, fillings)),
                    {**batch, curve.parameter: number}, index, valid,
                )
                point.add(found, {**kept, curve.parameter: number[valid]}, count)
            shown = sum(len(next(iter(g.values()))) for g in grids)
            if shown < self.config.evaluate.pictures and valid.any():
                columns = self.method.pictures(kept, outputs[MODEL])
                for name in systems[1:]:
                    columns[name] = self.wanted.picture(outputs[name][self.wanted.prediction])
                grids.append(columns)

        size = self.config.evaluate.batch_size
        seconds = {
            name: float(np.median(taken[1:])) / size
            for name, taken in self._seconds.items() if taken[1:]
        }
        figures, samples, notes = table.figures()
        return Result(
            table=figures,
            counts=table.counts(),
            samples=samples,
            metrics=[n for m in self.metrics for n in m.names],
            titles={n: m.titles[n] for m in self.metrics for n in m.names},
            higher_is_better={n: m.higher_is_better[n] for m in self.metrics for n in m.names},
            absent=list(self.absent),
            notes=[*notes, *skipped.reports(self.read)],
            source=self.source_name,
            place=sources.place(self.source_name),
            grids={"samples": self._grid(grids)} if grids else {},
            name=self.name,
            split=self.split,
            best=self.wanted.best,
            ceilings=self.wanted.ceilings,
            curves=self._drawn(points),
            seconds=seconds,
        )

    def pictures(
        self, state: State, limit: int = 0, others: Mapping[str, State] | None = None
    ) -> Iterator[tuple[int, np.ndarray | None, dict[str, np.ndarray]]]:
        """Yields what a person would compare, sample by sample, of every system that is measured.

        Args:
          state: global arrays.
          limit: at most this many samples; 0 is all of them.
          others: name -> another state of the same networks, shown beside it.

        Yields:
          The number of the sample in the source, what was given (the first of the method's
          pictures, None where it has none) and system -> its picture; uint8 (H, W, 1 or 3).
        """
        fillings = self.wanted.baselines
        states, systems = self._systems(state, others, fillings)
        for batch, index in self._batches(limit):
            valid = np.asarray(batch.pop("valid"), bool)
            with formulation.preferring(self.method.convolution):
                outputs = self._outputs(states, fillings, batch, index, valid)
            kept = {key: _rows(value, valid) for key, value in batch.items()}
            given = next(iter(self.method.pictures(kept, outputs[MODEL]).values()), None)
            shown = {
                name: self.wanted.picture(outputs[name][self.wanted.prediction])
                for name in systems
            }
            for row, number in enumerate(index[valid].tolist()):
                yield (
                    number, None if given is None else given[row],
                    {name: images[row] for name, images in shown.items()},
                )

    def _systems(
        self, state: State, others: Mapping[str, State] | None, fillings: Mapping[str, Any]
    ) -> tuple[dict[str, State], list[str]]:
        """Returns (name -> state that predicts, the names of all systems, the model first)."""
        states = {MODEL: state.replace(opt={})}
        states |= {name: other.replace(opt={}) for name, other in (others or {}).items()}
        if self.alone:
            states = {name: self.plan.place_state(one) for name, one in states.items()}
        systems = [MODEL, *self.wanted.systems, *list(states)[1:], *fillings]
        check_different(systems)
        return states, systems

    def _outputs(
        self, states: Mapping[str, State], fillings: Mapping[str, Any],
        batch: Mapping[str, np.ndarray], index: np.ndarray, valid: np.ndarray,
    ) -> Outputs:
        """Returns what every system makes of the valid rows of a batch, ready to be measured."""
        prepare, finish, key = self.wanted.prepare, self.wanted.finish, self.wanted.prediction
        inputs = prepare(batch) if prepare else batch
        given, frames = self.task.pad(inputs)
        placed = self.plan.place_batch(given)
        places = self.plan.place_batch({"index": index})["index"]
        found: Outputs = {}
        for name, state in states.items():
            started = time.perf_counter()
            with self._watched(programs.size_of(given)):
                outputs = self._predict(state, placed, places)
                outputs = {k: sharding.local_rows(v) for k, v in outputs.items()}
            self._seconds.setdefault(name, []).append(time.perf_counter() - started)
            outputs = self.task.finished(outputs, frames, inputs)
            outputs = finish(outputs, batch) if finish else outputs
            found[name] = {k: v[valid] for k, v in outputs.items()}
        for name, others in self.wanted.systems.items():
            others = {key: others} if isinstance(others, str) else others
            found[name] = {**found[MODEL], **{k: found[MODEL][v] for k, v in others.items()}}
        kept = {k: _rows(v, valid) for k, v in batch.items()}
        for name, fill in fillings.items():
            found[name] = {key: fill(kept)}
        return found

    def _watched(self, size: str) -> contextlib.AbstractContextManager:
        """Returns the context of a batch, which is watched where it is the first of its size."""
        what, new = f"the task {self.wanted.task!r} to be measured{size}", size not in self._sizes
        self._sizes.add(size)
        return programs.watched(what, self._say) if new else contextlib.nullcontext()

    def _batches(self, limit: int) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Yields (batch, the number of each of its rows in the source, int32)."""
        size, process, processes = (
            self.config.evaluate.batch_size, jax.process_index(), jax.process_count()
        )
        batches = pipeline.eval_batches(
            self.source,
            self.transform,
            batch_size=size,
            seed=self.config.evaluate.seed,
            process_index=process,
            process_count=processes,
            limit=limit or None,
            threads=self.config.data.threads,
        )
        for number, batch in enumerate(batches):
            yield batch, np.arange(process, size, processes, dtype=np.int32) + number * size

    def _can_draw(self, curve: Curve) -> bool:
        """Whether both figures of a curve can be had; says so in `absent` where they cannot."""
        names = [n for m in self.metrics for n in m.names]
        known = [MODEL, *self.wanted.systems, *self.wanted.baselines, *self.config.evaluate.compare]
        for system in curve.systems:
            check_choice(f"A system of the curve {curve.title!r}", system, known)
        missing = [figure for figure in (curve.x, curve.y) if figure not in names]
        for figure in missing:
            self.absent.append(f"{curve.title}: absent: it needs {figure}, which is not measured")
        return not missing

    def _points(self, systems: list[str]) -> list[tuple[Curve, float, Table]]:
        """Returns (curve, value of its parameter, the empty table of that point)."""
        return [
            (curve, value, Table(
                [m for m in self.metrics if {curve.x, curve.y} & set(m.names)],
                [system for system in systems if system in curve.systems],
            ))
            for curve in self.curves for value in curve.values
        ]

    def _drawn(self, points: list[tuple[Curve, float, Table]]) -> list[dict[str, Any]]:
        drawn = {}
        for curve, value, table in points:
            entry = drawn.setdefault(curve.title, {
                "title": curve.title, "parameter": curve.parameter, "x": curve.x, "y": curve.y,
                "systems": {},
            })
            for system, by_group in table.figures()[0].items():
                row = by_group[ALL]
                entry["systems"].setdefault(system, []).append(
                    [float(value), row[curve.x], row[curve.y]]
                )
        return list(drawn.values())

    def _grid(self, grids: list[Mapping[str, np.ndarray]]) -> np.ndarray:
        columns = {k: [image for g in grids for image in g[k]] for k in grids[0]}
        return pictures.grid(columns, limit=self.config.evaluate.pictures)


def evaluate(
    method: Method, config: config_lib.ConfigDict, state: State, run_dir: pathlib.Path,
    name: str = "evaluation", *, stage: str = "", evaluation: str | None = None,
    compare: tuple[str, ...] | None = None, beside: bool = False,
) -> Result:
    """Measures `state` with baselines and curves; writes `<name>.json` and a picture grid.

    Args:
      method: of the stage.
      config: of the stage.
      state: the state.
      run_dir: where the files go.
      name: of the file, without suffix; it may name a folder. See `Writer.evaluation`.
      stage: the name of the stage, for the file.
      evaluation: which of the method's evaluations; the first by default.
      compare: the stages whose last states are measured beside it, by default
        `config.evaluate.compare`.
      beside: as of `Writer.evaluation`.
    """
    from jaxedit.run import readers, writer

    compare = tuple(config.evaluate.compare) if compare is None else compare
    others = {
        other: readers.load_run(run_dir, stage=other, trust_code=True)[2] for other in compare
    }
    result = Evaluator(method, config, name=evaluation).run(
        state, config.evaluate.limit, baselines=config.evaluate.baselines, others=others,
        curves=True,
    )
    with contextlib.closing(writer.Writer(run_dir)) as output:
        result.path = output.evaluation(result, name, int(state.step), stage, beside)
    return result


def create_metrics(wanted: Evaluation) -> tuple[list[metrics.Metric], list[str]]:
    """Returns (the metrics of an evaluation, a line for each that cannot be had here)."""
    keys = metrics.Keys(wanted.prediction, wanted.target, wanted.region)
    return metrics.create(wanted.metrics, keys, own=wanted.own)


def check_best(method: Method, config: config_lib.ConfigDict) -> None:
    """Checks, before the first step, that the best checkpoint of a stage can be told.

    Raises:
      UserError: the figure that decides it will not be measured; the message names those that are.
    """
    if method.best is None or not (config.train.evaluate_every and config.checkpoint.keep_best):
        return
    _, wanted = _choose(method, None)
    figure, _, group = method.best[0].partition("/")
    named = [n for m in wanted.metrics for n in ([m] if isinstance(m, str) else m.names)]
    # Only the deciding metric is made here: others may have large networks to read.
    chosen = [m for m in wanted.metrics if figure in ([m] if isinstance(m, str) else m.names)]
    absent = metrics.create(
        chosen, metrics.Keys(wanted.prediction, wanted.target, wanted.region), own=wanted.own
    )[1]
    if chosen and not absent and (not group or group in wanted.groups):
        return
    measured = ", ".join(named) + (f"; groups: {', '.join(wanted.groups)}" if group else "")
    raise UserError(
        f"The best checkpoint is the one with the best {method.best[0]!r}, which is not measured. "
        + (f"{absent[0]}. " if absent else f"Measured are: {measured}. ")
        + f"Add {figure!r} to evaluate.metrics, or keep no best one: checkpoint.keep_best=0."
    )


def evaluation_source(config: config_lib.ConfigDict) -> tuple[str, Callable[[str], str]]:
    """Returns (source, a function from the name of each that is joined in it to its split).

    A training source gives its evaluation part; another source is taken whole, unless
    `evaluate.split` says otherwise.
    """
    trained = {sources.place(part.name) for part in sources.parts(config.data.source)}
    usual = lambda name: "eval" if sources.place(name) in trained else "all"
    name, fixed = config.evaluate.source or config.data.source, config.evaluate.split
    return name, (lambda _: fixed) if fixed else usual


def _choose(method: Method, name: str | None) -> tuple[str, Evaluation]:
    known = method.evaluations()
    if not known:
        raise UserError(f"Method {method.config.method!r} defines no evaluation for this stage.")
    name = next(iter(known)) if name is None else name
    check_choice("The evaluation", name, known)
    return name, known[name]


def _named(systems: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Returns those called `names`, and the model, whose outputs are systems of their own."""
    return {name: one for name, one in systems.items() if name in (*names, MODEL)}


def _rows(value: Any, valid: np.ndarray) -> Any:
    if isinstance(value, np.ndarray):
        return value[valid]
    return [v for v, keep in zip(value, valid, strict=True) if keep]
