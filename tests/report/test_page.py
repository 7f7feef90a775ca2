"""The report page, the terminal table, the charts and the comparison of runs."""

import csv
import html.parser
import json
import math
import re
import statistics
import xml.etree.ElementTree

import pytest
from PIL import Image

from jaxedit.errors import UserError
from jaxedit.report import comparison, curves, tables
from jaxedit.report import page as report
from tests import fake_run


class Page(html.parser.HTMLParser):
    """Checks nesting, collects the cells of tables and every address that a browser would load."""

    EMPTY = {"meta", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.best, self.text = [], [], [], []
        self._in_best = False
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.loads += [values[a] for a in ("src", "href", "srcset", "data") if a in values]
        assert tag not in ("script", "link", "iframe", "object")
        self._in_best = values.get("class") == "best"
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)
        if self._in_best:
            self.best.append(data)
            self._in_best = False


@pytest.fixture
def run(tmp_path):
    return fake_run.write(tmp_path / "my-run")


def test_page_is_self_contained_and_complete(run):
    path = report.write(run)
    text = path.read_text()
    page = Page(text)
    assert page.loads and all(a.startswith("data:image/png;base64,") for a in page.loads)
    assert "url(http" not in text and "@import" not in text
    words = " ".join(page.text)
    for wanted in ("my-run", "scat · demo", "120", "12.5 s", "3.0 GiB", "123k", "n = 9",
                   "higher is better", "loss/l1", "loss/odd", "jax", "0.10.2", "train.seed",
                   "seconds_per_step", "250 ms",
                   "lpips_alex: absent: run jaxedit weights convert <lpips-alex>"):
        assert wanted in words, wanted
    assert "folder:<a&b>" in words and "folder:<a&b>" not in text  # escaped
    # The model is best everywhere (25 against 20; lower L1; lower FID).
    expected = ["25.00", "24.00", "23.00", "0.07500", "0.08500", "0.09500", "65.00"]
    assert page.best == expected
    assert list(run.glob(".*")) == []


def test_stages_are_not_added_up_to_a_larger_network(run):
    """A network that three stages train is one network; phases of one stage do add up."""
    path = run / "summary.json"
    facts = json.loads(path.read_text())
    facts["parameters"] = {"pretrain": 7_000_000, "scratch": 2_000_000, "finetune": 2_000_000}
    facts["flops_per_step"] = {"pretrain/step": 9e9, "finetune/one": 1e9, "finetune/two": 3e9}
    path.write_text(json.dumps(facts))
    tiles = re.findall(r"<b>([^<]*)</b>(parameters|FLOPs per step)", report.write(run).read_text())
    assert tiles == [("2M", "parameters"), ("4e9", "FLOPs per step")]


def test_a_running_run_gives_a_partial_page(tmp_path):
    run = tmp_path / "young"
    run.mkdir()
    (run / "config.json").write_text('{"method": "scat", "train": {"steps": 1200}}')
    (run / "metrics.jsonl").write_text('{"stage": "train", "step": 1, "split": "train", "a": 2}\n'
                                       '{"stage": "train", "st')
    page = Page(report.write(run).read_text())
    assert "of 1 200 steps" in page.text and "a" in page.text


def test_other_evaluations_are_shown_too(run):
    (run / "evaluation-step80-faces.json").write_text(json.dumps(fake_run.evaluation(10.0, 80)))
    text = report.write(run).read_text()
    assert text.index("Evaluation at step 120") < text.index("Evaluation at step 80")


def test_bad_folders_and_files(run, tmp_path):
    with pytest.raises(UserError, match="no run directory"):
        report.write(tmp_path)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([lines[0], "{broken", lines[1]]))
    with pytest.raises(UserError, match="line 2"):
        report.write(run)
    (run / "metrics.jsonl").unlink()
    (run / "summary.json").write_text("{")
    with pytest.raises(UserError, match=r"summary\.json"):
        report.write(run)
    assert not (run / "report.html").exists()


def test_text_table():
    text = report.text_table(fake_run.evaluation())
    lines = text.splitlines()
    assert lines[0] == "Evaluation at step 120 on photos, 9 samples"
    model = next(line for line in lines if line.startswith("model"))
    assert model.split() == ["model", "25.00*", "24.00*", "23.00*"]
    assert "psnr ↑" in text and "l1 ↓" in text
    fid = lines[next(i for i, line in enumerate(lines) if line.startswith("fid ↓")) :]
    assert fid[0].split() == ["fid", "↓", "all"] and fid[2].split() == ["model", "65.00*"]
    assert "samples" in text and "lpips_alex: absent" in text
    assert "lpips_alex ↓" not in text


def test_figures():
    figures = [25.123456, 0.01234567, 123.456, 12345.6, 0.0, 1.0, -3.14159, 3.2e-7, None, math.nan]
    assert [tables.figure(f) for f in figures] == [
        "25.12", "0.01235", "123.5", "12346", "0.000", "1.000", "-3.142", "3.200e-07", "-", "-",
    ]
    assert tables.figure(25.1234, 0.0567) == "25.12 ± 0.06"
    assert tables.figure(math.inf) == "inf"


def test_best_knows_the_direction_and_leaves_gaps_out():
    assert tables.best([1.0, None, 3.0, math.nan], True) == 3.0
    assert tables.best([1.0, None, 3.0], False) == 1.0
    assert tables.best([None], True) is None
    assert tables.best([1.0], None) is None


def test_markdown_cells_are_escaped():
    assert tables.as_markdown(["a|b", "c"], [["x", "1"]]).splitlines()[0] == "| a\\|b | c |"


def parse(svg):
    return xml.etree.ElementTree.fromstring(svg)


def test_chart_draws_the_values_where_they_belong():
    root = parse(curves.chart("loss", {"train": [(0, 0.0), (50, 5.0), (100, 10.0)]}))
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle")]
    assert len(circles) == 3
    (x0, y0), (x1, y1), (x2, y2) = circles
    assert math.isclose(x1 - x0, x2 - x1, abs_tol=0.11) and x0 < x1
    assert math.isclose(y0 - y1, y1 - y2, abs_tol=0.11) and y0 > y1  # upwards is larger
    labels = [t.text for t in root.iter("text")]
    assert "loss" in labels and "train" in labels and "10" in labels and "0" in labels


def test_chart_gaps_outliers_and_nothing():
    root = parse(curves.chart("a", {"": [(0, 1.0), (1, math.nan), (2, 3.0)]}))
    line = [p.get("d") for p in root.iter("path") if "line" in p.get("class")][0]
    assert line.count("M") == 2
    points = [(i, 1.0 + 0.01 * (i % 3)) for i in range(200)] + [(200, 1e6)]
    root = parse(curves.chart("b", {"": points}))
    labels = [t.text for t in root.iter("text")]
    assert not any("M" in label or "k" in label for label in labels)  # no axis up to a million
    assert "no finite value" in curves.chart("c", {"": [(0, math.nan)]})
    parse(curves.chart("d <&>", {"": [(3, 0.5)]}))


def test_chart_of_many_lines_names_them_all_inside_its_frame():
    lines = {f"({i / 10},{(i + 1) / 10}]": [(0, i), (1, i + 1)] for i in range(7)}
    root = parse(curves.chart("psnr", lines))
    _, _, width, height = map(float, root.get("viewBox").split())
    texts = {t.text: (float(t.get("x")), float(t.get("y"))) for t in root.iter("text")}
    for name in lines:
        x, y = texts[name]
        assert x + 6 * len(name) <= width + 10 and y <= height


def test_long_lines_are_thinned_without_losing_their_course():
    points = [(i, math.sin(i / 500)) for i in range(5000)]
    root = parse(curves.chart("a", {"": points}))
    pale = next(p.get("d") for p in root.iter("path") if "pale" in p.get("class"))
    assert 200 < len(re.findall("[ML]", pale)) <= 400


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 17), (0.001, 0.0013), (1e6, 3e6), (0, 1e-7)])
def test_ticks_span_the_range(low, high):
    found = curves.ticks(low, high)
    assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12 and 3 <= len(found) <= 9


def test_axis_numbers():
    numbers = [0, 0.25, 1500, 12_000, 3_400_000, 0.00031, 2.5e10]
    assert [curves.number(n) for n in numbers] == [
        "0", "0.25", "1500", "12k", "3.4M", "3.1e-4", "2.5e10",
    ]


def test_compare_a_sweep(tmp_path):
    figures = {"full": [25.0, 26.0, 27.0], "less": [24.0, 24.5, 26.5]}
    folder = fake_run.write_sweep(tmp_path / "sweep", figures)
    result = report.compare(folder)
    assert {p.name for p in result.files} == {
        "comparison.md", "comparison.csv", "comparison.png", "runs.csv"
    }
    with open(folder / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in figures.items():
        row = next(r for r in rows
                   if (r["variant"], r["metric"], r["group"]) == (name, "psnr", "(0.01,0.1]"))
        assert math.isclose(float(row["mean"]), statistics.fmean(values))
        assert math.isclose(float(row["standard_deviation"]), statistics.stdev(values))
        assert row["seeds"] == "3"
    with open(folder / "runs.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 3 * (3 + 3 + 1)
    text = result.markdown
    assert text.startswith("# an ablation\n\nMirrors Table 9.")
    row = next(line for line in text.splitlines() if line.startswith("| full | 3 | **24.00"))
    assert "**26.00 ± 1.00**" in row
    assert "*mean fill*" in text and "- lpips_alex: absent" in text
    assert "different numbers of seeds" not in text
    assert Image.open(folder / "comparison.png").size[0] > 500


def test_compare_plain_runs_and_uneven_ones(tmp_path):
    one = fake_run.write(tmp_path / "one", 25.0)
    two = fake_run.write(tmp_path / "two", 24.0)
    other = json.loads((two / "evaluation.json").read_text())
    (two / "evaluation.json").write_text(json.dumps(other | {"count": 5}))
    three = tmp_path / "three"
    three.mkdir()
    (three / "config.json").write_text("{}")
    result = comparison.compare([one, two, three], tmp_path / "out")
    assert "| one | 1 | **23.00** | **25.00** |" in result.markdown  # no spread of one run
    assert "not measured on the same samples" in result.markdown
    assert f"Not evaluated: {three}" in result.markdown
    assert (tmp_path / "out" / "comparison.csv").is_file()


def test_compare_without_matplotlib_says_so(tmp_path, monkeypatch):
    run = fake_run.write(tmp_path / "one")

    def missing(runs):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(comparison, "plot", missing)
    result = comparison.compare([run], tmp_path / "out")
    assert "matplotlib is not installed" in (tmp_path / "out" / "comparison.md").read_text()
    assert not (tmp_path / "out" / "comparison.png").exists()
    assert all(p.exists() for p in result.files)


def test_compare_nothing(tmp_path):
    with pytest.raises(UserError, match="neither a run"):
        comparison.compare(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="Nothing to compare"):
        comparison.compare([tmp_path])


def test_sizes_and_durations():
    assert [report.size(n) for n in (12, 2048, 3 * 2**20, 2**31, 2**41)] == [
        "12 B", "2.0 KiB", "3.0 MiB", "2.0 GiB", "2.0 TiB",
    ]
    assert [report.duration(s) for s in (4.25, 185, 7620)] == ["4.2 s", "3 min 05 s", "2 h 07 min"]
