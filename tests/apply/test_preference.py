"""Blind comparison by people: the page, its key, and the tally."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from jaxedit import cli
from jaxedit.apply import preference
from jaxedit.errors import UserError


@pytest.fixture
def systems(tmp_path):
    folders = {}
    for number, name in enumerate(("ours", "telea", "nothing")):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for picture in range(4):
            colour = np.full((4, 6, 3), 60 * number + picture, np.uint8)
            Image.fromarray(colour).save(folders[name] / f"{picture}.png")
    return folders


def answer(key, path, choose):
    content = json.loads(key.read_text())
    answers = {
        name: "left" if choose(question["left"], question["picture"]) else "right"
        for name, question in content["questions"].items()
    }
    path.write_text(json.dumps(
        {"sheet": content["sheet"], "session": path.stem, "answers": answers}
    ))
    return path


def test_the_page_is_blind_and_whole(systems, tmp_path):
    output = tmp_path / "study" / "sheet.html"
    key, count = preference.write_sheet(systems, output, reference=systems["nothing"], seed=3)
    assert count == 3 * 4
    page = output.read_text()
    assert not re.search("ours|telea|https?://", page)
    assert page.count("data:image/png;base64,") == 3 * 4  # the reference is one of the systems
    questions = json.loads(key.read_text())["questions"]
    for first, second in (("ours", "telea"), ("nothing", "ours"), ("nothing", "telea")):
        of_pair = [q for q in questions.values() if {q["left"], q["right"]} == {first, second}]
        assert sorted(q["picture"] for q in of_pair) == ["0", "1", "2", "3"]
    assert len({q["left"] for q in questions.values()}) == 3
    again, _ = preference.write_sheet(
        systems, tmp_path / "again.html", reference=systems["nothing"], seed=3
    )
    assert again.read_text() == key.read_text()
    other, count = preference.write_sheet(systems, tmp_path / "other.html", seed=4, count=5)
    assert count == 5 and json.loads(other.read_text())["questions"] != questions


def test_the_tally_counts_wins(systems, tmp_path):
    two = {name: systems[name] for name in ("ours", "telea")}
    key, _ = preference.write_sheet(two, tmp_path / "sheet.html")
    # Both judges prefer ours on 0 and 1, differ on 2, and prefer the other on 3.
    one = answer(key, tmp_path / "a.json", lambda left, n: (left == "ours") == (n in "012"))
    other = answer(key, tmp_path / "b.json", lambda left, n: (left == "ours") == (n in "01"))
    (found,) = preference.tally(key, [one, other])
    assert (found.first, found.second) == ("ours", "telea")
    assert (found.wins, found.judgements, found.pictures) == (5, 8, 4)
    assert found.share == 5 / 8
    assert found.p_value == stats.binomtest(2, 3).pvalue
    low, high = found.interval
    assert 0 <= low < 5 / 8 < high <= 1
    assert "| ours | telea | 62.5% |" in preference.as_text([found])


def test_where_all_agree_the_interval_is_exact(systems, tmp_path):
    two = {name: systems[name] for name in ("ours", "telea")}
    key, _ = preference.write_sheet(two, tmp_path / "sheet.html")
    (found,) = preference.tally(key, [answer(key, tmp_path / "a.json", lambda s, _: s == "ours")])
    assert found.share == 1
    assert found.interval == pytest.approx((0.025 ** (1 / 4), 1.0))  # Clopper and Pearson, 4 of 4


def test_the_command(systems, tmp_path, capsys):
    sheet = tmp_path / "sheet.html"
    words = [f"{name}={systems[name]}" for name in ("ours", "telea")]
    assert cli.main(["preference", "sheet", *words, "--output", str(sheet)]) == 0
    key = tmp_path / "sheet.key.json"
    before = key.read_bytes()
    again = ["preference", "sheet", *words[::-1], "--output", str(sheet)]
    assert cli.main([*again, "--seed", "5"]) == 2
    assert "already exists" in capsys.readouterr().err and key.read_bytes() == before
    assert cli.main([*again, "--overwrite"]) == 0
    answers = answer(key, tmp_path / "a.json", lambda system, _: system == "telea")
    assert cli.main(["preference", "tally", str(key), str(answers)]) == 0
    assert "| ours | telea | 0.0% |" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "message"), [
    (["ours=DIR/ours"], "two systems or more"),
    (["DIR/ours", "telea=DIR/telea"], "is not NAME=FOLDER"),
    (["a=DIR/ours", "a=DIR/telea"], "Two systems are named 'a'"),
    (["a=DIR/ours", "b=DIR/absent"], "is no folder"),
    (["a=DIR/ours", "b=DIR/lacking"], "b lacks 1 picture(s)"),
    (["a=DIR/ours", "b=DIR/twice"], "0.png have the same name but for the suffix"),
    (["a=DIR/ours", "b=DIR/telea", "--reference", "DIR/lacking"], "has no picture '3'"),
    (["a=DIR/ours", "b=DIR/telea", "--count", "-1"], "--count is -1"),
])
def test_bad_sheets(systems, tmp_path, capsys, words, message):
    for name in ("lacking", "twice"):
        (tmp_path / name).mkdir()
        for path in systems["ours"].iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "lacking" / "3.png").unlink()
    (tmp_path / "twice" / "0.jpg").write_bytes(b"")
    words = [word.replace("DIR", str(tmp_path)) for word in words]
    output = tmp_path / "sheet.html"
    assert cli.main(["preference", "sheet", *words, "--output", str(output)]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_bad_answers(systems, tmp_path):
    two = {name: systems[name] for name in ("ours", "telea")}
    key, _ = preference.write_sheet(two, tmp_path / "sheet.html")
    good = answer(key, tmp_path / "a.json", lambda *_: True)
    # The same names, other pictures: another sheet.
    others = {"ours": systems["ours"], "telea": systems["nothing"]}
    elsewhere, _ = preference.write_sheet(others, tmp_path / "elsewhere.html")
    other, _ = preference.write_sheet(two, tmp_path / "other.html", seed=1)
    (tmp_path / "text.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    changed = json.loads(good.read_text())
    changed.update(answers={"0": "left"}, session="c")
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    swapped = json.loads(key.read_text())
    one = next(iter(swapped["questions"].values()))
    one["left"], one["right"] = one["right"], one["left"]
    (tmp_path / "swapped.json").write_text(json.dumps(swapped))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    changed.update(answers={})
    (tmp_path / "empty.json").write_text(json.dumps(changed))
    for used, paths, message in (
        (other, [good], "answers another sheet"),
        (elsewhere, [good], "answers another sheet"),
        (key, [good, good], "the same answers"),
        (key, [tmp_path / "text.json"], "is no JSON"),
        (key, [tmp_path / "list.json"], "is not of a comparison sheet"),
        (key, [tmp_path / "changed.json"], "none of this sheet"),
        (key, [tmp_path / "absent.json"], "cannot be read"),
        (key, [tmp_path / "deep.json"], "is no JSON"),
        (tmp_path / "swapped.json", [good], "not the key as it was written"),
        (key, [tmp_path / "empty.json"], "No question has been answered"),
    ):
        with pytest.raises(UserError, match=message):
            preference.tally(used, paths)
