"""`jaxedit weights` at the terminal."""

import re

import pytest

from jaxedit import cli
from jaxedit.apply import alignment
from jaxedit.weights import shipped


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    card = {"what": "a tiny network", "licence": "Apache-2.0", "recipe": "none", "figures": {},
            "data": [{"name": "photos", "licence": "CC0"}]}
    return shipped.write(tmp_path, "tiny-small", {"params": {}, "code": [1.0]}, card)


def test_shipped_weights_are_listed_and_need_no_download(tiny, capsys):
    assert cli.main(["weights", "list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["tiny-small", "shipped", "a", "tiny", "network"]
    assert ["here", str(tiny)] in lines and ["from", "this", "package"] in lines
    assert cli.main(["weights", "get", "tiny-small"]) == 0
    output = capsys.readouterr()
    assert output.out.strip() == str(tiny) and "come with jaxedit" in output.err


def test_what_is_used_as_published_is_listed_with_its_licence(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    (tmp_path / alignment.PREDICTOR).write_bytes(b"")
    assert cli.main(["weights", "list"]) == 0
    shown = capsys.readouterr().out
    starts = [line for line in shown.splitlines() if line and line[0] != " "]
    assert len({re.search(" (ready|absent|shipped) ", line).start() for line in starts}) == 1
    shown = re.sub(" +", " ", shown)
    for words in ("dlib-landmarks ready", "clipseg-rd64-refined absent",
                  "https://huggingface.co/CIDAS/clipseg-rd64-refined", "excludes commercial use",
                  f"{alignment.PREDICTOR}.bz2"):
        assert words in shown
    assert cli.main(["weights", "get", "clipseg-rd64-refined"]) == 2
    assert "as it is published, at https://huggingface.co/CIDAS" in capsys.readouterr().err


def test_a_file_that_needs_a_person(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    assert cli.main(["weights", "get", "aotgan-places2"]) == 2
    assert "press Download), then run: jaxedit weights convert aotgan" in capsys.readouterr().err
