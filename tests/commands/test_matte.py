"""`jaxedit matte` without a network: checks, options, outputs. See test_network.py for it all."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxedit.apply import photograph
from jaxedit.commands import matte
from jaxedit.commands.matte import Options
from jaxedit.data import alpha_matting
from jaxedit.errors import UserError
from tests import extras

CALLS = []
KEEP = Options(keep_colours=True)


def guess(image, trimap):
    """An applier whose alpha is 0.25 everywhere: known pixels are not its business."""
    CALLS.append(image.shape)
    assert image.dtype == trimap.dtype == np.float32 and -1 <= image.min() <= image.max() <= 1
    assert set(np.unique(trimap)) <= {0, 1, 2}
    return {"alpha": np.full(trimap.shape, 0.25, np.float32)}


def never():
    raise AssertionError("the network must not be loaded before the input is checked")


def write_photo(path, height=40, width=50, seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def write_trimap(path, height=40, width=50, levels=(0, 128, 255)):
    trimap = np.full((height, width), levels[0], np.uint8)
    trimap[8:-8, 8:-8] = levels[1]
    trimap[14:-14, 14:-14] = levels[2]
    Image.fromarray(trimap).save(path)
    return trimap


def write_mask(path, height=40, width=50, inside=255, outside=0):
    mask = np.full((height, width), outside, np.uint8)
    mask[8:-8, 8:-8] = inside
    Image.fromarray(mask).save(path)
    return mask == 255


@pytest.fixture
def files(tmp_path):
    CALLS.clear()
    folder = tmp_path / "in"
    folder.mkdir()
    pixels = write_photo(folder / "photo.png")
    trimap = write_trimap(folder / "trimap.png")
    write_mask(folder / "mask.png")
    return folder, pixels, trimap


def go(photo, companion, output, options=KEEP, load=lambda: guess, overwrite=False):
    lines = []
    jobs = matte.collect(photo, companion, output, options, overwrite=overwrite, say=lines.append)
    failures = matte.run(jobs, load, options, say=lines.append)
    return failures, lines


def test_a_cut_out_has_the_trimaps_known_pixels(files, tmp_path):
    folder, pixels, trimap = files
    out = tmp_path / "out.png"
    failures, lines = go(folder / "photo.png", folder / "trimap.png", out)
    image = Image.open(out)
    assert image.mode == "RGBA"
    result = np.asarray(image)
    assert (result[trimap == 0, 3] == 0).all() and (result[trimap == 255, 3] == 255).all()
    assert (result[trimap == 128, 3] == 64).all()
    np.testing.assert_array_equal(result[..., :3], pixels)
    unknown, covered = (trimap == 128).mean(), np.asarray(result[..., 3] / 255).mean()
    assert not failures and lines == [
        f"{out}: 50 x 40 pixels, {unknown:.1%} of them estimated; the subject covers {covered:.1%}"
    ]


def test_the_subjects_own_colours_are_estimated(files, tmp_path):
    extras.need_pymatting()
    folder, pixels, trimap = files
    go(folder / "photo.png", folder / "trimap.png", tmp_path / "out.png", Options())
    result = np.asarray(Image.open(tmp_path / "out.png"))[..., :3]
    np.testing.assert_array_equal(result[trimap == 255], pixels[trimap == 255])
    # What was cut away is not in the file.
    assert np.abs(result[trimap == 0].astype(int) - pixels[trimap == 0]).mean() > 20


def test_premultiplied(files, tmp_path):
    folder, pixels, trimap = files
    options = dataclasses.replace(KEEP, premultiplied=True)
    go(folder / "photo.png", folder / "trimap.png", tmp_path / "out.png", options)
    result = np.asarray(Image.open(tmp_path / "out.png"))
    assert (result[trimap == 0] == 0).all()
    expected = np.rint(pixels[trimap == 128] * (64 / 255))
    np.testing.assert_allclose(result[trimap == 128, :3], expected, atol=1)


@pytest.mark.parametrize("name", ["out.png", "out.jpg"])
def test_another_background(files, tmp_path, name):
    folder, pixels, trimap = files
    Image.new("RGB", (20, 10), (10, 200, 30)).save(folder / "new.png")
    options = dataclasses.replace(KEEP, background=folder / "new.png")
    _, lines = go(folder / "photo.png", folder / "trimap.png", tmp_path / name, options)
    image = Image.open(tmp_path / name)
    assert image.mode == "RGB" and image.size == (50, 40)
    assert any("JPEG" in line for line in lines) == (name == "out.jpg")
    if name == "out.png":
        result = np.asarray(image)
        assert (result[trimap == 0] == (10, 200, 30)).all()
        np.testing.assert_array_equal(result[trimap == 255], pixels[trimap == 255])


def test_the_matte_alone(files, tmp_path):
    folder, _, trimap = files
    options = Options(alpha_only=True)
    go(folder / "photo.png", folder / "trimap.png", tmp_path / "out.png", options)
    image = Image.open(tmp_path / "out.png")
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), np.where(trimap == 128, 64, trimap))


def test_a_coarse_mask_and_its_trimap(files, tmp_path):
    folder, _, _ = files
    options = Options(from_mask=True, trimap_width=0.2, alpha_only=True,
                      save_trimap=tmp_path / "made.png")
    go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png", options)
    made = np.asarray(Image.open(tmp_path / "made.png"))
    assert set(np.unique(made)) == {0, 128, 255}
    mask = np.asarray(Image.open(folder / "mask.png")) == 255
    assert (made[mask] != 0).all() and (made[~mask] != 255).all()
    result = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(result, np.where(made == 128, 64, made))
    # The same trimap, given as a file, leads to the same matte.
    go(folder / "photo.png", tmp_path / "made.png", tmp_path / "again.png",
       Options(alpha_only=True))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "again.png")), result)


def test_rounded_trimaps(files, tmp_path):
    folder, _, trimap = files
    write_trimap(folder / "odd.png", levels=(3, 127, 250))
    out = tmp_path / "out.png"
    with pytest.raises(UserError, match="--round-trimap"):
        go(folder / "photo.png", folder / "odd.png", out, load=never)
    go(folder / "photo.png", folder / "odd.png", out, Options(alpha_only=True, round_trimap=True))
    expected = np.where(trimap == 128, 64, trimap)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), expected)


def test_exif_and_profile_are_kept_and_photos_turned(files, tmp_path):
    folder, pixels, trimap = files
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Brownie"
    Image.fromarray(pixels).rotate(90, expand=True).save(
        folder / "turned.png", exif=exif, icc_profile=b"profile"
    )
    go(folder / "turned.png", folder / "trimap.png", tmp_path / "out.png")
    result = photograph.read(tmp_path / "out.png")
    np.testing.assert_array_equal(result.pixels, pixels)
    np.testing.assert_array_equal(result.alpha == 255, trimap == 255)
    image = Image.open(tmp_path / "out.png")
    assert image.getexif()[0x010F] == "Brownie" and image.info["icc_profile"] == b"profile"


def test_a_deep_grey_photo(files, tmp_path):
    folder, _, trimap = files
    deep = np.linspace(0, 65535, trimap.size).reshape(trimap.shape).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    _, lines = go(folder / "deep.png", folder / "trimap.png", tmp_path / "out.png")
    assert any("16 bits" in line and "8" in line for line in lines)
    image = Image.open(tmp_path / "out.png")
    assert image.mode == "LA"
    np.testing.assert_array_equal(np.asarray(image)[..., 0], np.rint(deep / 257))


BAD = [
    ("trimap", lambda f: write_trimap(f / "bad.png", levels=(0, 127, 255)), r"127 \(\d+ pixels\)"),
    ("trimap", lambda f: write_trimap(f / "bad.png", height=41), "50 x 41 pixels and the photo"),
    ("trimap", lambda f: write_trimap(f / "bad.png", height=50, width=40), "EXIF"),
    ("trimap", lambda f: write_trimap(f / "bad.png", levels=(0, 255, 255)), "no unknown region"),
    ("trimap", lambda f: write_photo(f / "bad.png"), "colour image.*not the photo"),
    ("trimap", lambda f: (f / "bad.png").write_bytes(b""), "empty"),
    ("trimap", lambda f: None, r"bad\.png does not exist"),
    ("mask", lambda f: write_mask(f / "bad.png", inside=0), r"bad\.png: .*marks no subject"),
    ("mask", lambda f: write_mask(f / "bad.png", outside=255), "whole photo as subject"),
    ("mask", lambda f: write_mask(f / "bad.png", width=51), "The mask .* 51 x 40"),
    ("mask", lambda f: write_photo(f / "bad.png"), "grey values.*subject"),
]


@pytest.mark.parametrize("what, make, message", BAD)
def test_bad_companions_stop_before_the_network_is_loaded(files, tmp_path, what, make, message):
    folder, _, _ = files
    make(folder)
    options = Options(from_mask=what == "mask", alpha_only=True)
    with pytest.raises(UserError, match=message):
        go(folder / "photo.png", folder / "bad.png", tmp_path / "out.png", options, load=never)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("size", [(31, 50), (40, 31), (1, 1)])
def test_photos_that_are_too_small(files, tmp_path, size):
    folder, _, _ = files
    write_photo(folder / "small.png", *size)
    with pytest.raises(UserError, match=rf"{size[1]} x {size[0]} pixels; matting needs 32"):
        go(folder / "small.png", folder / "trimap.png", tmp_path / "out.png", load=never)


def test_a_trimap_without_certain_foreground_is_doubted(files, tmp_path):
    folder, _, _ = files
    write_trimap(folder / "none.png", levels=(0, 128, 128))
    _, lines = go(folder / "photo.png", folder / "none.png", tmp_path / "out.png")
    assert any("marks no foreground" in line for line in lines)


@pytest.mark.parametrize("options, message", [
    (Options(keep_colours=True, tile=64), "--tile 64: expected 0 .* at least 128"),
    (Options(keep_colours=True, tile=-1), "--tile -1"),
    (Options(keep_colours=True, background="missing.png"), "missing.png is no file"),
])
def test_options_that_do_not_fit(files, tmp_path, options, message):
    folder, _, _ = files
    if options.background is not None:
        options = dataclasses.replace(options, background=folder / options.background)
    companion = folder / ("mask.png" if options.from_mask else "trimap.png")
    with pytest.raises(UserError, match=message):
        matte.collect(folder / "photo.png", companion, tmp_path / "out.png", options)


@pytest.mark.parametrize("width", [0, -0.1, 0.6])
def test_widths_that_are_no_share(files, tmp_path, width):
    folder, _, _ = files
    options = Options(alpha_only=True, from_mask=True, trimap_width=width)
    with pytest.raises(UserError, match="expected a share"):
        go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png", options, load=never)


def test_without_pymatting_nothing_is_started(files, tmp_path, monkeypatch):
    monkeypatch.setattr(alpha_matting, "available", lambda: False)
    folder, _, _ = files
    with pytest.raises(UserError, match=r"jaxedit\[matting\]"):
        matte.collect(folder / "photo.png", folder / "trimap.png", tmp_path / "o.png", Options())
    for options in (KEEP, Options(alpha_only=True)):
        photo, trimap = folder / "photo.png", folder / "trimap.png"
        assert matte.collect(photo, trimap, tmp_path / "o.png", options)


@pytest.mark.parametrize("output, options, message", [
    ("out.jpg", KEEP, "must end in .png, .webp or .tif: JPEG"),
    ("out.jpg", Options(alpha_only=True), "must end in .png, .webp or .tif: JPEG"),
    ("out.bmp", KEEP, "must end in .png"),
    ("in/photo.png", KEEP, "would be lost"),
    ("in/trimap.png", KEEP, "would be lost"),
    ("in/mask.png", Options(keep_colours=True, background="mask.png"), "would be lost"),
    ("taken.png", KEEP, "--overwrite"),
    ("missing/out.png", KEEP, "does not exist"),
    ("in", KEEP, "is a folder"),
    ("out.png", Options(True, alpha_only=True, save_trimap="taken.png"), "--overwrite"),
    ("out.png", Options(True, alpha_only=True, save_trimap="in/photo.png"), "would be lost"),
    ("out.png", Options(True, alpha_only=True, save_trimap="made.jpg"), "must end in .png"),
    ("out.png", Options(True, alpha_only=True, save_trimap="no/made.png"), "does not exist"),
    ("out.png", Options(True, alpha_only=True, save_trimap="out.png"), "are both"),
])
def test_bad_outputs_are_refused_first(files, tmp_path, output, options, message):
    folder, _, _ = files
    (tmp_path / "taken.png").write_text("precious")
    if options.background is not None:
        options = dataclasses.replace(options, background=folder / options.background)
    if options.save_trimap is not None:
        options = dataclasses.replace(options, save_trimap=tmp_path / options.save_trimap)
    companion = folder / ("mask.png" if options.from_mask else "trimap.png")
    with pytest.raises(UserError, match=message):
        matte.collect(folder / "photo.png", companion, tmp_path / output, options)
    assert (tmp_path / "taken.png").read_text() == "precious"


def test_folders(files, tmp_path):
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    for index, name in enumerate(("a.jpg", "b.png", "c.png")):
        write_photo(photos / name, height=40 + index, seed=index)
        write_mask(masks / f"{name[0]}.png", height=40 + (index if name != "b.png" else 9))
    options = Options(from_mask=True, alpha_only=True, save_trimap=tmp_path / "made")
    failures, lines = go(photos, masks, tmp_path / "out", options)
    assert len(failures) == 1 and "50 x 49" in failures[0]
    for folder in ("out", "made"):
        assert sorted(p.name for p in (tmp_path / folder).iterdir()) == ["a.png", "c.png"]
    assert Image.open(tmp_path / "out" / "c.png").size == (50, 42)
    with pytest.raises(UserError, match="--overwrite"):
        matte.collect(photos, masks, tmp_path / "elsewhere", options)
    (photos / "sub").mkdir()
    write_photo(photos / "sub" / "a.jpg")
    within = Options(cut=True, from_mask=True, alpha_only=True, save_trimap=tmp_path / "k" / "sub",
                     compare=tmp_path / "k")
    with pytest.raises(UserError, match="--save-trimap and --compare are both"):
        matte.collect(photos, None, tmp_path / "x", within)
    shutil.rmtree(photos / "sub")
    # A trimap whose matte is missing is no end to what --skip-existing goes on with.
    (tmp_path / "out" / "c.png").unlink()
    left = matte.collect(photos, masks, tmp_path / "out", options, skip=True)
    assert [job.name for job in left] == ["b.png", "c.png"]
    with pytest.raises(UserError, match="has no mask|is a folder and"):
        matte.collect(photos, masks / "a.png", tmp_path / "x", options)


def test_tiles_are_used_when_asked_for_and_for_large_photos(files, tmp_path, monkeypatch):
    folder, _, _ = files
    write_photo(folder / "large.png", 300, 400)
    trimap = write_trimap(folder / "large_trimap.png", 300, 400)
    trimap[:] = 0
    trimap[100:120, 200:220] = 128
    trimap[105:115, 205:215] = 255
    Image.fromarray(trimap).save(folder / "large_trimap.png")

    def shapes(**options):
        CALLS.clear()
        _, lines = go(folder / "large.png", folder / "large_trimap.png", tmp_path / "out.png",
                      Options(alpha_only=True, **options), overwrite=True)
        result = np.asarray(Image.open(tmp_path / "out.png"))
        np.testing.assert_array_equal(result, np.where(trimap == 128, 64, trimap))
        return set(CALLS), [line for line in lines if line.startswith("tile ")]

    assert shapes() == ({(300, 400, 3)}, [])
    assert shapes(tile=400)[0] == {(300, 400, 3)}
    tiled, said = shapes(tile=128)
    assert tiled == {(128, 128, 3)} and said[-1] == f"tile {len(said)} of {len(said)}"
    assert len(said) < 12
    monkeypatch.setattr(matte, "WHOLE", 100_000)
    monkeypatch.setattr(matte, "TILE", 256)
    assert shapes()[0] == {(256, 256, 3)}
    assert shapes(tile=0)[0] == {(300, 400, 3)}


def test_differing_profiles_are_mentioned(files, tmp_path):
    folder, _, _ = files
    write_photo(folder / "new.png", icc_profile=b"another")
    options = dataclasses.replace(KEEP, background=folder / "new.png")
    _, lines = go(folder / "photo.png", folder / "trimap.png", tmp_path / "out.png", options)
    assert any("different colour profiles" in line for line in lines)


def test_a_full_disk_leaves_nothing(files, tmp_path, monkeypatch):
    folder, _, _ = files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    options = Options(from_mask=True, alpha_only=True, save_trimap=tmp_path / "made.png")
    with pytest.raises(UserError, match="No space left"):
        go(folder / "photo.png", folder / "mask.png", tmp_path / "out.png", options)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_transparent_background_is_white_there(files, tmp_path):
    folder, _, trimap = files
    Image.new("RGBA", (50, 40), (10, 200, 30, 0)).save(folder / "new.png")
    options = dataclasses.replace(KEEP, background=folder / "new.png")
    _, lines = go(folder / "photo.png", folder / "trimap.png", tmp_path / "out.png", options)
    result = np.asarray(Image.open(tmp_path / "out.png"))
    assert (result[trimap == 0] == 255).all() and any("transparent" in line for line in lines)
