"""Faces are cut out as FFHQ's: the formulas on known points, mirror images, and the way back."""

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.apply import alignment
from jaxedit.errors import UserError


def landmarks(left=(40.0, 60.0), right=(80.0, 60.0), mouth=(60.0, 100.0)):
    """Returns 68 points whose eyes and mouth's corners have these means."""
    points = np.full((68, 2), 7.0)
    circle = np.stack([np.cos(np.arange(6)), np.sin(np.arange(6))], 1)
    circle -= circle.mean(0)
    points[36:42], points[42:48] = left + 3 * circle, right + 3 * circle
    points[48], points[54] = np.add(mouth, (-9, 1)), np.add(mouth, (9, -1))
    return points


def test_the_square_is_that_of_the_formulas():
    square = alignment.square_of(landmarks())
    # Eyes 40 apart and the mouth 40 below: x = (40, 0) - rot90((0, 40)) = (80, 0), then unit;
    # its length is the larger of 2 x 40 and 1.8 x 40, the middle .1 x 40 below the eyes.
    np.testing.assert_allclose(square.corners, [[-20, -16], [-20, 144], [140, 144], [140, -16]])
    assert square.side == pytest.approx(160)
    # A long face: 1.8 times the way to the mouth.
    assert alignment.square_of(landmarks(mouth=(60, 130))).side == pytest.approx(2 * 1.8 * 70)


def test_a_turned_face_has_a_turned_square():
    angle = np.deg2rad(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = landmarks()
    corners = alignment.square_of(points @ turn.T + [30, 5]).corners
    np.testing.assert_allclose(
        corners, alignment.square_of(points).corners @ turn.T + [30, 5], atol=1e-9
    )


def pattern(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x + y) // 2 % 256], -1).astype(np.uint8)


def test_pixels_are_cut_where_the_square_is():
    photo = pattern(200, 220)
    upright = alignment.Square(np.array([[40.0, 30], [40, 130], [140, 130], [140, 30]]))
    np.testing.assert_array_equal(alignment.cut(photo, upright, 100), photo[30:130, 40:140])
    # Turned by 90 degrees: what is down in the face is left in the photograph.
    lying = alignment.Square(np.array([[140.0, 30], [40, 30], [40, 130], [140, 130]]))
    np.testing.assert_array_equal(
        alignment.cut(photo, lying, 100), np.rot90(photo[30:130, 40:140])
    )
    # Half the size: means of two by two pixels.
    half = alignment.cut(photo, upright, 50).astype(float)
    means = photo[30:130, 40:140].reshape(50, 2, 50, 2, 3).mean((1, 3))
    assert np.abs(half - means).max() <= 1


def test_beyond_the_rim_is_the_mirror_image_blurred():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (120, 120, 3), np.uint8)
    square = alignment.Square(np.array([[-30.0, 10], [-30, 110], [70, 110], [70, 10]]))
    face = alignment.cut(photo, square, 100).astype(float)
    # Well inside of the photograph nothing changes.
    np.testing.assert_array_equal(face[:, 60:], photo[10:110, 30:70])
    outside = face[:, :20]
    assert outside.std() < 0.6 * photo.std()  # blurred, and towards the median
    flat = np.tile(np.arange(120)[None, :, None] * 2, (120, 1, 3)).astype(np.uint8)
    row = alignment.cut(flat, square, 100)[50, :, 0].astype(float)
    # A ramp goes up again beyond the rim, drawn to the median: a mirror image.
    assert row[26] > row[31] and row[29] < 30


def test_what_is_pasted_back_unchanged_is_the_photograph():
    photo = pattern(150, 160)
    square = alignment.square_of(landmarks() * 0.5 + 40)
    back = alignment.paste(photo, square, alignment.cut(photo, square, 4 * round(square.side)))
    assert np.abs(back.astype(int) - photo).max() <= 6
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    pasted = alignment.paste(photo, square, red)
    middle = square.corners.mean(0).astype(int)
    np.testing.assert_array_equal(pasted[middle[1], middle[0]], [255, 0, 0])
    low, high = square.corners.min(0).astype(int), square.corners.max(0).astype(int)
    untouched = np.ones(photo.shape[:2], bool)
    untouched[max(low[1] - 1, 0) : high[1] + 2, max(low[0] - 1, 0) : high[0] + 2] = False
    assert untouched.any()
    np.testing.assert_array_equal(pasted[untouched], photo[untouched])


def test_landmarks_that_are_none(tmp_path):
    for bad in (landmarks(right=(40, 60)), landmarks() * 0.05):
        with pytest.raises(UserError, match="no face|at least 16"):
            alignment.square_of(bad)
    for told, message in (("{", "no JSON"), ("[[1, 2]]", "expected 68 pairs"),
                          (json.dumps([[None, 1]] * 68), "expected 68 pairs|no JSON")):
        (tmp_path / "x.json").write_text(told)
        with pytest.raises(UserError, match=message):
            alignment.read_landmarks(tmp_path / "x.json")
    with pytest.raises(UserError, match="no file"):
        alignment.read_landmarks(tmp_path / "nowhere.json")
    two = [landmarks().tolist(), (landmarks() + 5).tolist()]
    (tmp_path / "x.json").write_text(json.dumps(two))
    faces = alignment.read_landmarks(tmp_path / "x.json")
    np.testing.assert_array_equal(alignment.choose(faces, "x", 2), landmarks() + 5)
    with pytest.raises(UserError, match="--face 3 is none"):
        alignment.choose(faces, "x", 3)


def test_the_verb_cuts_by_given_landmarks(tmp_path, capsys):
    Image.fromarray(pattern(200, 200)).save(tmp_path / "photo.png")
    (tmp_path / "points.json").write_text(json.dumps((landmarks() + 30).tolist()))
    words = ["align", str(tmp_path / "photo.png"), "--landmarks", str(tmp_path / "points.json"),
             "--output", str(tmp_path / "face.png")]
    assert cli.main([*words, "--size", "160"]) == 0
    face = np.asarray(Image.open(tmp_path / "face.png"))
    assert face.shape == (160, 160, 3)
    np.testing.assert_array_equal(face[80, 80], pattern(200, 200)[94, 90])
    (tmp_path / "far.json").write_text(json.dumps((landmarks() + 900).tolist()))
    words[3] = str(tmp_path / "far.json")
    assert cli.main([*words, "--overwrite"]) == 2
    assert "lie outside" in capsys.readouterr().err
    assert cli.main([*words, "--overwrite", "--size", "4"]) == 2


def test_without_landmarks_dlib_finds_them(tmp_path, capsys, monkeypatch):
    """Its absence, that of its file, and a photograph without a face are said."""
    Image.fromarray(pattern(200, 200)).save(tmp_path / "photo.png")
    out, model = tmp_path / "face.png", tmp_path / "points.dat"
    words = ["align", str(tmp_path / "photo.png"), "--output", str(out), "--predictor", str(model)]
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert cli.main(words) == 2
    assert 'pip install "jaxedit[align]"' in capsys.readouterr().err

    class Box(int):
        def area(self):
            return int(self)

    class Shape:
        def __init__(self, offset):
            self.points = landmarks() + offset

        def part(self, place):
            return types.SimpleNamespace(x=self.points[place, 0], y=self.points[place, 1])

    boxes = []
    fake = types.ModuleType("dlib", "A stand-in with dlib's names.")
    fake.__spec__ = object()
    fake.get_frontal_face_detector = lambda: lambda pixels, zoom: list(boxes)
    fake.shape_predictor = lambda path: lambda pixels, box: Shape(int(box))
    monkeypatch.setitem(sys.modules, "dlib", fake)
    assert cli.main(words) == 2
    assert "dlib-models" in capsys.readouterr().err
    model.write_bytes(b"x")
    assert cli.main(words) == 2
    assert "No face is found in" in capsys.readouterr().err and not out.exists()
    boxes += [Box(10), Box(30)]
    assert cli.main([*words, "--size", "160"]) == 0
    face = np.asarray(Image.open(out))
    np.testing.assert_array_equal(face[80, 80], pattern(200, 200)[94, 90])  # the larger one's


def test_landmarks_of_a_folder_go_by_sub_folder(tmp_path):
    """Photographs of the same name in two folders have each their own landmarks."""
    for place, shift in (("", 30), ("deep", 40)):
        for folder in ("photos", "points"):
            (tmp_path / folder / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pattern(220, 220)).save(tmp_path / "photos" / place / "a.png")
        told = json.dumps((landmarks() + shift).tolist())
        (tmp_path / "points" / place / "a.json").write_text(told, encoding="utf-8-sig")
    assert cli.main(["align", str(tmp_path / "photos"), "--landmarks", str(tmp_path / "points"),
                     "--size", "160", "--output", str(tmp_path / "out")]) == 0
    for name, at in (("a.png", 90), ("deep/a.png", 100)):
        face = np.asarray(Image.open(tmp_path / "out" / name))
        np.testing.assert_array_equal(face[80, 80], pattern(220, 220)[at + 4, at])


@pytest.mark.parametrize("told, message", [
    ("[" * 100_000, "no JSON.*nested too deep"),
    (json.dumps([[1, 2]] * 67)[:-1] + ", [1, 1" + "0" * 400 + "]]", "no JSON.*digits"),
    (json.dumps([[1, 2]] * 67)[:-1] + ", [1, NaN]]", "expected 68 pairs"),
    (json.dumps((landmarks() * [5e5, 1]).tolist()), "no photograph has"),
])
def test_landmarks_of_endless_numbers(tmp_path, told, message):
    (tmp_path / "x.json").write_text(told)
    with pytest.raises(UserError, match=message):
        alignment.read_landmarks(tmp_path / "x.json")


def test_landmarks_far_outside_are_refused(tmp_path, capsys):
    """A square a thousand photographs wide would fill the memory."""
    Image.fromarray(pattern(50, 50)).save(tmp_path / "photo.png")
    far = landmarks(left=(-20_000, 10), right=(20_000, 10), mouth=(0, 30_000))
    (tmp_path / "points.json").write_text(json.dumps(far.tolist()))
    assert cli.main(["align", str(tmp_path / "photo.png"), "--landmarks",
                     str(tmp_path / "points.json"), "--output", str(tmp_path / "x.png")]) == 2
    assert "lie outside" in capsys.readouterr().err and not (tmp_path / "x.png").exists()


def test_the_largest_of_given_faces_is_the_first(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([landmarks().tolist(),
                                                 (landmarks() * 2).tolist()]))
    faces = alignment.read_landmarks(tmp_path / "x.json")
    np.testing.assert_array_equal(faces[0], landmarks() * 2)
