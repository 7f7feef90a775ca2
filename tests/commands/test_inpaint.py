"""`jaxedit inpaint` without a network: pairing, checks, outputs. See test_cli.py for the whole."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.apply import photograph
from jaxedit.commands import holes, inpaint
from jaxedit.errors import UserError
from jaxedit.methods.scat import baselines


def constant(**inputs):
    """An applier that fills with middle grey."""
    image, mask = inputs["image"], inputs["mask"]
    return {"composite": image * (1 - mask), "prediction": np.zeros_like(image)}


def write_photo(path, height=20, width=30, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def write_mask(path, height=20, width=30, hole=(slice(4, 9), slice(5, 17)), values=(0, 255)):
    mask = np.full((height, width), values[0], np.uint8)
    mask[hole] = values[1]
    Image.fromarray(mask).save(path)
    return mask == values[1]


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    pixels = write_photo(folder / "photo.png")
    hole = write_mask(folder / "mask.png")
    return folder, pixels, hole


def never():
    raise AssertionError("the network must not be loaded before the input is checked")


def go(photo, mask, output, load=lambda: constant, overwrite=False, **options):
    lines = []
    jobs = inpaint.collect(photo, mask, output, overwrite=overwrite, say=lines.append)
    return inpaint.run(jobs, load, say=lines.append, **options), lines


def test_only_the_hole_changes(files, tmp_path):
    folder, pixels, hole = files
    failures, lines = go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png")
    result = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(result[~hole], pixels[~hole])
    assert (result[hole] == 128).all()
    assert not failures and lines == [f"{tmp_path / 'out.png'}: 30 x 20 pixels, 10.0% filled"]


def test_inverted_mask(files, tmp_path):
    folder, pixels, hole = files
    write_mask(folder / "black.png", values=(255, 0))
    go(folder / "photo.png", folder / "black.png", tmp_path / "out.png", invert=True)
    result = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(result[~hole], pixels[~hole])
    assert (result[hole] == 128).all()


def test_a_jpeg_result_is_warned_about(files, tmp_path):
    folder, pixels, hole = files
    _, lines = go(folder / "photo.png", folder / "mask.png", tmp_path / "out.jpg")
    assert any("known pixels change" in line for line in lines)
    assert Image.open(tmp_path / "out.jpg").format == "JPEG"


def bad_mask(folder, **options):
    write_mask(folder / "bad.png", **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda f: bad_mask(f, hole=(slice(0, 0), slice(0, 0))), "marks no hole.*--invert-mask"),
        (lambda f: bad_mask(f, hole=(slice(None), slice(None))), "whole photo as a hole"),
        (lambda f: bad_mask(f, height=21), "30 x 21 pixels and the photo .* has 30 x 20"),
        (lambda f: bad_mask(f, height=30, width=20), "EXIF"),
        (lambda f: bad_mask(f, values=(0, 120)), "grey values"),
        (lambda f: write_photo(f / "bad.png"), "grey values"),
        (lambda f: (f / "bad.png").write_bytes(b"GIF89a"), r"bad\.png cannot be read"),
        (lambda f: (f / "bad.png").write_bytes(b""), "empty"),
        (lambda f: None, r"bad\.png does not exist"),
    ],
)
def test_bad_masks_stop_before_the_network_is_loaded(files, tmp_path, make, message):
    folder, _, _ = files
    make(folder)
    with pytest.raises(UserError, match=message):
        go(folder / "photo.png", folder / "bad.png", tmp_path / "out.png", load=never)
    assert not (tmp_path / "out.png").exists()


def test_a_truncated_photo(files, tmp_path):
    folder, _, _ = files
    whole = (folder / "photo.png").read_bytes()
    (folder / "photo.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"photo\.png"):
        go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png", load=never)


def test_nearly_binary_masks_and_zero_one_masks_are_understood(files, tmp_path):
    folder, _, _ = files
    hole = np.zeros((20, 30), np.uint8)
    hole[4:12, 5:17] = 255
    hole[4, 5:17] = 90  # a softened rim
    Image.fromarray(hole).save(folder / "soft.png")
    write_mask(folder / "ones.png", values=(0, 1))
    for name, count in (("soft.png", 7 * 12), ("ones.png", 5 * 12)):
        job = inpaint.Job(folder / "photo.png", folder / name, tmp_path / "out.png")
        assert holes.read(job, False, print)[1].sum() == count


def test_a_large_hole_is_doubted(files, tmp_path):
    folder, _, _ = files
    write_mask(folder / "mask.png", hole=(slice(0, 18), slice(0, 28)))
    _, lines = go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png")
    assert any("84%" in line and "add --invert-mask" in line for line in lines)


@pytest.mark.parametrize(
    "output, message",
    [
        ("in/photo.png", "would be lost"),
        ("in/mask.png", "would be lost"),
        ("taken.png", "--overwrite"),
        ("in", "is a folder"),
        ("missing/out.png", "does not exist"),
        ("taken.png/out.png", "is a file"),
        ("out.bmp", "must end in .png"),
        ("out", "must end in .png"),
    ],
)
def test_bad_outputs_are_refused_first(files, tmp_path, output, message):
    folder, _, _ = files
    (tmp_path / "taken.png").write_text("precious")
    with pytest.raises(UserError, match=message):
        inpaint.collect(folder / "photo.png", folder / "mask.png", tmp_path / output)
    assert (tmp_path / "taken.png").read_text() == "precious"


def test_overwrite(files, tmp_path):
    folder, _, _ = files
    (tmp_path / "out.png").write_text("old")
    go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png", overwrite=True)
    assert Image.open(tmp_path / "out.png").size == (30, 20)
    with pytest.raises(UserError, match="would be lost"):
        go(folder / "photo.png", folder / "mask.png", folder / "photo.png", overwrite=True)


def make_folders(tmp_path):
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    for index, name in enumerate(("a.jpg", "b.png", "c.png", "alone.png")):
        write_photo(photos / name, height=20 + index, seed=index)
    for index, name in enumerate(("a.png", "b.png", "c.png")):
        write_mask(masks / name, height=20 + index)
    write_mask(masks / "stray.png")
    (photos / "notes.txt").write_text("no image")
    return photos, masks


def test_folders_are_paired_by_name(tmp_path):
    photos, masks = make_folders(tmp_path)
    out = tmp_path / "new" / "out"
    failures, lines = go(photos, masks, out)
    assert not failures and sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", "c.png"]
    assert Image.open(out / "c.png").size == (30, 22)
    assert sum("no mask of the same name" in line and "alone.png" in line for line in lines) == 1
    assert sum("no photo of the same name" in line and "stray.png" in line for line in lines) == 1


def test_one_bad_pair_does_not_stop_the_others(tmp_path):
    photos, masks = make_folders(tmp_path)
    write_mask(masks / "b.png", height=40)
    failures, _ = go(photos, masks, tmp_path / "out")
    assert len(failures) == 1 and "30 x 40" in failures[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_no_folder_is_made_when_nothing_comes_of_it(tmp_path):
    photos, masks = make_folders(tmp_path)

    def no_such_run():
        raise UserError("no such run")

    with pytest.raises(UserError, match="no such run"):
        go(photos, masks, tmp_path / "out", load=no_such_run)
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_fit(tmp_path):
    photos, masks = make_folders(tmp_path)
    with pytest.raises(UserError, match="is a folder and .* is a file"):
        inpaint.collect(masks / "a.png", photos, tmp_path / "out")
    write_photo(photos / "a.png")
    with pytest.raises(UserError, match="same name but for the suffix"):
        inpaint.collect(photos, masks, tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="holds no image"):
        inpaint.collect(empty, masks, tmp_path / "out")
    write_photo(empty / "x.png")
    with pytest.raises(UserError, match="No photo in"):
        inpaint.collect(empty, masks, tmp_path / "out")
    with pytest.raises(UserError, match="does not exist"):
        inpaint.collect(pathlib.Path("nowhere"), masks, tmp_path / "out")


def test_a_full_disk_leaves_nothing(files, tmp_path, monkeypatch):
    folder, _, _ = files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match="No space left"):
        go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_the_turned_photo_is_what_the_mask_belongs_to(tmp_path):
    pixels = write_photo(tmp_path / "upright.png", 20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).rotate(90, expand=True).save(tmp_path / "photo.png", exif=exif)
    hole = write_mask(tmp_path / "mask.png")
    go(tmp_path / "photo.png", tmp_path / "mask.png", tmp_path / "out.png")
    result = photograph.read(tmp_path / "out.png")
    np.testing.assert_array_equal(result.pixels[~hole], pixels[~hole])


@pytest.mark.parametrize("name", inpaint.CLASSICAL)
def test_classical_methods(files, tmp_path, name):
    folder, pixels, hole = files
    words = ["inpaint", folder / "photo.png", folder / "mask.png", "--classical", name]
    assert cli.main([*map(str, words), "--output", str(tmp_path / "out.png")]) == 0
    result = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(result[~hole], pixels[~hole])
    image = pixels[None] / np.float32(127.5) - 1
    baseline = getattr(baselines, name)
    expected = baseline({"image": image, "mask": hole[None, ..., None].astype(np.float32)})[0]
    # scikit-image keeps to the range of the known pixels that it sees, which differs a little.
    assert np.abs((expected + 1) * 127.5 - result)[hole].max() <= 2


def test_a_sheet_of_all_methods(files, tmp_path, capsys):
    folder, *_ = files
    start = ["inpaint", str(folder / "photo.png"), str(folder / "mask.png"), "--classical", "telea"]
    out, sheet = str(tmp_path / "out.png"), tmp_path / "sheet.png"
    assert cli.main([*start, "--output", out, "--compare", str(sheet)]) == 0
    told = capsys.readouterr().err
    assert f"\n  {sheet}: the result beside telea, membrane, biharmonic\n" in told
    width, height = Image.open(sheet).size
    assert width > 5 * 120 and height > 120  # five columns of a view enlarged to be seen
    for words, message in (
        (("--compare", str(sheet), "--output", str(tmp_path / "2.png")), "already exists"),
        (("--compare", str(tmp_path / "3.png"), "--output", str(tmp_path / "3.png")), "are both"),
        (("--compare", str(tmp_path / "4.jpg"), "--output", str(tmp_path / "4.png")), ".png"),
    ):
        assert cli.main([*start, *words]) == 2
        assert message in capsys.readouterr().err
    folders = [tmp_path / "photos", tmp_path / "masks"]
    for place, name in zip(folders, ("photo.png", "mask.png"), strict=True):
        place.mkdir()
        (place / "a.png").write_bytes((folder / name).read_bytes())
    start = ["inpaint", *map(str, folders), "--classical", "telea", "--output"]
    sheets = tmp_path / "sheets"
    assert cli.main([*start, str(tmp_path / "results"), "--compare", str(sheets)]) == 0
    assert Image.open(sheets / "a.png").size == (width, height)
    assert f"  {sheets / 'a.png'}: the result" in capsys.readouterr().err


def test_a_tree_of_photos_keeps_its_form_and_goes_on_after_a_fault(tmp_path):
    photos, masks, out = (tmp_path / name for name in ("photos", "photos/masks", "photos/out"))
    for place in ("a", "b"):
        for folder, write in ((photos, write_photo), (masks, write_mask)):
            (folder / place).mkdir(parents=True, exist_ok=True)
            write(folder / place / "x.png")
    (photos / "album.png").mkdir()  # a folder
    calls = []

    def faulty(**inputs):
        calls.append(inputs)
        if len(calls) == 1:
            raise RuntimeError("an accident")
        return constant(**inputs)

    (failed,), _ = go(photos, masks, out, load=lambda: faulty)
    assert failed == f"{photos / 'a' / 'x.png'}: RuntimeError: an accident"
    assert not (out / "a" / "x.png").exists() and (out / "b" / "x.png").exists()
    lines = []
    with pytest.raises(UserError, match="already exists"):
        inpaint.collect(photos, masks, out)
    (job,) = inpaint.collect(photos, masks, out, skip=True, say=lines.append)
    assert job.output == out / "a" / "x.png" and job.name == "a/x.png"
    assert lines == ["1 of 2 results exist already and are left alone."]


def test_transparency_marks_the_hole(files, tmp_path, capsys):
    folder, pixels, hole = files
    alpha = np.where(hole, 20, 255).astype(np.uint8)
    alpha[0, :3] = 200  # half-transparent is no hole
    Image.fromarray(np.dstack([pixels, alpha])).save(folder / "cut.png")
    words = ["inpaint", str(folder / "cut.png"), "--mask-from", "alpha", "--classical", "telea"]
    assert cli.main([*words, "--output", str(tmp_path / "out.webp")]) == 0
    result = np.asarray(Image.open(tmp_path / "out.webp"))
    np.testing.assert_array_equal(result[~hole], np.dstack([pixels, alpha])[~hole])
    assert (result[hole][:, 3] == 255).all() and (result[hole][:, :3] != pixels[hole]).any()
    with_mask = ["inpaint", str(folder / "photo.png"), str(folder / "mask.png")]
    assert cli.main([*with_mask, "--classical", "telea", "--output", str(tmp_path / "b.png")]) == 0
    np.testing.assert_array_equal(result[..., :3], np.asarray(Image.open(tmp_path / "b.png")))
    capsys.readouterr()
    opaque = str(folder / "photo.png")
    for start, message in (
        ((opaque, "--mask-from", "alpha"), "not transparent anywhere"),
        ((opaque,), "Name a mask after it"),
        ((opaque, str(folder / "mask.png"), "--mask-from", "alpha"), "given twice"),
    ):
        out = str(tmp_path / "none.png")
        assert cli.main(["inpaint", *start, "--classical", "telea", "--output", out]) == 2
        assert message in capsys.readouterr().err and not pathlib.Path(out).exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (("--context", "0"), "neither a number of pixels"),
        (("--context", "near"), "neither a number of pixels"),
        (("--resolution", "10"), "at least 64 pixels"),
        (("--resolution", "512", "--context", "whole"), "--context whole asks for none"),
        (("--context", "9", "--classical", "telea"), "--context is for networks"),
        (("--seamless", "--classical", "telea"), "--seamless is for networks"),
    ],
)
def test_what_the_network_shall_see_is_checked_first(files, tmp_path, capsys, words, message):
    folder, *_ = files
    start = ["inpaint", str(folder / "photo.png"), str(folder / "mask.png"), *words]
    start += [] if "--classical" in words else ["--weights", "scat-places2"]
    try:
        assert cli.main([*start, "--output", str(tmp_path / "out.png")]) == 2
    except SystemExit as stop:  # argparse's own refusal
        assert stop.code == 2
    assert message in capsys.readouterr().err


def test_a_filling_is_made_to_meet_the_photograph_only_where_it_is_asked_for():
    rng = np.random.default_rng(3)
    pixels = np.repeat(rng.integers(90, 110, (40, 50, 1), np.uint8), 3, axis=2)
    hole = np.zeros((40, 50), bool)
    hole[10:30, 15:35] = True
    photo = photograph.Photograph(pixels)

    def dark(image, mask):
        prediction = np.full_like(image, -0.9)
        return {"prediction": prediction, "composite": np.where(mask > 0, prediction, image)}

    plain = inpaint.fill(dark, photo, hole).pixels
    met = inpaint.fill(dark, photo, hole, seamless=True).pixels
    assert (plain[hole] == round(0.05 * 255)).all()
    assert 85 < met[hole].min() and met[hole].max() < 115
    np.testing.assert_array_equal(met[~hole], pixels[~hole])
    soft = inpaint.fill(dark, photo, hole, seamless=True, feather=3).pixels
    assert 85 < soft[hole].min() and soft[hole].max() < 115
