"""A coarse mask by GrabCut, from a box."""

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.apply import subject
from jaxedit.apply.photograph import Photograph
from jaxedit.errors import UserError


def disc(height=90, width=120, radius=25):
    """Returns a red disc before green noise, and where it is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(y - height / 2, x - width / 2) < radius
    pixels = rng.integers(0, 60, (height, width, 3), np.uint8)
    pixels[..., 1] += 120
    pixels[inside] = rng.integers(0, 60, (inside.sum(), 3), np.uint8) + np.uint8([180, 0, 0])
    return pixels, inside


@pytest.mark.parametrize("scale", [1, 8])
def test_the_subject_in_a_box_is_found(scale):
    pixels, inside = disc()
    photo = Photograph(np.repeat(np.repeat(pixels, scale, 0), scale, 1))
    inside = np.repeat(np.repeat(inside, scale, 0), scale, 1)
    for box in (tuple(scale * n for n in (28, 12, 64, 66)), subject.whole(photo.size)):
        found = subject.mask_in(photo, box)
        assert (found & inside).sum() / (found | inside).sum() > 0.95
    np.testing.assert_array_equal(found, subject.mask_in(photo, box))


def test_a_subject_that_the_lower_side_cuts_off_is_whole():
    pixels, inside = disc()
    photo = Photograph(pixels[:50])
    found = subject.mask_in(photo, subject.whole(photo.size))
    assert found[-1, 40:80].all() and (found != inside[:50]).mean() < 0.02


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((100, 10, 30, 30), "does not lie within"),
        ((0, 0, 4, 30), "less than 8"),
        ((0, 0, 120, 90), "is the whole photo"),
    ],
)
def test_boxes_that_will_not_do(box, message):
    with pytest.raises(UserError, match=message):
        subject.mask_in(Photograph(disc()[0]), box)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,-4", "", "10;20;30;40", "10,20 90,80"])
def test_a_box_is_four_numbers(text):
    with pytest.raises(UserError, match="expected X,Y,W,H"):
        subject.box_of(text)


def test_a_matte_without_mask_or_trimap(tmp_path, capsys):
    pixels, inside = disc()
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).save(photo)

    def matte(name, *words):
        out = tmp_path / f"{name}.png"
        code = cli.main(["matte", str(photo), "--classical", "closed-form", "--alpha-only",
                         "--trimap-width", "0.1", *words, str(out)])
        return (np.asarray(Image.open(out)) / 255) if code == 0 else code

    for name, words in (("box", ["--box", "28,12,64,66"]), ("whole", [])):
        assert np.abs(matte(name, *words) - inside).mean() < 0.02
    assert matte("bad", "--box", "1,2,3") == 2
    assert "expected X,Y,W,H" in capsys.readouterr().err
    assert cli.main(["matte", str(tmp_path), "--box", "28,12,64,66", "--classical", "closed-form",
                     "--output", str(tmp_path / "out")]) == 2
    assert "is a folder" in capsys.readouterr().err
