"""The report page of a run, and of two."""

import base64
import gzip
import html.parser
import json
import os
import re
import shutil

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.report import page as report
from jaxedit.report import pictures
from tests import fake_run


class Page(html.parser.HTMLParser):
    """Checks nesting, collects text, scripts, cells and every address that a browser would load."""

    EMPTY = {"meta", "img", "input"}
    TAGS = EMPTY | set(
        "html head body title style script noscript section header div span h1 h2 h3 h4 p b small "
        "table caption thead tbody tr th td ul li figure figcaption label output details "
        "summary".split()
    )

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.best, self.text, self.images = [], [], [], [], []
        self.scripts = {}
        self._in_best = False
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert tag in self.TAGS and not any(name.startswith("on") for name in values), tag
        self.loads += [values[a] for a in ("src", "href", "srcset", "data") if a in values]
        self.images += [values] if tag == "img" else []
        self._in_best = values.get("class") == "best"
        self._script = values.get("id", "page") if tag == "script" else None
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
            return
        self.text.append(data)
        if self._in_best:
            self.best.append(data)
            self._in_best = False

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))

    @property
    def figures(self):
        return json.loads(self.scripts["figures"])


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def run(tmp_path):
    return fake_run.write(tmp_path / "my-run")


def test_page_is_self_contained_and_complete(run):
    path = report.write(run)
    text = path.read_text()
    page = Page(text)
    assert page.loads and all(a.startswith("data:image/png;base64,") for a in page.loads)
    assert "url(http" not in text and "@import" not in text
    words = page.words
    for wanted in ("my-run", "120", "12.5 s", "3.0 GiB", "123k", "n = 9",
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
    text = report.write(run).read_text()
    tiles = re.findall(r"<b>([^<]*)</b>(parameters|FLOPs per step)", text)
    assert tiles == [("2M", "parameters"), ("4e9", "FLOPs per step")]


def test_stages_count_their_steps_each(run):
    change(run / "config.json", stages=[
        {"name": "bank", "build": True}, {"name": "first", "overrides": {"train": {"steps": 70}}},
        {"name": "train"},
    ])
    rows = [{"stage": s, "step": n, "seconds_per_step": 1.0} for s in ("first", "train")
            for n in (10, 20)]
    (run / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(report.write(run).read_text())
    assert "120 of 190 steps" in page.words
    speed = page.figures[-1]["data"]
    assert [(line["name"], line["x"]) for line in speed] == [
        ("first", [10, 20]), ("train", [10, 20])
    ]


def test_a_running_run_gives_a_partial_page(tmp_path):
    run = tmp_path / "young"
    run.mkdir()
    (run / "config.json").write_text('{"method": "scat", "train": {"steps": 1200}}')
    (run / "metrics.jsonl").write_text('{"stage": "train", "step": 1, "split": "train", "a": 2}\n'
                                       '{"stage": "train", "st')
    page = Page(report.write(run).read_text())
    assert "of 1 200 steps" in page.words and "a" in page.text
    assert page.figures[0]["data"][0]["y"] == [2]


def test_other_evaluations_are_shown_too(run):
    (run / "evaluation-step80-faces.json").write_text(json.dumps(fake_run.evaluation(10.0, 80)))
    text = report.write(run).read_text()
    assert text.index("Evaluation at step 120") < text.index("Evaluation at step 80")


def test_the_curves_are_drawn_by_what_is_in_the_page(run):
    page = Page(report.write(run).read_text())
    assert b"plotly.js v" in gzip.decompress(base64.b64decode(page.scripts["plotly"]))[:100]
    names = {trace["name"] for figure in page.figures for trace in figure["data"]}
    assert {"training", "held-out (n = 4)", "(0.01,0.1] (n = 1)"} <= names
    # Nothing that a reader clicks sends the data anywhere.
    assert "showSendToCloud: false" in page.scripts["page"]
    assert "default-src 'none'" in report.write(run).read_text()


def test_earlier_pictures_are_there_to_leaf_through(run):
    for step in range(10, 130, 10):
        picture = np.full((20, 30, 3), step, np.uint8)
        pictures.record(run / "pictures", "train-samples", step, picture)
    text = report.write(run).read_text()
    images = Page(text).images
    steps = [int(image["data-step"]) for image in images]
    assert steps == sorted(steps) and steps[0] == 10 and steps[-1] == 120 and len(steps) > 5
    assert [i for i, image in enumerate(images) if "hidden" not in image] == [len(images) - 1]
    assert {image["width"] for image in images} == {"30"}
    newest = base64.b64encode((run / "pictures" / "train-samples.png").read_bytes()).decode()
    assert images[-1]["src"] == f"data:image/png;base64,{newest}"
    assert f'data-steps="{steps}"' in text and "<output>120</output>" in text


def test_every_measured_stage_has_its_table_and_curves(run):
    folder = run / "evaluations"
    folder.mkdir()
    curve = {"title": "Trade-off", "parameter": "strength", "x": "lpips", "y": "clip",
             "systems": {"model": [[0, 0.1, 0.2], [1, 0.3, 0.4]]}}
    first = fake_run.evaluation(22.0, 80) | {"stage": "pretrain", "name": "faces"}
    (folder / "pretrain-faces.json").write_text(json.dumps(first | {"curves": [curve]}))
    shutil.copy(run / "evaluation.json", folder / "train.json")  # the run's own, once more
    page = Page(report.write(run).read_text())
    assert page.words.count("Evaluation at step 120 on photos") == 1
    assert "Evaluation of pretrain (faces) at step 80" in page.words and "Trade-off" in page.words
    assert page.figures[0]["data"][0]["text"] == ["0", "1"]


def test_what_host_stages_made(run):
    folder = run / "artifacts" / "bank"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({
        "stage": "bank", "method": "toy", "facts": {"segments": 1234, "of": {"classes": 7}},
        "files": {"one.npz": {"bytes": 2048, "sha256": "ab" * 32}}, "seconds": 12.25,
    }))
    words = Page(report.write(run).read_text()).words
    for wanted in ("bank", "segments", "1234", "of.classes", "2.0 KiB in 1 file", "one.npz",
                   "ab" * 32, "12.2 s"):
        assert wanted in words, wanted


def test_the_time_of_each_stage(run):
    """Stages that build and stages that train in one table, in their order, and their sums."""
    change(run / "config.json", stages=[
        {"name": "bank", "build": True}, {"name": "first"}, {"name": "train"},
    ])
    folder = run / "artifacts" / "bank"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"seconds": 61.0, "files": {}}')
    change(run / "summary.json", stage_seconds={
        "train": {"train": 100.0, "compile": 20.5}, "first": {"train": 30.0, "compile": 9.0},
    })
    page = Page(report.write(run).read_text())
    expected = (
        "stage building training preparing programs in all bank 1 min 01 s 1 min 01 s "
        "first 30.0 s 9.0 s 39.0 s train 1 min 40 s 20.5 s 2 min 00 s "
        "in all 1 min 01 s 2 min 10 s 29.5 s 3 min 40 s"
    )
    assert f"Time of each stage {expected}" in page.words
    assert "stage_seconds" not in page.words


def test_two_runs_side_by_side(run, tmp_path):
    other = fake_run.write(tmp_path / "sweep" / "full" / "seed-3", 21.0, seed=3)
    pictures.record(other / "pictures", "only-here", 5, np.zeros((9, 9, 3), np.uint8))
    path = report.write(run, other)
    assert path == run / "report-beside-full-seed-3.html" and not (run / "report.html").exists()
    page = Page(path.read_text())
    assert "What was set differently my-run full/seed-3 train.seed 0 3" in page.words
    assert "my-run: Evaluation at step 120" in page.words
    assert "full/seed-3: Evaluation at step 120" in page.words
    assert page.best.count("25.00") == 1 and page.best.count("21.00") == 1
    psnr = next(f for f in page.figures if f["data"][0]["name"].startswith("held-out"))
    assert [(t["name"], t["line"]["dash"]) for t in psnr["data"]] == [
        ("held-out (n = 4) · my-run", "solid"), ("held-out (n = 4) · full/seed-3", "dash"),
    ]
    assert len(page.images) == 3 and "no such picture" in page.words
    assert report.write(run, other, tmp_path / "out").parent == tmp_path / "out"
    same_name = fake_run.write(tmp_path / "elsewhere" / "my-run")
    page = Page(report.write(run, same_name).read_text())
    assert {t["name"] for t in page.figures[0]["data"]} == {
        "held-out (n = 4) · my-run", "held-out (n = 4) · elsewhere/my-run"
    }


HOSTILE = "<img src=x onerror=y>\"'&</script></style><b>{{ 7 * 7 }}"


def spoil(value):
    """Puts markup into every name and every word."""
    if isinstance(value, dict):
        names = set(fake_run.evaluation()) | set(
            "stage name split step files bytes sha256 facts method preset curves title parameter "
            "x y".split()
        )
        return {k if k in names else k + HOSTILE: spoil(v) for k, v in value.items()}
    if isinstance(value, list):
        return [spoil(v) for v in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_whatever_a_run_holds_is_text(run):
    artifact = run / "artifacts" / "bank" / "manifest.json"
    artifact.parent.mkdir(parents=True)
    artifact.write_text(json.dumps({"facts": {"a": "b"}, "method": "m",
                                    "files": {"f": {"bytes": 1, "sha256": "c"}}}))
    change(run / "evaluation.json", notes=["note"], stage="s", name="n", curves=[
        {"title": "t", "parameter": "p", "x": "x", "y": "y", "systems": {"model": [["q", 1, 2]]}}
    ])
    count = 0
    for path in [*run.rglob("*.json"), *run.glob("*.jsonl")]:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        path.write_text("\n".join(json.dumps(spoil(json.loads(line))) for line in lines))
        count += 1
    assert count == 7
    change(run / "evaluation.json", counts=dict.fromkeys(
        json.loads((run / "evaluation.json").read_text())["groups"], HOSTILE))
    (run / "pictures" / "train-samples.png").rename(run / "pictures" / "<i>'\"&.png")
    hostile = run.with_name("<b>\"'&")
    os.rename(run, hostile)
    for path in (report.write(hostile), report.write(hostile, hostile)):
        text = path.read_text()
        page = Page(text)  # knows no tag and no attribute of what was put in
        assert all(address.startswith("data:image/png;base64,") for address in page.loads)
        assert page.words.count("<img src=x onerror=y>") > 30 and "49" not in page.words
        assert "n = <img" in page.words


def test_bad_folders_and_files(run, tmp_path):
    with pytest.raises(UserError, match="no run directory"):
        report.write(tmp_path)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([lines[0], "{broken", lines[1]]))
    with pytest.raises(UserError, match="line 2"):
        report.write(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", [
    "config.json", "versions.json", "summary.json", "evaluation.json", "evaluations/a.json",
    "artifacts/bank/manifest.json", "metrics.jsonl", "timing.jsonl",
])
def test_damaged_files_are_named(run, name):
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    good = path.read_bytes() if path.exists() else b"{}"
    damages = [b"[1]\n{}", b"\xff\xfe\n{}", b"\"x\"\n{}", good[: len(good) // 2] + b"\n{}"]
    if name == "config.json":
        damages += [b'{"train": 3}', b'{"train": {"steps": "many"}}', b'{"stages": [4]}']
    if name == "summary.json":
        damages += [b'{"parameters": 3}', b'{"peak_memory_bytes": "x"}', b'{"flops_per_step": [1]}',
                    b'{"stage_seconds": 3}', b'{"stage_seconds": {"a": {"train": "x"}}}']
    if name == "artifacts/bank/manifest.json":
        damages += [b'{"files": [1]}', b'{"files": {"a": {}}}', b'{"seconds": "x"}']
    if name.endswith(".jsonl"):
        damages += [b'{"a": 1, "step": "x"}\n{}', b'{"a": 1, "step": [1]}\n{}']
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            report.write(run)
    assert not (run / "report.html").exists()


def test_a_picture_that_is_none(run):
    pictures.record(run / "pictures", "a", 1, np.zeros((9, 9, 3), np.uint8))
    pictures.record(run / "pictures", "a", 2, np.zeros((9, 9, 3), np.uint8))
    (run / "pictures" / "a" / "00000001.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"00000001\.png is no picture"):
        report.write(run)


@pytest.mark.parametrize(("name", "text", "words"), [
    ("config.json", '{"a":' * 10**5, "nested too deep"),
    ("config.json", '{"train": {"steps": Infinity}}', "OverflowError"),
    ("summary.json", '{"compile_seconds": ' + "9" * 400 + "}", "400 digits"),
    ("metrics.jsonl", "[" * 10**5 + "\n{}", "nested too deep"),
    ("evaluation.json", {"groups": [["all"]]}, "'groups' is no list of words"),
    ("evaluation.json", {"metrics": ["psnr", "psnr"]}, "names one twice"),
    ("evaluation.json", {"titles": {"psnr": None}}, "'titles' is no list of words"),
    ("evaluation.json", {"samples": {"model": {"all": {"psnr": "x"}}}}, "no number"),
])
def test_damage_is_one_message_that_names_the_file(run, name, text, words):
    if isinstance(text, dict):
        change(run / name, **text)
    else:
        (run / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}.*{words}"):
        report.write(run)


def test_a_name_that_is_no_text_is_shown_by_its_bytes(run):
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = b"folder:/caf\xe9".decode("utf-8", "surrogateescape")
    (run / "config.json").write_text(json.dumps(config))
    assert r"folder:/caf\udce9" in report.write(run).read_text(encoding="utf-8")


def test_the_paragraph_then_pictures_then_tables(run):
    text = report.write(run).read_text()
    order = [text.index(word) for word in ("<h1>", '<p class="lead">', '<div class="tiles">',
                                           "<h2>Pictures</h2>", "<table>")]
    assert order == sorted(order) and text.count('<p class="lead">') == 1
    for wanted in ("samples measured in the course of training", "generator", "100 000",
                   "In between, 4 samples are measured"):
        assert wanted in Page(text).words, wanted


def test_what_two_tables_have_to_say_is_said_once(run):
    (run / "evaluation-step80.json").write_text(
        json.dumps(fake_run.evaluation(10.0, 80) | {"notes": ["of this one"]})
    )
    words = Page(report.write(run).read_text()).words
    assert words.count("lpips_alex: absent") == 1 and words.count("of this one") == 1
    said = set()
    first, second = (
        report.text_table(fake_run.evaluation() | {"notes": notes}, said)
        for notes in (["twice", "twice"], ["twice", "new"])
    )
    assert first.count("twice") == 1 and first.count("absent") == 1
    assert "twice" not in second and "absent" not in second and second.endswith("new")


def test_no_line_ends_within_a_number(run):
    assert "generator 100\u00a0000, " in report.write(run).read_text(encoding="utf-8")
    assert report._unbroken("2 034 467 of 12 in 3 4000") == "2\u00a0034\u00a0467 of 12 in 3 4000"
