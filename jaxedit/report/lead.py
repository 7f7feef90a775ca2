"""The paragraph that a run's page begins with: what was run, on what, and what came of it.

It says how the trained network stands to the best of what it is compared with, by the figure that
decides the stage's best checkpoint; also where that is not in its favour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxedit.host import nested
from jaxedit.report import reading, tables, wording

_MODEL = 0  # the trained network stands first in an evaluation


def paragraph(run: reading.Run) -> str:
    """Returns what was run and what came out, in a few sentences."""
    with reading.understood(run.folder / "config.json"):
        ran = _ran(run)
    with reading.understood(run.folder / "summary.json"):
        cost = _cost(run)
    evaluation = next(iter(run.evaluations.values()), None)
    return " ".join(filter(None, (ran, cost, came_out(evaluation))))


def came_out(evaluation: tables.Evaluation | None) -> str:
    """Returns what an evaluation found: the network against the best of the others."""
    if evaluation is None:
        return "Nothing has been measured at its end yet."
    step = evaluation.get("step")
    at = "" if step is None else f" at step {step}"
    where = f"Measured{at} on {tables.samples(evaluation)} of {evaluation['source']}:"
    sentences = [f"{where} {_against_the_best(evaluation)}."]
    if "ceilings" not in evaluation:  # of before they were told apart from the others
        return sentences[0]
    ranked = [_leads(evaluation, metric) for metric in evaluation["metrics"]]
    if ranked := [leads for leads in ranked if leads is not None]:
        sentences.append(
            f"Of {_many(len(ranked), 'figure')} over all samples it has the best value in "
            f"{sum(ranked)}."
        )
    return " ".join(sentences)


def _leads(evaluation: tables.Evaluation, metric: str) -> bool | None:
    """Whether no other system has a better figure; None where there is nothing to compare."""
    higher = evaluation["higher_is_better"].get(metric)
    own, *others = (
        _value(evaluation, system, evaluation["groups"][-1], metric)
        for system in (evaluation["systems"][_MODEL], *_others(evaluation))
    )
    best = tables.best(others, higher)
    if best is None or not tables.is_number(own):
        return None
    return tables.best((own, best), higher) == own


def _value(evaluation: tables.Evaluation, system: str, group: str, metric: str) -> float | None:
    return evaluation["table"].get(system, {}).get(group, {}).get(metric)


def _against_the_best(evaluation: tables.Evaluation) -> str:
    """Returns the clause that sets the network against the best other, by the deciding figure."""
    if "best" not in evaluation:
        return "which figure decides was not written down; the tables have what was measured"
    if not evaluation["best"]:
        return "no single figure decides here; the tables have what was measured"
    metric, direction = evaluation["best"]
    metric, _, group = metric.partition("/")
    group = group or evaluation["groups"][-1]
    value = lambda system: _value(evaluation, system, group, metric)
    title = (evaluation.get("titles") or {}).get(metric) or metric
    if group != evaluation["groups"][-1]:
        title += f", {group},"
    own = value(evaluation["systems"][_MODEL])
    if not tables.is_number(own):
        return f"{title} decides, and has no value"
    others = {s: value(s) for s in _others(evaluation) if tables.is_number(value(s))}
    text = f"{title} is {wording.figure(own)}"
    if not others:
        return f"{text}, with nothing beside it to compare"
    higher = direction == "max"
    name = (max if higher else min)(others, key=others.get)
    best, among = others[name], f"the best of {_many(len(others), 'other system')}"
    among = "the only other system" if len(others) == 1 else among
    among += " with a figure" if len(others) < len(_others(evaluation)) else ""
    difference = abs(own - best)
    if wording.figure(own) == wording.figure(best):
        standing = f"equal to {name}"
    else:
        side = "ahead of" if (own > best) == higher else "behind"
        standing = f"{wording.figure(difference)} {side} {name} ({wording.figure(best)})"
    return f"{text}, {standing}, {among}; {'higher' if higher else 'lower'} is better"


def _others(evaluation: tables.Evaluation) -> list[str]:
    """Returns what the network is compared with: no system that was given the truth."""
    ceilings = evaluation.get("ceilings") or []
    return [name for name in evaluation["systems"][1:] if name not in ceilings]


def _ran(run: reading.Run) -> str:
    config = run.config
    name = str(config.get("method") or run.name)
    preset = f", preset {config['preset']}" if config.get("preset") else ""
    seed = config.get("train", {}).get("seed")
    seeded = "" if seed is None else f", seed {seed}"
    stages = config.get("stages") or [{"name": wording.SINGLE}]
    parts = [_stage(run, stage) for stage in stages]
    text = parts[0] if len(parts) == 1 else f"{len(parts)} stages, one after the other: " + (
        "; ".join(f"{stage['name']} ({part})" for stage, part in zip(stages, parts, strict=True))
    )
    return f"{name}{preset}{seeded}: {text}."


def _stage(run: reading.Run, stage: Mapping[str, Any]) -> str:
    """Returns what a stage is: its networks, how long they train and on what."""
    changed = stage.get("overrides", {})
    of = lambda group, key: (
        changed.get(group, {}).get(key, run.config.get(group, {}).get(key))
    )
    name, source = str(stage["name"]), of("data", "source")
    records = (run.summary.get("records") or {}).get(name)
    data = "" if not source else (
        f" on {_many(records, 'record')} of {source}" if tables.is_number(records)
        else f" on {source}"
    )
    if stage.get("build"):
        return f"builds an artefact{data.replace(' on ', ' from ', 1)}"
    steps, batch = of("train", "steps"), of("train", "batch_size")
    done = max((row.get("step", 0) for row in run.rows
                if row.get("split") == "train" and str(row.get("stage")) == name), default=0)
    text = networks(run.summary, name)
    if steps is None:
        return f"{text} trained{data}"
    of_all = f"{_many(steps, 'step')}" if done >= steps else (
        f"{wording.thousands(done)} of {_many(steps, 'step')} so far"
    )
    size = f" of {_many(batch, 'sample')} each" if batch else ""
    begins = (run.summary.get("begins") or {}).get(name)
    began = f", begun {beginning(begins)}" if isinstance(begins, str) else ""
    return f"{text} trained for {of_all}{size}{data}{began}"


def beginning(weights: str) -> str:
    """Returns which weights a stage begins with, behind a verb: `with painter from 'small'`."""
    return weights if weights.startswith("from ") else f"with {weights}"


def networks(summary: Mapping[str, Any], stage: str) -> str:
    """Returns the size of a stage's networks in words: `1 184 285 parameters (generator 647 835)`.
    """
    total = (summary.get("parameters") or {}).get(stage)
    by_name = (summary.get("networks") or {}).get(stage) or {}
    if not tables.is_number(total):
        return "networks"
    each = ", ".join(f"{name} {wording.thousands(count)}" for name, count in by_name.items())
    if len(by_name) == 1:
        return f"{next(iter(by_name))}, {_many(total, 'parameter')},"
    return _many(total, "parameter") + (f" ({each})" if each else "")


def _cost(run: reading.Run) -> str:
    spent = run.summary.get("stage_seconds") or {}
    built = [manifest.get("seconds") or 0 for manifest in run.artifacts.values()]
    seconds = sum(v for v in nested.flatten(spent).values() if tables.is_number(v)) + sum(built)
    count, backend = run.versions.get("device_count"), run.versions.get("backend")
    devices = f" on {count} {backend} device{'' if count == 1 else 's'}" if backend else ""
    return f"It took {wording.duration(seconds)}{devices}." if seconds else ""


def _many(count: Any, what: str) -> str:
    return f"{wording.thousands(count)} {what}{'' if count == 1 else 's'}"
