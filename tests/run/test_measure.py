"""Every measured stage gets its table: which stages, which files."""

import json
import types

import jax
import pytest

from jaxedit import main
from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.report import page, reading
from jaxedit.run import checkpoint, directory, evaluate, measure
from jaxedit.run.figures import Result
from jaxedit.run.writer import Writer
from tests import fake_run
from tests.run.test_train import toy

STAGES = ("dawn", "noon", "dusk")


@pytest.fixture
def run(tmp_path):
    """A run of three stages, each with one checkpoint, that was never trained."""
    config = toy(("evaluate.limit", "8"), ("evaluate.pictures", "1"))
    with config.unlocked():
        config.stages = tuple({"name": name, "overrides": {}} for name in STAGES)
    return lambda **changes: write(tmp_path / "run", config, changes)


def write(folder, config, changes):
    with config.unlocked():
        config.evaluate.update(changes)
    directory.prepare(config, folder)
    method = method_lib.create(config)
    for number, name in enumerate(STAGES):
        state = jax.jit(lambda rng: method.init(rng, method.spec(1)))(jax.random.key(number))
        saver = checkpoint.Checkpointer(folder, name)
        saver.save(state.replace(ema=method.averages(state.params)), {}, None)
        saver.close()
    return folder


def files(folder):
    found = [*folder.glob("evaluation*.json"), *folder.glob("evaluations/*.json")]
    return {str(p.relative_to(folder)): json.loads(p.read_text()) for p in found}


def test_every_stage_is_measured_once(run):
    folder = run(compare=("dawn",))
    found = list(measure.measure_run(folder))
    assert [(m.stage, m.is_main) for m in found] == [("dusk", True), ("noon", False)]
    written = files(folder)
    assert set(written) == {"evaluation.json", "evaluations/noon.json"}
    main_one, noon = written["evaluation.json"], written["evaluations/noon.json"]
    assert (main_one["stage"], main_one["name"], main_one["curves"]) == ("dusk", "painting", [])
    assert main_one["systems"] == ["model", "dawn", "grey"]
    # What is compared stands in the last table already, and beside the stages that come after it.
    assert noon["systems"] == ["model", "dawn", "grey"] and noon["stage"] == "noon"
    tables = [main_one["table"], noon["table"]]
    assert tables[0]["dawn"] == tables[1]["dawn"] and tables[0]["model"] != tables[1]["model"]
    assert [m.to_json() for m in found] == [main_one, noon]
    assert found[0].heading == "" and "Stage noon, painting" in found[1].heading
    assert (folder / "pictures/evaluation-samples.png").is_file()
    assert (folder / "pictures/evaluations-noon-samples.png").is_file()


def test_stages_are_chosen(run, capsys):
    folder = run(stages=("noon",))
    assert [m.stage for m in measure.measure_run(folder)] == ["noon"]
    assert set(files(folder)) == {"evaluation.json"}
    arguments = ["--mode=evaluate", f"--workdir={folder}", "--config.evaluate.limit=3"]
    assert main.main([*arguments, "--stage=dawn"]) == 0
    assert "Stage dawn, painting" in capsys.readouterr().out
    written = files(folder)
    assert written["evaluations/dawn-step0.json"]["count"] == 3
    assert main.main([*arguments, "--stage=down"]) == 2
    assert "no checkpoint of a stage 'down'" in capsys.readouterr().err


def test_an_unknown_stage_is_named(run):
    with pytest.raises(UserError, match="evaluate.stages 'nun' is unknown.* 'noon'"):
        list(measure.measure_run(run(stages=("nun",))))


def test_a_run_of_before_the_choice_of_stages_goes_on_and_is_measured(run):
    folder = run()
    config = checkpoint.read_run_config(folder)
    old = json.loads((folder / "config.json").read_text())
    del old["evaluate"]["stages"]
    (folder / "config.json").write_text(json.dumps(old))
    with config.unlocked():
        config.evaluate.stages = ("noon",)
    assert directory.check(config, folder)
    assert measure.check_stages(checkpoint.read_run_config(folder)) == list(STAGES)
    with config.unlocked():
        config.evaluate.seed += 1
    with pytest.raises(UserError, match="evaluate.seed: 1234 there, 1235 here"):
        directory.check(config, folder)


def test_sources_of_one_name_have_files_of_their_own(tmp_path, monkeypatch):
    """Whichever was measured first keeps the plain name; the same source comes back to its own."""
    config = toy()
    for name in ("here", "there"):
        (tmp_path / name / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")

    def suffix(source, stage="dusk", is_main=True):
        with config.unlocked():
            config.evaluate.source = source
        return measure.suffix_of(tmp_path, stage, config, "-step3", is_main=is_main)

    def record(**said):
        (tmp_path / f"evaluation{plain}.json").write_text(json.dumps(said))

    plain = "-step3-folder-photos"
    assert suffix("folder:a/photos") == plain
    record(source="folder:a/photos", place=f"folder:{tmp_path}/here/a/photos")
    assert suffix("folder:a/photos") == suffix(f"folder:{tmp_path}/here/a/photos") == plain
    other, half = suffix("folder:b/photos"), suffix("half:first:folder:a/photos")
    assert other.startswith(f"{plain}-") and len(other) == len(plain) + 9
    assert suffix("folder:b/photos") == other != suffix("folder:c/photos")
    assert half == "-step3-half-photos"
    # The same words in another directory are another folder, another path may be the same one.
    monkeypatch.chdir(tmp_path / "there")
    assert suffix("folder:a/photos").startswith(f"{plain}-")
    (tmp_path / "there" / "link").symlink_to(tmp_path / "here" / "a")
    assert suffix("folder:link/photos") == suffix("folder:../here/a/photos") == plain
    # Of a relative path in an older file nobody knows where it led: it is not replaced.
    record(source="folder:a/photos")
    assert suffix("folder:a/photos").startswith(f"{plain}-")
    record(source=f"folder:{tmp_path}/here/a/photos")
    assert suffix("folder:link/photos") == plain
    # Files of another stage are no obstacle.
    assert suffix("folder:b/photos", "noon", is_main=False) == plain
    (tmp_path / "evaluations").mkdir()
    (tmp_path / f"evaluations/noon{plain}.json").write_text("{}")
    assert suffix("folder:b/photos", "noon", is_main=False) == plain
    assert suffix("") == "-step3"
    # Of the run's own source an older file is: that is what the run was always measured on.
    with config.unlocked():
        config.data.source, config.evaluate.source = "folder:a/photos", ""
    (tmp_path / "evaluation.json").write_text(json.dumps({"source": "folder:a/photos"}))
    assert measure.suffix_of(tmp_path, "dusk", config, "", is_main=True) == ""
    record_of_own = {"source": "folder:a/photos", "place": f"folder:{tmp_path}/here/a/photos"}
    (tmp_path / "evaluation.json").write_text(json.dumps(record_of_own))
    assert measure.suffix_of(tmp_path, "dusk", config, "", is_main=True).startswith("-")


def test_a_source_that_is_spelled_otherwise_keeps_to_its_held_out_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = toy()
    with config.unlocked():
        config.data.source, config.evaluate.source = "photos+folder:x", f"folder:{tmp_path}/x/"
    name, split = evaluate.evaluation_source(config)
    assert (split(name), split("folder:y"), split("photos")) == ("eval", "all", "eval")


def found_at(step, psnr):
    """Returns (step, the figures of an evaluation then)."""
    table = {"model": {"all": {"psnr": psnr}}}
    return step, Result(
        table, {"all": 1}, {"model": {"all": {"psnr": 1}}}, ["psnr"], {"psnr": "PSNR"},
        {"psnr": True}, [], [], "photos", "photos", {}, "painting", seconds={"model": psnr / 100},
    )


def test_what_is_measured_beside_a_run_replaces_nothing_and_is_not_cut_back(tmp_path):
    """As where the run has ended, or is killed and resumed, while another process measures."""
    fake_run.write(tmp_path / "run")
    output = Writer(tmp_path / "run", active=True, stages=("train",))
    keep = lambda stage, step, result, beside=True: output.evaluation(
        result, "evaluation", step, stage, beside
    ).name
    assert keep("train", *found_at(12, 25.0)) == "evaluation.json"
    assert keep("train", *found_at(4, 20.0)) == "evaluation-step4.json"
    assert keep("train", *found_at(12, 26.0)) == "evaluation.json"
    written = files(tmp_path / "run")
    assert [written[f"evaluation{of}.json"]["table"]["model"]["all"]["psnr"]
            for of in ("", "-step4")] == [26.0, 20.0]
    output.rewind("train", 0, {})
    output.close()
    rows = reading.read(tmp_path / "run").timing
    assert [(row["step"], row["seconds_per_sample/painting/model"]) for row in rows] == [
        (12, 0.25), (4, 0.2), (12, 0.26)
    ]
    # The run itself, begun again with fewer steps, yields to nothing it finds.
    assert keep("train", *found_at(8, 21.0), beside=False) == "evaluation.json"
    assert files(tmp_path / "run")["evaluation.json"]["step"] == 8
    assert keep("dusk", *found_at(3, 9.0)) == "evaluation.json"  # of another stage


def test_the_file_stands_before_its_pictures_are_drawn(tmp_path, monkeypatch):
    """Else a run could end between the look whether it has and the file that yields to it."""
    _, result = found_at(4, 20.0)
    result.grids["samples"] = None
    there = []
    monkeypatch.setattr(Writer, "picture", lambda self, name, step, image: there.append(
        (name, (self.run_dir / "evaluation.json").exists())
    ))
    Writer(tmp_path, active=True).evaluation(result, "evaluation", 4, "", beside=True)
    assert there == [("evaluation-samples", True)]


def test_only_what_is_measured_beside_a_run_yields(tmp_path, monkeypatch):
    told = []

    def found(*_, beside, **__):
        told.append(beside)
        return found_at(4, 20.0)[1]

    monkeypatch.setattr(evaluate, "evaluate", found)
    config = toy()
    method = types.SimpleNamespace(evaluations=lambda: {"painting": None})
    for beside in ({}, {"beside": True}):
        list(measure.measure_state(
            method, config, types.SimpleNamespace(step=4), tmp_path, "dusk", **beside
        ))
    assert told == [False, True]


def test_the_page_of_a_run_that_has_ended_meanwhile_is_written_again(run, monkeypatch):
    folder, pages, write_page = run(), [], page.write

    def slow(run_dir):
        pages.append((run_dir / "DONE").exists())
        written = write_page(run_dir)
        (run_dir / "DONE").write_text("")  # by the run, whose last page this one has replaced
        return written

    beside = []
    monkeypatch.setattr(
        measure, "measure_state", lambda *_, **said: beside.append(said["beside"]) or iter(())
    )
    monkeypatch.setattr(page, "write", slow)
    for _ in range(2):
        assert main.main(["--mode=evaluate", f"--workdir={folder}"]) == 0
    assert pages == [False, True, True] and beside == [True, True]
