"""The verbs as functions: what the command line writes to a file is what they return."""

import dataclasses
import inspect
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import jaxedit
from jaxedit import api, cli
from jaxedit.commands import label, python_words
from jaxedit.data import sources
from jaxedit.errors import UserError
from tests import fake_run, shrink


@pytest.fixture(autouse=True)
def fresh():
    yield
    api.forget()


@pytest.fixture
def pair():
    record = sources.create("scenes:64", "eval")[2]
    hole = np.zeros((64, 64), bool)
    hole[20:30, 12:40] = True
    return record["image"], hole, record["alpha"]


def of_the_verb(tmp_path, verb, photo, companion, *words):
    """Returns what the command line makes of arrays."""
    for name, array in (("photo", photo), ("companion", companion)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    places = [str(tmp_path / "photo.png"), *words]
    place = places.index("COMPANION")
    places[place] = str(tmp_path / "companion.png")
    out = tmp_path / "out.png"
    assert cli.main([verb, *places, "--output", str(out)]) == 0
    return np.asarray(Image.open(out))


def test_nothing_heavy_is_imported_before_the_first_call():
    code = ("import sys, jaxedit; assert 'inpaint' in dir(jaxedit); "
            "print([n for n in ('jax', 'numpy', 'PIL', 'cv2') if n in sys.modules])")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="paint"):
        jaxedit.paint  # noqa: B018


def test_labels_are_those_of_the_verb(pair, monkeypatch, tmp_path):
    """With the network that ships, whose program alone is another: what it says is made up."""
    def estimate(applier, photo, side):
        assert side == 64 and applier.task.outputs.keys() >= {"label"}
        return (np.arange(64 * 64).reshape(photo.size) % 15).astype(np.int32), 0.5

    monkeypatch.setattr(label, "estimate", estimate)
    photo = pair[0]
    result = jaxedit.label(photo)
    assert result.dtype == np.uint8 and result.shape == (64, 64)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    words = ["label", str(tmp_path / "photo.png"), "--output", str(tmp_path / "out.png")]
    assert cli.main(words) == 0
    verb, image = Image.open(tmp_path / "out.png"), jaxedit.label(Image.fromarray(photo))
    assert image.mode == verb.mode == "P" and image.getpalette() == verb.getpalette()
    for one in (verb, image):
        np.testing.assert_array_equal(np.asarray(one), result)


def test_inpainting_is_that_of_the_verb(pair, tmp_path):
    photo, hole, _ = pair
    result = jaxedit.inpaint(photo, hole, classical="telea")
    verb = of_the_verb(tmp_path, "inpaint", photo, hole, "COMPANION", "--classical", "telea")
    np.testing.assert_array_equal(result, verb)
    for given in (Image.fromarray(photo), Image.fromarray(photo).convert("RGBA")):
        again = jaxedit.inpaint(given, Image.fromarray(hole), classical="telea")
        assert isinstance(again, Image.Image)
        np.testing.assert_array_equal(np.asarray(again.convert("RGB")), result)


def test_depth_and_opacity_stay(pair):
    photo, hole, _ = pair
    grey = photo[..., 0].astype(np.uint16) * 257
    result = jaxedit.inpaint(grey, hole, classical="telea")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[~hole], grey[~hole])
    clear = np.dstack([photo, np.full(hole.shape, 99, np.uint8)])
    result = jaxedit.inpaint(clear, hole, classical="telea")
    assert result.shape == clear.shape and (result[..., 3] == 99).all()


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "LAB", "PA", "RGBX"])
def test_pil_images_of_any_mode_are_taken(pair, mode):
    photo, hole, _ = pair
    given = Image.fromarray(photo)
    given = given.convert("LA").convert(mode) if mode == "PA" else given.convert(mode)
    result = jaxedit.inpaint(given, hole, classical="telea")
    assert isinstance(result, Image.Image) and result.size == given.size


def test_a_run_is_read_and_compiled_once(pair, tmp_path, monkeypatch):
    photo, hole, _ = pair
    run = tmp_path / "run"
    fake_run.untrained(run, shrink.scat())
    result = jaxedit.inpaint(photo, hole, run=run)
    tool = api._applier("inpaint", str(run), None, None, None)
    np.testing.assert_array_equal(jaxedit.inpaint(photo, hole, run=str(run)), result)
    assert len(tool.compilations) == 1
    verb = of_the_verb(tmp_path, "inpaint", photo, hole, "COMPANION", "--run", str(run))
    np.testing.assert_array_equal(result, verb)


@pytest.mark.parametrize("options, words", [
    ({}, ()), ({"alpha_only": True}, ("--alpha-only",)), ({"keep_colours": True},
                                                          ("--keep-colours",)),
])
def test_matting_is_that_of_the_verb(pair, tmp_path, options, words):
    photo, _, alpha = pair
    coarse = alpha > 127
    result = jaxedit.matte(photo, mask=coarse, classical="closed-form", **options)
    verb = of_the_verb(tmp_path, "matte", photo, coarse, "--mask", "COMPANION", "--classical",
                       "closed-form", *words)
    np.testing.assert_array_equal(result, verb)


def test_a_trimap_and_a_background(pair):
    photo, _, alpha = pair
    trimap = np.where(alpha > 250, 255, np.where(alpha < 5, 0, 128)).astype(np.uint8)
    red = np.zeros_like(photo)
    red[..., 0] = 200
    result = jaxedit.matte(photo, trimap=trimap, classical="closed-form", background=red)
    np.testing.assert_array_equal(result[trimap == 0], red[trimap == 0])
    np.testing.assert_array_equal(result[trimap == 255], photo[trimap == 255])
    # Of a background that is transparent nothing hidden is seen.
    clear = np.dstack([red, np.zeros(red.shape[:2], np.uint8)])
    result = jaxedit.matte(photo, trimap=trimap, classical="closed-form", background=clear)
    assert (result[trimap == 0] == 255).all()


@pytest.mark.parametrize("call, message", [
    (lambda p, m: jaxedit.inpaint(p, m[:40], classical="telea"), "64 x 40 pixels"),
    (lambda p, m: jaxedit.inpaint(p, m & False, classical="telea"), "marks nothing"),
    (lambda p, m: jaxedit.inpaint(p, m | True, classical="telea"), "marks everything"),
    (lambda p, m: jaxedit.inpaint(p / 255, m, classical="telea"), "float64 .*astype"),
    (lambda p, m: jaxedit.inpaint(p, m.astype(float), classical="telea"), "float64"),
    (lambda p, m: jaxedit.inpaint(p, p[..., 0], classical="telea"), "grey values"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="tela"), "telea"),
    (lambda p, m: jaxedit.inpaint(p, m, run="a", weights="b"), "one of run"),
    (lambda p, m: jaxedit.inpaint(p, m, run="nowhere"), "no run directory"),
    (lambda p, m: jaxedit.matte(p, mask=m, box=(1, 1, 9, 9), classical="knn"), "Give one of"),
    (lambda p, m: jaxedit.matte(p, box=(1, 1, 9), classical="knn"), "expected \\(x, y, width"),
    (lambda p, m: jaxedit.matte(p, box=(1, 1, 900, 9), classical="knn"), "does not lie within"),
    (lambda p, m: jaxedit.matte(p, trimap=p[..., 0], classical="knn"),
     "given holds .* or add round_trimap=True, which"),
    (lambda p, m: jaxedit.matte(p, trimap=m, classical="knn"), "unknown"),
    (lambda p, m: jaxedit.matte(p[:31], trimap=m[:31], classical="knn"), "matting needs 32"),
    (lambda p, m: jaxedit.label(p, side=3), "^`side` is 3; expected 0"),
    (lambda p, m: jaxedit.label(p[:9]), "The picture has 64 x 9 pixels; labelling needs 16"),
    (lambda p, m: jaxedit.label(p, run="nowhere"), "no run directory"),
    (lambda p, m: jaxedit.synthesize(p, run="nowhere"), "whole numbers"),
    (lambda p, m: jaxedit.synthesize(m.astype(int), run="nowhere", seed=-1), "seed is -1"),
    (lambda p, m: jaxedit.synthesize(m.astype(int), run="nowhere", licence=[]), "one name"),
    (lambda p, m: jaxedit.inpaint(p, m, run="x", resolution=-64), "at least 64"),
    (lambda p, m: jaxedit.inpaint(p, m, run="x", resolution=100.5), "at least 64"),
    (lambda p, m: jaxedit.inpaint(p, m, run="x", context="20"), "from 1, or 'whole'"),
    (lambda p, m: jaxedit.inpaint(p, m, run="x", context=0), "from 1, or 'whole'"),
    (lambda p, m: jaxedit.inpaint(p, m, run="x", context=True), "from 1, or 'whole'"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="telea", context=5), "is for networks"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="telea", seamless=True),
     "^seamless=True is for networks"),
    (lambda p, m: jaxedit.inpaint(Image.fromarray(p).convert("F"), m, run="x"), "mode F"),
    (lambda p, m: jaxedit.inpaint(p, Image.fromarray(p).convert("HSV"), run="x"), "mode HSV"),
    (lambda p, m: jaxedit.inpaint(p, np.repeat(m[..., None], 3, 2), run="x"), "expected bool"),
    (lambda p, m: jaxedit.inpaint(p, m[:0], run="x"), "expected bool"),
    (lambda p, m: jaxedit.matte(p, mask=m, trimap_width="x", classical="knn"), "a number"),
    (lambda p, m: jaxedit.matte(p, trimap=m, trimap_width=0.1), "about .* with `trimap`"),
    (lambda p, m: jaxedit.matte(p, alpha_only=True, background=p), "alpha_only=True, which writes"),
    (lambda p, m: jaxedit.edit(p, "a hat", feather=3, run="x"), "rim of a `mask` or `region`"),
    (lambda p, m: jaxedit.edit(p, "hat", whole=True, context=3, mask=m), "with whole=True"),
    (lambda p, m: jaxedit.edit(p, "a hat", region="hat", run="x"), "add segmenter=DIRECTORY"),
    (lambda p, m: jaxedit.edit(p, "", run="x"), 'example prompt="a red hat on a table"'),
    (lambda p, m: jaxedit.edit(p, "a hat", caption="a cat", run="x"), "add start='ddim'"),
    (lambda p, m: jaxedit.edit(p, "a hat", negative="x", guidance=1, run="x"), "^`negative` "),
    (lambda p, m: jaxedit.matte(p, mask=m), "run=DIRECTORY, weights=NAME or classical=METHOD"),
    (lambda p, m: jaxedit.inpaint(p, m, weights="x", step=3), "^`step` chooses .* of `run`;"),
    (lambda p, m: jaxedit.inpaint(p, m, run="x", context="whole", resolution=9**3), "='whole' "),
    (lambda p, m: jaxedit.invert(p, directions="x", run="x"), "^`directions` is for `edits`, and"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="telea", grow=2, shrink=1),
     "^`grow` and `shrink` are opposites"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="telea", shrink=30), "^shrink=30 leaves nothing"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="telea", grow=50, feather=9),
     "^grow=50 with feather=9 makes the whole"),
    (lambda p, m: jaxedit.inpaint(p, m, classical="telea", grow=-1), "^`grow` is -1"),
    (lambda p, m: jaxedit.matte(p, trimap=m, tile=5, classical="knn"), "^tile=5: expected 0"),
    (lambda p, m: jaxedit.matte(p, mask=m, round_trimap=True), "values of a `trimap`, and none"),
    (lambda p, m: jaxedit.matte(p, mask=m, keep_colours=True, alpha_only=True),
     "^keep_colours=True is not seen with alpha_only=True"),
    (lambda p, m: jaxedit.matte(p, mask=m, premultiplied=True, background=p),
     "out with alpha_only=True and `background`"),
    (lambda p, m: jaxedit.edit(p, "a hat", weights="no/such"), "^`weights` no/such: there is no"),
    (lambda p, m: jaxedit.edit(p, "a hat", weights="x", tokenizer="t"), "^`tokenizer` is for"),
    (lambda p, m: jaxedit.synthesize(m.astype(int)), "bank=DIRECTORY \\(`jaxedit bank build"),
])
def test_mistakes(pair, call, message):
    photo, hole, _ = pair
    with pytest.raises(UserError, match=message):
        call(photo, hole)


def test_messages_name_arguments_and_leave_commands_alone():
    arguments = ("mask", "step", "keep_colours", "run")
    for text, expected in (
        ("give a --mask, or --run DIRECTORY.", "give a `mask`, or run=DIRECTORY."),
        ("--mask or a --box do, --box and --mask too", "`mask` do, `mask` too"),
        ("--mask and --box BOX", "`mask` and --box BOX of the command line"),
        ("--step=3: expected 'last'; use --step=last", "step=3: expected 'last'; use step='last'"),
        ("--mask is 5", "`mask` is 5"),
        ("add --keep-colours, which", "add keep_colours=True, which"),
        ("add --round-trimap, which", "add --round-trimap of the command line, which"),
        ("run `jaxedit x --mask M`", "run `jaxedit x --mask M`"),
        ("python -m jaxedit.main --config=configs/x.py --config.a.b=2",) * 2,
        ("a --- b -- c well--known",) * 2,
    ):
        assert python_words.in_python(text, arguments) == expected


def test_every_argument_has_a_name_that_messages_use():
    """What the functions take, but for pictures, numbers of pictures and texts of their own."""
    taken = {name for verb in (api.inpaint, api.matte, api.label, api.synthesize, api.edit,
                              api.invert)
             for name in inspect.signature(verb).parameters}
    taken |= {field.name for field in dataclasses.fields(api.EditOptions)}
    assert taken - {"image", "labels", "options", "variants"} == api._ARGUMENTS
