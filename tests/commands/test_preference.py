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
