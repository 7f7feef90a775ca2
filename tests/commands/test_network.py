"""`jaxedit matte` from its arguments to its files, with a run of the real method, shrunk."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit import config as config_lib
from jaxedit.methods.matting import baselines
from jaxedit.run import readers
from jaxedit.weights import shipped
from tests import extras, fake_run, shrink


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the matting method at its first step."""
    return fake_run.untrained(tmp_path_factory.mktemp("matte") / "run", shrink.matting())


@pytest.fixture
def files(tmp_path):
    """A photograph of odd size, a coarse mask, a trimap and a background."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 71, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "Brownie"
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    mask = np.zeros((50, 71), bool)
    mask[10:40, 20:50] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    trimap = np.full((50, 71), 128, np.uint8)
    trimap[:5], trimap[18:32, 28:42] = 0, 255
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    Image.new("RGB", (9, 9), (0, 200, 0)).save(tmp_path / "green.png")
    return tmp_path, pixels, trimap


def go(*words):
    return cli.main([str(word) for word in words])


def test_cut_out_composite_and_matte(run, files, capsys):
    folder, pixels, trimap = files
    start = ("matte", folder / "photo.png", "--run", run, "--bucket", 32, "--keep-colours")
    out = folder / "out.png"
    assert go(*start, "--trimap", folder / "trimap.png", "--output", out) == 0
    image = Image.open(out)
    alpha = np.asarray(image)[..., 3]
    assert image.mode == "RGBA" and image.getexif()[0x010F] == "Brownie"
    assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 255).all()
    said = capsys.readouterr().err
    assert f"{out}: 71 x 50 pixels, {(trimap == 128).mean():.1%} of them estimated" in said

    words = ("--trimap", folder / "trimap.png", "--alpha-only", "--output", folder / "alpha.png")
    assert go(*start[:-1], *words) == 0  # of colours there are none to keep
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "alpha.png")), alpha)

    words = ("--trimap", folder / "trimap.png", "--background", folder / "green.png")
    assert go(*start, *words, "--output", folder / "over.png") == 0
    result = np.asarray(Image.open(folder / "over.png")).astype(float)
    share = alpha[..., None] / 255
    expected = share * pixels + (1 - share) * np.float32((0, 200, 0))
    assert np.abs(result - expected).max() < 2

    made = folder / "made.png"
    words = ("--mask", folder / "mask.png", "--save-trimap", made, "--trimap-width", "0.3")
    assert go(*start, *words, "--output", out, "--overwrite") == 0
    assert set(np.unique(np.asarray(Image.open(made)))) == {0, 128, 255}
    assert f"\n  {made}: the trimap\n" in capsys.readouterr().err


def test_mistakes_end_with_one_message(run, files, capsys):
    folder, _, _ = files
    photo, trimap, out = folder / "photo.png", folder / "trimap.png", folder / "out.png"

    def message(*words):
        capsys.readouterr()
        assert go("matte", *words, "--output", out) == 2
        output = capsys.readouterr()
        assert "Traceback" not in output.err and output.out == ""
        assert output.err.startswith("jaxedit matte: ") and output.err.count("\n") == 1
        return output.err

    keep = "--keep-colours"
    network = ("--run", run, keep)
    assert "does not exist" in message(folder / "none.png", "--trimap", trimap, *network)
    assert "colour image" in message(photo, "--trimap", folder / "green.png", *network)
    assert "no run directory" in message(photo, "--trimap", trimap, "--run", folder, keep)
    assert "not of a network that can matte" in message(
        photo, "--trimap", trimap, "--weights", "scat-places2", keep
    )
    assert "--step" in message(photo, "--trimap", trimap, "--weights", "dpt", "--step", 1, keep)
    assert "--tile 5" in message(photo, "--trimap", trimap, *network, "--tile", 5)
    assert not out.exists()


@pytest.mark.parametrize("words", [
    ["--box", "1,2,3,4", "--mask", "m.png", "--run", "r", "--output", "o.png"],
    ["--trimap", "t.png", "--mask", "m.png", "--run", "r", "--output", "o.png"],
    ["--trimap", "t.png", "--run", "r", "--weights", "w", "--output", "o.png"],
    ["--trimap", "t.png", "--run", "r", "--output", "o.png", "--tile", "large"],
])
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["matte", "p.png", *words])
    assert stop.value.code == 2 and "usage: jaxedit matte" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "baseline"), [("closed-form", "closed_form"), ("knn", "knn")])
def test_classical_mattes(files, name, baseline, capsys):
    extras.need_pymatting()
    folder, pixels, trimap = files
    out = folder / "alpha.png"
    words = ("--trimap", folder / "trimap.png", "--alpha-only", "--output", out)
    words = (*words, "--compare", folder / "sheet.png")
    assert go("matte", folder / "photo.png", "--classical", name, *words) == 0
    assert Image.open(folder / "sheet.png").size[0] > 5 * 71
    assert f"\n  {folder / 'sheet.png'}: the matte beside" in capsys.readouterr().err
    labels = np.round(trimap / 127.5).astype(np.float32)[None, ..., None]
    image = pixels[None] / np.float32(127.5) - 1
    expected = baselines.BASELINES[baseline]({"image": image, "trimap": labels})[0, ..., 0]
    assert np.abs(np.asarray(Image.open(out)) - expected * 255).max() < 2


def test_a_classical_method_has_no_steps(files, capsys):
    folder, *_ = files
    words = ("--trimap", folder / "trimap.png", "--output", folder / "out.png", "--step", "best")
    assert go("matte", folder / "photo.png", "--classical", "knn", *words) == 2
    assert "--step chooses a checkpoint of --run" in capsys.readouterr().err


def test_weights_of_the_package_where_none_are_named(run, files, tmp_path, monkeypatch, capsys):
    folder, *_ = files
    words = ("matte", folder / "photo.png", "--trimap", folder / "trimap.png", "--alpha-only",
             "--bucket", 32, "--output")
    place = tmp_path / "shipped"
    place.mkdir()
    monkeypatch.setattr(shipped, "folder", lambda: place)
    assert go(*words, folder / "out.png") == 2
    assert "No weights that come with jaxedit are meant for" in capsys.readouterr().err
    config, _, state = readers.load_run(run)
    card = {"what": "a matte", "licence": "Apache-2.0", "data": [], "recipe": "", "figures": {},
            "config": json.loads(config_lib.to_json(config)),
            "default_for": ["matte"]}
    shipped.write(place, "tiny-matte", {"params": state.params, "stats": state.stats}, card)
    assert go(*words, folder / "out.png") == 0
    assert "using the weights 'tiny-matte'" in capsys.readouterr().err
    assert go(*words, folder / "named.png", "--weights", "tiny-matte") == 0
    np.testing.assert_array_equal(
        Image.open(folder / "named.png"), Image.open(folder / "out.png")
    )


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("edit", ["--prompt", "a hat"], "is Stable Diffusion 1.x, whose folder --weights takes"),
        ("invert", [], "published for it are e4e-ffhq, e4e-cars, sdic-ffhq"),
        ("inpaint", ["mask.png"], "--classical METHOD. No weights that come with jaxedit"),
    ],
)
def test_where_nothing_is_named_the_message_says_what_could_be(
    tmp_path, capsys, monkeypatch, verb, words, said
):
    """Where nothing that comes with jaxedit is for it."""
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path / "shipped")
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64)).save(photo)
    assert go(verb, photo, *words, "--output", tmp_path / "out.png") == 2
    told = capsys.readouterr().err
    assert said in told and "`jaxedit weights get NAME` fetches them or says how" in told
