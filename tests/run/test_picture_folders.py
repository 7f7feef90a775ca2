"""What every system made of the same inputs, in folders."""

import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.run import evaluate, picture_folders, readers
from tests.run import test_measure

run = test_measure.run  # a fixture: stages dawn, noon and dusk


def read(folder):
    return {path.stem: np.asarray(Image.open(path)) for path in folder.iterdir()}


def test_pictures_are_those_of_the_table(run, tmp_path):
    folder = run(compare=("dawn",))
    systems, reference, count = picture_folders.write(folder, tmp_path / "study", count=5)
    assert list(systems) == ["model", "dawn", "grey"] and count == 5
    found = {name: read(path) for name, path in {**systems, "given": reference}.items()}
    assert {tuple(sorted(one)) for one in found.values()} == {
        tuple(f"{number:05}" for number in range(5))
    }
    config, method, state = readers.load_run(folder)
    evaluator = evaluate.Evaluator(method, config)
    batch, index = next(iter(evaluator._batches(5)))
    valid = batch.pop("valid")
    outputs = evaluator._outputs({"model": state}, {}, batch, index, valid)["model"]["composite"]
    for number, picture in enumerate(levels.of_picture(outputs)[:5]):
        np.testing.assert_array_equal(found["model"][f"{number:05}"], picture)
        assert (found["dawn"][f"{number:05}"] != picture).any()
    hole = batch["mask"][0, ..., 0] > 0
    assert (found["given"]["00000"][hole] == 128).all()
    # An earlier stage is not compared with itself, and nothing is written over.
    earlier, _, _ = picture_folders.write(folder, tmp_path / "dawn", stage="dawn", count=1)
    assert list(earlier) == ["model", "grey"]
    with pytest.raises(UserError, match="not an empty folder"):
        picture_folders.write(folder, tmp_path / "study")
    assert len(read(systems["model"])) == 5


@pytest.mark.parametrize("systems", [["model", "a b", "a-b"], ["model", "reference"]])
def test_folders_have_names_of_their_own(systems):
    assert picture_folders._names(["model", "nearest picture"]) == {
        "model": "model", "nearest picture": "nearest-picture"
    }
    with pytest.raises(UserError, match="folder name of their own"):
        picture_folders._names(systems)
