"""`jaxedit preference`: from a run to the sheet. What sheets and tallies say: tests/apply."""

import json
import shlex

from jaxedit import cli
from tests.run import test_measure

run = test_measure.run  # a fixture: stages dawn, noon and dusk


def test_from_a_run_to_the_sheet(run, tmp_path, capsys):
    folder, study = run(compare=("dawn",)), tmp_path / "a study"
    words = ["preference", "pictures", "--run", str(folder), "--output", str(study)]
    assert cli.main([*words, "--count", "-1"]) == 2
    assert "--count is -1" in capsys.readouterr().err and not study.exists()
    assert cli.main([*words, "--count", "2"]) == 0
    said = capsys.readouterr()
    assert f"written: {study / 'dawn'} (2 pictures)" in said.err
    program, *sheet = shlex.split(said.out)
    assert program == "jaxedit" and cli.main(sheet) == 0
    key = json.loads((study / "sheet.key.json").read_text())
    pairs = {frozenset((q["left"], q["right"])) for q in key["questions"].values()}
    assert len(key["questions"]) == 6 and pairs == {
        frozenset(pair) for pair in (("model", "dawn"), ("model", "grey"), ("dawn", "grey"))
    }
    assert cli.main(words) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_what_judges_could_not_answer_is_refused(tmp_path, capsys):
    sheet, page = ["preference", "sheet"], ["--output", str(tmp_path / "page.html")]
    again = f"{tmp_path}/../{tmp_path.name}"
    assert cli.main([*sheet, f"a={tmp_path}", "b=x", f"c={again}", *page]) == 2
    assert "'a' and 'c' are both" in capsys.readouterr().err
    assert cli.main([*sheet, "a=x", "b=y", *page, "--question", " "]) == 2
    assert "--question is empty" in capsys.readouterr().err
