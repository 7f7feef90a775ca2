"""Means, spreads and paired differences over the seeds of runs and of a sweep."""

import json

import pytest

from experiments import over_seeds


def measured(folder, seed, name="evaluation.json", **systems):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"train": {"seed": seed}}))
    table = {name: {"all": {"score": value, "other": None}} for name, value in systems.items()}
    (folder / name).write_text(json.dumps(
        {"systems": list(systems), "metrics": ["score", "other"], "table": table}
    ))
    return folder


def test_systems_of_runs(tmp_path):
    runs = [measured(tmp_path / str(n), n, model=m, plain=p)
            for n, (m, p) in enumerate([(1.0, 2.0), (2.0, 3.1), (3.0, 3.9)])]
    figures, metrics = over_seeds.of_runs(runs)
    assert list(figures) == ["model", "plain"] and metrics == ["score", "other"]
    assert "| model | 3 | 2.0000 ± 1.0000 |  |" in over_seeds.table(figures, metrics)
    # The seeds differ more than the systems do, yet in each the one is about 1 ahead.
    rows = over_seeds.table(figures, metrics, "model").splitlines()
    assert rows[2] == "| plain | 3 | +1.0000 ± 0.1000 * |  |" and len(rows) == 3


def test_variants_of_a_sweep_are_compared_by_seed(tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps({"variants": ["full", "less", "unmeasured"]}))
    for seed, (full, less) in enumerate([(1.0, 0.5), (2.0, 2.5), (4.0, None)]):
        measured(tmp_path / "full" / f"seed-{seed}", seed, model=full)
        if less is not None:
            measured(tmp_path / "less" / f"seed-{seed}", seed, model=less)
    figures, _ = over_seeds.of_sweep(tmp_path)
    assert list(figures) == ["full", "less"]
    rows = over_seeds.table(figures, ["score"], "full").splitlines()
    assert rows[2] == "| less | 2 | +0.0000 ± 0.7071 |"


def test_another_evaluation_of_the_same_runs(tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps({"variants": ["full", "less"]}))
    for seed in (0, 1):
        run = tmp_path / "full" / f"seed-{seed}"
        measured(run, seed, model=1.0)
        measured(run, seed, "evaluations/inversion-editing.json", model=2.0 + seed)
    measured(tmp_path / "less" / "seed-0", 0, model=1.0)
    found, _ = over_seeds.of_sweep(tmp_path, "inversion-editing")
    assert {name: {seed: one["score"] for seed, one in seeds.items()}
            for name, seeds in found.items()} == {"full": {0: 2.0, 1: 3.0}}
    assert over_seeds.of_runs([tmp_path / "full" / "seed-1"], "inversion-editing")[0] == {
        "model": {1: {"score": 3.0, "other": None}}
    }


def test_one_seed_says_nothing_of_a_difference():
    assert not over_seeds.differs([1.0]) and not over_seeds.differs([1.0, 1.2, -0.4])
    assert over_seeds.differs([1.0, 1.1, 1.2])
    mean, deviation = over_seeds.spread([1.0])
    assert mean == 1 and deviation != deviation
    assert over_seeds.spread([1.0, 2.0, 3.0]) == pytest.approx((2, 1))
