"""Where the time went: four kinds apart, added up over resumptions."""

import contextlib
import json

import pytest

from jaxedit.run import summary, writer


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(summary.time, "perf_counter", lambda: now[0])
    return now


def spend(clock, record):
    """Ten seconds of a stage: 4 compiling, 2 evaluating, 1 saving, 3 training."""
    phases = {}
    record.start(phases)
    clock[0] += 4
    phases["paint"] = {"compile_seconds": 4.0, "flops": 7.0}
    clock[0] += 3
    with record.measure(summary.EVALUATE):
        clock[0] += 2
    with record.measure(summary.SAVE):
        clock[0] += 1


NETWORKS = {"painter": 20, "critic": 10}


def test_seconds_are_apart_and_add_up_over_resumptions(clock, tmp_path):
    first = summary.StageRecord(8, NETWORKS, 350, "from nothing")
    spend(clock, first)
    first.skipped["folder:x"] = {"a.png": "is empty"}
    assert first.to_json()["seconds"] == {"train": 3, "compile": 4, "evaluate": 2, "save": 1}
    kept = json.loads(json.dumps(first.to_json()))
    clock[0] += 1000  # the run is not there for a while
    second = summary.StageRecord(8, NETWORKS, 350, "from nothing", kept)
    assert not second.ran and second.to_json()["seconds"] == kept["seconds"]
    spend(clock, second)
    second.skipped["folder:x"]["b.png"] = "is empty"
    found = second.to_json()
    assert found["seconds"] == {"train": 6, "compile": 8, "evaluate": 4, "save": 2}
    assert found["phases"]["paint"] == {"compile_seconds": 8.0, "flops": 7.0}
    assert found["peak_memory_bytes"] >= kept["peak_memory_bytes"] > 0

    done = summary.StageRecord(8, NETWORKS, 350, "from nothing", kept).to_json()
    summary.write(writer.Writer(tmp_path, active=True), {"one": done, "two": found})
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written["train_seconds"] == 9
    assert written["begins"] == {"one": "from nothing", "two": "from nothing"}
    assert list(written["skipped"]["two"]["folder:x"]) == ["a.png", "b.png"]
    assert list(written["skipped"]["one"]["folder:x"]) == ["a.png"]
    assert written["compile_seconds"] == {"one/paint": 4.0, "two/paint": 8.0}
    assert written["steps"] == {"one": 8, "two": 8} and written["records"]["one"] == 350
    assert written["parameters"] == {"one": 30, "two": 30}
    assert written["networks"]["two"] == {"painter": 20, "critic": 10}


def test_a_kill_before_the_last_writing_is_noticed(tmp_path):
    assert not summary.tells_of(tmp_path, ["one"])
    (tmp_path / "summary.json").write_text('{"steps": {"one": 3}}')
    assert summary.tells_of(tmp_path, ["one"]) and not summary.tells_of(tmp_path, ["one", "two"])
    (tmp_path / "summary.json").write_text("{}")  # of an older version
    assert summary.tells_of(tmp_path, ["one"])


def test_events_of_one_second_are_all_kept(tmp_path):
    """Each stage that is measured has a file of its own; by the clock alone one replaced another.
    """
    for name in ("one", "two"):
        with contextlib.closing(writer.Writer(tmp_path)) as output:
            output.timing(name, 1, {"seconds": 1.0})
    assert len(list((tmp_path / "events").iterdir())) == 2
