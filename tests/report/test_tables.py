"""Evaluation tables: panels, for a terminal, as Markdown."""

import math

import pytest

from jaxedit.report import tables
from tests import fake_run


def test_text_table():
    text = tables.as_text(fake_run.evaluation())
    lines = text.splitlines()
    assert lines[0] == "Evaluation at step 120 on photos, 9 held-out samples"
    model = next(line for line in lines if line.startswith("model"))
    assert model.split() == ["model", "25.00*", "24.00*", "23.00*"]
    assert "psnr ↑" in text and "l1 ↓" in text
    fid = lines[next(i for i, line in enumerate(lines) if line.startswith("fid ↓")) :]
    assert fid[0].split() == ["fid", "↓", "all"] and fid[2].split() == ["model", "65.00*"]
    heading = next(i for i, line in enumerate(lines) if line.startswith("psnr ↑"))
    assert lines[heading - 1] == "PSNR (dB)" and "mean absolute error" in lines
    assert lines[heading + 4].split() == ["samples", *"3 of 4 3 of 5 3 of 9".split()]
    assert "samples" in text and "lpips_alex: absent" in text
    assert "lpips_alex ↓" not in text


def test_best_knows_the_direction_and_leaves_gaps_out():
    assert tables.best([1.0, None, 3.0, math.nan], True) == 3.0
    assert tables.best([1.0, None, 3.0], False) == 1.0
    assert tables.best([None], True) is None
    assert tables.best([1.0], None) is None


def test_markdown_cells_are_escaped():
    assert tables.as_markdown(["a|b", "c"], [["x", "1"]]).splitlines()[0] == "| a\\|b | c |"


def test_a_stage_and_a_name_stand_in_the_title():
    evaluation = fake_run.evaluation() | {"stage": "pretrain", "name": "faces"}
    assert tables.title(evaluation) == (
        "Evaluation of pretrain (faces) at step 120 on photos, 9 held-out samples"
    )


def test_the_worst_figure_is_infinite_and_gaps_are_dashes():
    evaluation = fake_run.evaluation()
    evaluation["table"]["mean fill"]["all"] |= {"psnr": math.inf, "l1": None}
    psnr, l1, fid = tables.panels(evaluation)
    assert psnr.rows["mean fill"][-1] == ("inf", True) and psnr.rows["model"][-1][1] is False
    # A figure that stands alone is no best one, and who has none says nothing of the samples.
    assert l1.rows["mean fill"][-1] == ("-", False) and l1.rows["model"][-1][1] is False
    assert l1.rows["model"][0][1] is True and l1.groups[-1] == ("all", "3 of 9")
    assert fid.groups == [("all", "9")] and fid.title == ""
    assert psnr.groups[-1] == ("all", "3 of 9") and psnr.title == "PSNR (dB)"
    # The systems differ in what they could be measured on.
    assert l1.groups[0] == ("(0.01,0.1]", "2 to 3 of 4")


def test_samples_of_a_bin_are_those_that_figures_rest_on():
    """Of 97 pictures the one system has a figure for each, the other for none."""
    evaluation = fake_run.evaluation()
    evaluation["counts"] = dict.fromkeys(evaluation["groups"], 97)
    for system, count in (("model", 97), ("mean fill", 0)):
        for group in evaluation["groups"]:
            evaluation["samples"][system][group]["psnr"] = count
    for row in evaluation["table"]["mean fill"].values():
        row |= {"psnr": None, "fid": None, "l1": None}
    psnr, *_ = tables.panels(evaluation)
    assert [count for _, count in psnr.groups] == ["97", "97", "97"]
    text = tables.as_text(evaluation)
    assert "25.00" in text and "*" not in text


@pytest.mark.parametrize("change", [
    {"systems": []}, {"systems": "model"}, {"groups": [1]}, {"counts": [1]},
    {"table": {"model": 1}}, {"table": {"model": {"all": 2}}}, {"notes": "a"},
    {"curves": [{"systems": {"a": [[1, 2]]}}]}, {"curves": [{"systems": {"a": [[1, "x", 2]]}}]},
    {"curves": [{}]}, {"titles": ["psnr"]}, {"samples": {"model": {"all": 9}}},
])
def test_check_refuses_what_is_no_evaluation(change):
    tables.check(fake_run.evaluation())
    with pytest.raises((KeyError, TypeError)):
        tables.check(fake_run.evaluation() | change)
