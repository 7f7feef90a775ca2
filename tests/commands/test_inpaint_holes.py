"""`jaxedit inpaint`: the hole's edge, one mask for many photographs, the output as last word."""

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.apply import hole as hole_shapes
from tests.commands.test_inpaint import files, write_photo

__all__ = ["files"]  # a fixture


def test_the_hole_is_widened_narrowed_and_faded(files, tmp_path):
    folder, pixels, hole = files
    photo, mask = folder / "photo.png", folder / "mask.png"

    def changed(name, *words):
        out = tmp_path / f"{name}.png"
        assert cli.main(["inpaint", str(photo), str(mask), "--classical", "telea", *words,
                         str(out)]) == 0
        return (np.asarray(Image.open(out)) != pixels).any(-1)

    near = np.zeros_like(hole)
    near[4:9, 4:18] = near[3:10, 5:17] = True
    assert (changed("grown", "--grow", "1") <= near).all()
    assert (changed("grown-too", "--grow", "1") & ~hole).any()
    inner = np.zeros_like(hole)
    inner[5:8, 6:16] = True
    assert (changed("shrunk", "--shrink", "1") <= inner).all()
    faded = changed("faded", "--feather", "1")
    assert (faded <= near).all() and (faded & ~hole).any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grow", "-1"], "--grow is -1"),
        (["--grow", "2", "--shrink", "2"], "are opposites"),
        (["--shrink", "3"], "--shrink 3 leaves nothing"),
        (["--grow", "40"], "makes the whole photo a hole"),
        (["--grow", "10", "--feather", "30"], "makes the whole photo a hole"),
    ],
)
def test_edges_that_leave_nothing(files, tmp_path, capsys, words, message):
    folder, _, _ = files
    assert cli.main(["inpaint", str(folder / "photo.png"), str(folder / "mask.png"),
                     "--classical", "telea", *words, "--output", str(tmp_path / "out.png")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_one_mask_for_a_folder_of_photos_of_several_sizes(files, tmp_path, capsys):
    folder, pixels, hole = files
    write_photo(folder / "small.png", 10, 15)
    start = ["inpaint", str(folder), str(folder / "mask.png"), "--classical", "telea"]
    assert cli.main([*start, str(tmp_path / "out")]) == 1
    assert "--resize-mask" in capsys.readouterr().err
    assert cli.main([*start, "--resize-mask", "--skip-existing", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["photo.png", "small.png"]
    result = np.asarray(Image.open(tmp_path / "out" / "photo.png"))
    np.testing.assert_array_equal(result[~hole], pixels[~hole])
    assert (result[hole] != pixels[hole]).any()


def test_the_last_word_is_the_output(files, tmp_path, capsys):
    folder, pixels, hole = files
    rgba = np.dstack([pixels, np.where(hole, 0, 255).astype(np.uint8)])
    Image.fromarray(rgba).save(folder / "cut.png")
    words = ["inpaint", str(folder / "cut.png"), str(tmp_path / "a.png"),
             "--mask-from", "alpha", "--classical", "telea"]
    assert cli.main(words) == 0 and (tmp_path / "a.png").exists()
    mask = (folder / "mask.png").read_bytes()
    for start in (["inpaint", str(folder / "cut.png"), str(folder / "mask.png"), "--mask-from",
                   "alpha"], ["matte", str(folder / "photo.png"), str(folder / "mask.png")]):
        kind = "telea" if start[0] == "inpaint" else "knn"
        assert cli.main([*start, "--classical", kind, "--overwrite"]) == 2
        assert "was named last" in capsys.readouterr().err
    assert (folder / "mask.png").read_bytes() == mask
    assert cli.main(["inpaint", str(folder / "photo.png"), str(folder / "mask.png"),
                     "--classical", "telea"]) == 2
    assert "Name it last" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["inpaint", str(folder / "photo.png"), str(folder / "mask.png"), "--classical",
                  "telea", str(tmp_path / "b.png"), "--output", str(tmp_path / "c.png")])


def test_transparency_ends_where_the_shaped_hole_ends(files, tmp_path):
    folder, pixels, hole = files
    Image.fromarray(np.dstack([pixels, np.where(hole, 0, 255).astype(np.uint8)])).save(
        folder / "cut.png"
    )
    for words, opaque in ((["--shrink", "1"], hole_shapes.grown(hole, -1) | ~hole),
                          (["--grow", "2"], np.ones_like(hole))):
        out = tmp_path / f"{words[0]}.png"
        assert cli.main(["inpaint", str(folder / "cut.png"), "--mask-from", "alpha", "--classical",
                         "telea", *words, str(out)]) == 0
        image = np.asarray(Image.open(out))
        alpha = image[..., 3] if image.shape[2] == 4 else np.full(hole.shape, 255)
        np.testing.assert_array_equal(alpha == 255, opaque)


def test_a_mask_of_another_shape_is_stretched_with_a_word(files, tmp_path, capsys):
    folder, _, _ = files
    write_photo(folder / "turned.png", 30, 20)
    assert cli.main(["inpaint", str(folder / "turned.png"), str(folder / "mask.png"), "--classical",
                     "telea", "--resize-mask", str(tmp_path / "out.png")]) == 0
    assert "another shape" in capsys.readouterr().err
