"""Means and spreads over seeds of what runs have measured, as Markdown.

    python experiments/over_seeds.py systems runs/seed-0 runs/seed-1 --metrics psnr copy_rate
    python experiments/over_seeds.py differences runs/sims_ablation --metrics filled followed

`systems` sets the systems of one configuration's runs side by side, baselines too, and says by how
much the first differs from each other one. `differences` does so for a sweep's variants, which are
compared with its first, seed by seed: what a seed gives to both cancels out.

Runs whose figures stand in several files name one that is not the first: `--evaluation
inversion-editing` reads `evaluations/inversion-editing.json` in the place of `evaluation.json`.

The spread is the sample standard deviation. A star marks a mean difference whose 95 % interval
(Student's t over the seeds' differences) excludes 0; of many cells one in twenty does so by chance.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence

import scipy.stats

Figures = Mapping[str, Mapping[int, Mapping[str, float | None]]]  # name -> seed -> metric -> value


def of_runs(
    runs: Sequence[pathlib.Path], evaluation: str = ""
) -> tuple[Figures, list[str]]:
    """Returns the figures of every system over all samples, and the metrics in their order.

    `evaluation` is the name of one that is not a run's first, as its file is called.
    """
    found: dict[str, dict[int, dict]] = {}
    metrics: list[str] = []
    for run in runs:
        measured, seed = _read(run, evaluation)
        metrics = measured["metrics"]
        for system in measured["systems"]:
            found.setdefault(system, {})[seed] = measured["table"][system]["all"]
    return found, metrics


def of_sweep(folder: pathlib.Path, evaluation: str = "") -> tuple[Figures, list[str]]:
    """Returns the figures of every variant that has been measured, in the order of the sweep.

    `evaluation` as of `of_runs`.
    """
    found: dict[str, dict[int, dict]] = {}
    metrics: list[str] = []
    for variant in json.loads((folder / "sweep.json").read_text())["variants"]:
        for run in sorted((folder / variant).glob("seed-*")):
            if _file(run, evaluation).is_file():
                measured, seed = _read(run, evaluation)
                metrics = measured["metrics"]
                found.setdefault(variant, {})[seed] = measured["table"]["model"]["all"]
    return found, metrics


def _file(run: pathlib.Path, evaluation: str) -> pathlib.Path:
    return run / (f"evaluations/{evaluation}.json" if evaluation else "evaluation.json")


def _read(run: pathlib.Path, evaluation: str) -> tuple[dict, int]:
    seed = json.loads((run / "config.json").read_text())["train"]["seed"]
    return json.loads(_file(run, evaluation).read_text()), seed


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Returns mean and sample standard deviation; the latter NaN of fewer than two values."""
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return statistics.mean(values), deviation


def differs(differences: Sequence[float]) -> bool:
    """Whether the 95 % interval of the mean of differences excludes 0; never of fewer than two."""
    if len(differences) < 2:
        return False
    mean, deviation = spread(differences)
    reach = scipy.stats.t.ppf(0.975, len(differences) - 1) * deviation / len(differences) ** 0.5
    return abs(mean) > reach


def table(figures: Figures, metrics: Sequence[str], reference: str | None = None) -> str:
    """Returns a Markdown table, of figures or, with a reference, of differences from it."""
    lines = ["| | seeds | " + " | ".join(metrics) + " |", "|---|---:|" + "---:|" * len(metrics)]
    for name, seeds in figures.items():
        if name == reference:
            continue
        own = {}
        for metric in metrics:
            pairs = [
                (of[metric], 0 if reference is None else figures[reference][seed][metric])
                for seed, of in seeds.items()
                if of.get(metric) is not None
                and (reference is None or figures[reference].get(seed, {}).get(metric) is not None)
            ]
            own[metric] = [value - base for value, base in pairs]
        cells = [_cell(own[metric], reference is not None) for metric in metrics]
        lines.append(f"| {name} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float], of_difference: bool) -> str:
    if not values:
        return ""
    mean, deviation = spread(values)
    text = f"{mean:+.4f}" if of_difference else f"{mean:.4f}"
    text += f" ± {deviation:.4f}" if len(values) > 1 else ""
    return text + (" *" if of_difference and differs(values) else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    systems, sweep = kinds.add_parser("systems"), kinds.add_parser("differences")
    systems.add_argument("runs", type=pathlib.Path, nargs="+", help="of one configuration")
    sweep.add_argument("runs", type=pathlib.Path, help="the directory of a sweep")
    for one in (systems, sweep):
        one.add_argument("--metrics", nargs="+", help="these alone (default: all)")
        one.add_argument("--evaluation", default="", metavar="NAME",
                         help="of evaluations/NAME.json (default: evaluation.json)")
    given = parser.parse_args()
    read = of_runs if given.kind == "systems" else of_sweep
    figures, metrics = read(given.runs, given.evaluation)
    if not figures:
        parser.error(f"{given.runs} has measured nothing of that name yet")
    metrics, first = given.metrics or metrics, next(iter(figures))
    print(table(figures, metrics))
    print(f"Minus {first}, seed by seed:\n")
    print(table(figures, metrics, first))


if __name__ == "__main__":
    main()
