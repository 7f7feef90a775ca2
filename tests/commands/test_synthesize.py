"""What `jaxedit synthesize` says and refuses; what it makes: tests/methods/sims."""

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.apply import contact_sheet
from jaxedit.commands import label_maps
from jaxedit.data import own_files
from jaxedit.errors import UserError
from tests.methods.sims import banks


def test_classes_of_which_nothing_is_seen_and_donors_that_are_kept(tmp_path, capsys):
    bank = banks.make(tmp_path / "bank", banks.Layouts(6))
    out, labels = tmp_path / "out.png", tmp_path / "labels.png"
    label = banks.layout(9).astype(np.uint8)
    new, other = np.unique(label)[:2]
    label[label == new] = other
    label[5, 7] = new  # too small to be looked up
    Image.fromarray(label).save(labels)
    go = ["synthesize", str(labels), "--bank", str(bank.folder), "--canvas-only", str(out)]
    assert cli.main(go) == 0
    said = capsys.readouterr().err
    assert f"has no pixel of the bank for {bank.classes.names[new]}, too small or" in said
    # What names the donors is replaced as little as the result itself.
    out.unlink()
    assert cli.main(go) == 2
    assert "out.donors.json already exists" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("a.png", "a.npy"), ("a.png", "a.canvas.png")])
def test_two_layouts_never_lead_to_one_file(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="would both lead to"):
        label_maps.collect(tmp_path, tmp_path / "out", 1, False, keeps_canvas=True)


def test_previews_of_label_maps_are_no_label_maps(tmp_path):
    """What `jaxedit label` made of a folder is what this takes."""
    for name in ("a.png", "a-preview.png", "b-preview.png", "classes.json"):
        (tmp_path / name).write_bytes(b"")
    said = []
    jobs = label_maps.collect(tmp_path, tmp_path / "out", 1, False, say=said.append)
    assert [job.labels.name for job in jobs] == ["a.png", "b-preview.png"]  # the last is of none
    assert said == [f"{tmp_path / 'a-preview.png'} is the preview of a label map; it is left out."]
    # A canvas tells by itself what it is; and results are not put among the label maps.
    contact_sheet.write_grey(tmp_path / "c.png", np.zeros((4, 4), np.uint8), own_files.SHEET)
    assert label_maps.collect(tmp_path, tmp_path / "out", 1, False, say=said.append) == jobs
    with pytest.raises(UserError, match="would lie among the files of"):
        label_maps.collect(tmp_path, tmp_path, 1, True, say=said.append)


def test_the_size_that_keeps_a_shape_is_about_that_of_the_networks(tmp_path):
    (said,) = label_maps.stretched(tmp_path, (270, 480), (64, 64))
    assert said.endswith("for example --size 114x64.")
    assert label_maps.stretched(tmp_path, (128, 128), (64, 64)) == []
