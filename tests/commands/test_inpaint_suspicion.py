"""`jaxedit inpaint --save-suspicion`: the map beside the result, and who cannot make one."""

import types

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.commands import holes
from jaxedit.errors import UserError
from tests.commands import test_inpaint
from tests.commands.test_inpaint import constant, go

files = test_inpaint.files

class Trained:
    """An applier with a discriminator, which suspects the left half of what it is shown."""

    def __init__(self, *networks):
        self.task = types.SimpleNamespace(trained_on=64)
        self.method = types.SimpleNamespace(tasks={"inpaint": None, "suspect": None})
        self.variables = types.SimpleNamespace(params=dict.fromkeys(networks))

    def __call__(self, **inputs):
        return constant(**inputs)

    def beside(self, task):
        assert task == "suspect"

        def suspect(image):
            found = np.zeros((*image.shape[:2], 1), np.float32)
            found[:, : image.shape[1] // 2] = 1
            return {"suspicion": found}

        return suspect


def test_what_the_discriminator_suspects_is_kept(files, tmp_path):
    folder, _, hole = files
    load = lambda: Trained("generator", "discriminator")
    place = tmp_path / "seen.png"
    go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png", load, suspected=place)
    seen = np.asarray(Image.open(place))
    expected = hole & (np.arange(hole.shape[1]) < hole.shape[1] // 2)
    np.testing.assert_array_equal(seen, np.where(expected, 255, 0))
    # Feathering changes more than the hole.
    go(folder / "photo.png", folder / "mask.png", tmp_path / "soft.png", load, suspected=place,
       edge=holes.Edge(feather=2))
    assert (np.asarray(Image.open(place)) > 0).sum() > expected.sum()


def test_maps_of_a_folder_go_into_folders_of_their_own(files, tmp_path):
    folder, _, _ = files
    (tmp_path / "photos/sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png"):
        test_inpaint.write_photo(tmp_path / "photos" / name)
    go(tmp_path / "photos", folder / "mask.png", tmp_path / "out",
       lambda: Trained("generator", "discriminator"), suspected=tmp_path / "maps/of")
    found = sorted(p.relative_to(tmp_path / "maps/of") for p in (tmp_path / "maps").rglob("*.png"))
    assert [str(p) for p in found] == ["a.png", "sub/a.png"]


def test_a_network_alone_suspects_nothing_and_writes_nothing(files, tmp_path):
    folder, _, _ = files
    with pytest.raises(UserError, match="--save-suspicion wants the discriminator"):
        go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png",
           lambda: Trained("generator"), suspected=tmp_path / "seen.png")
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("more, words", [
    (["--classical", "telea"], "--save-suspicion asks a network's discriminator"),
    (["--run", "r", "--compare", "OUT/seen.png"], "--compare and --save-suspicion are both"),
    (["--run", "r", "--output", "OUT/seen.png"], "--save-suspicion and --output are both"),
    (["--run", "r", "--output", "OUT/../LAST/seen.png"], "--save-suspicion and --output are"),
    (["--run", "r", "--compare", "OUT/../LAST/seen.png"], "--compare and --save-suspicion are"),
])
def test_places_of_suspicion(files, tmp_path, capsys, more, words):
    folder, _, _ = files
    given = [str(folder / "photo.png"), str(folder / "mask.png"), "--save-suspicion",
             str(tmp_path / "seen.png")]
    given += [word.replace("OUT", str(tmp_path)).replace("LAST", tmp_path.name) for word in more]
    given += [] if "--output" in more else ["--output", str(tmp_path / "out.png")]
    assert cli.main(["inpaint", *given]) == 2
    assert words in capsys.readouterr().err


def test_folders_of_sheets_within_each_other_do_not_meet(files, tmp_path, capsys):
    folder, _, _ = files
    (tmp_path / "photos/sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png"):
        test_inpaint.write_photo(tmp_path / "photos" / name)
    words = ["inpaint", tmp_path / "photos", folder / "mask.png", "--run", "r", "--output",
             tmp_path / "out", "--compare", tmp_path / "k", "--save-suspicion", tmp_path / "k/sub"]
    assert cli.main(list(map(str, words))) == 2
    assert "--compare and --save-suspicion are both" in capsys.readouterr().err
