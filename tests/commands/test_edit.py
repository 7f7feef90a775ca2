"""`jaxedit edit`: with a network that paints white for what files do; with a tiny diffusion model
for what prompts, masks and numbers do."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxedit
from jaxedit import api, cli
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.commands import edit, edit_network, network
from jaxedit.commands.edit_options import Options
from jaxedit.errors import UserError
from jaxedit.layers.convolution import formulation
from jaxedit.run import sharding, stages
from jaxedit.task import Number, Task
from jaxedit.weights import shipped
from tests import fake_run, shrink
from tests.methods.iedit import folders

WHITE = np.array([255, 255, 255])


class Painter:
    """An applier that paints white, and remembers what it was given."""

    task = Task({"strength": Number(0, 1, 0.7), "guidance": Number(0, 100, 7.5)}, {},
                trained_on=16)

    def __init__(self):
        self.calls = []

    def __call__(self, **inputs):
        self.calls.append(inputs)
        return {"image": np.ones_like(inputs["image"])}


class Text:
    def checked(self, texts):
        if any(len(text) > 20 for text in texts):
            raise UserError("too long")

    def unknown(self, text):
        return [word for word in text.split() if word == "qwzxv"]


@pytest.fixture
def editor():
    return edit_network.Editor(Painter(), Text(), 10)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:44] = True
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    return tmp_path, pixels, mask


def go(editor, folder, output, mask="mask.png", photo="photo.png", **options):
    lines, options = [], Options(prompt="a hat", **options)
    options.check()
    jobs = edit.collect(folder / photo, mask and folder / mask, output, variants=options.variants,
                        say=lines.append)
    failures = edit.run(jobs, lambda: editor, options, strip=folder / "strip.png",
                        say=lines.append)
    assert not failures
    return lines


def test_the_mask_is_edited_and_the_rest_is_exact(photo, editor):
    folder, pixels, mask = photo
    lines = go(editor, folder, folder / "out.png", feather=4)
    result = np.asarray(Image.open(folder / "out.png"))
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (result[16:24, 26:38] == WHITE).all() and (result[10, 30] != WHITE).any()
    (call,) = editor.applier.calls
    # 24 columns of mask and half as many on each side, all 40 rows, shown at half the size.
    assert call["image"].shape == (20, 24, 3) and 0.1 < call["mask"].mean() < 0.5
    assert (call["prompt"], call["negative"], call["seed"]) == ("a hat", "", 0)
    assert "strength" not in call
    assert "20.0% of it edited" in lines[-1] and "enlarged again" in lines[0]
    assert Image.open(folder / "strip.png").width > 100


def test_whole_is_what_the_network_returns(photo, editor):
    folder, _, _ = photo
    go(editor, folder, folder / "out.png", whole=True, resolution=60)
    assert (np.asarray(Image.open(folder / "out.png")) == WHITE).all()
    assert editor.applier.calls[0]["image"].shape == (40, 60, 3)
    assert 0.15 < editor.applier.calls[0]["mask"].mean() < 0.25


def test_without_a_mask_all_may_change(photo, editor):
    folder, _, _ = photo
    lines = go(editor, folder, folder / "out.png", mask=None)
    assert (np.asarray(Image.open(folder / "out.png")) == WHITE).all()
    assert editor.applier.calls[0]["mask"].all() and "all of it edited" in lines[-1]


def test_variants_have_files_and_seeds_of_their_own(photo, editor):
    folder, _, _ = photo
    lines = go(editor, folder, folder / "out.png", variants=3, seed=5, strength=0.5, guidance=2.0)
    assert sorted(p.name for p in folder.glob("out*")) == [f"out-{n}.png" for n in (1, 2, 3)]
    assert [call["seed"] for call in editor.applier.calls] == [5, 6, 7]
    assert {call["strength"] for call in editor.applier.calls} == {0.5}
    assert "out-1.png" in lines[-1] and "out-3.png" in lines[-1]
    with pytest.raises(UserError, match="out-1.png already exists.*--overwrite"):
        go(editor, folder, folder / "out.png", variants=2)
    # Whoever goes on has what is left made; of a set that is not whole, all.
    (folder / "out-2.png").unlink()
    again = {"variants": 3, "skip": True, "say": print}
    assert len(edit.collect(folder / "photo.png", None, folder / "out.png", **again)) == 1
    (folder / "out-2.png").write_bytes(b"")
    assert edit.collect(folder / "photo.png", None, folder / "out.png", **again) == []


def test_folders_of_photos_and_masks(photo, editor):
    folder, pixels, _ = photo
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for stem in "ab":
        Image.fromarray(pixels[..., 0]).save(folder / "photos" / f"{stem}.png")
    mask = Image.open(folder / "mask.png")
    mask.save(folder / "masks" / "a.png")
    Image.new("L", mask.size).save(folder / "masks" / "b.png")
    jobs = edit.collect(folder / "photos", folder / "masks", folder / "out", say=print)
    failures = edit.run(jobs, lambda: editor, Options(prompt="a hat"), say=lambda line: None)
    assert len(failures) == 1 and "b.png selects nothing" in failures[0]
    assert Image.open(folder / "out" / "a.png").mode == "L"


@pytest.mark.parametrize("options, message", [
    ({"prompt": "  "}, "prompt is empty"),
    ({"strength": 0}, "strength is 0; expected a number above 0 up to 1"),
    ({"strength": 1.5}, "strength is 1.5"),
    ({"guidance": float("nan")}, "guidance is nan"),
    ({"steps": 0}, "steps is 0; expected a whole number from 1"),
    ({"variants": 0}, "variants is 0"),
    ({"seed": 2**32 - 1, "variants": 2}, "seed is"),
    ({"feather": -1}, "feather is -1"),
    ({"resolution": 8}, "resolution is 8"),
    ({"start": "photo"}, "expected 'noise' or 'ddim'"),
    ({"region": "hat"}, "'hat' needs a segmenter"),
    ({"region": " ", "segmenter": "clipseg"}, "region is empty"),
])
def test_options_that_say_nothing_of_use(options, message):
    with pytest.raises(UserError, match=message):
        Options(**{"prompt": "a hat", **options}).check()


def test_what_a_network_cannot_do_or_does_badly(editor):
    lines = []
    check = lambda **options: edit_network.check(
        editor, Options(**{"prompt": "a hat", **options}), lines.append
    )
    with pytest.raises(UserError, match="too long"):
        check(prompt="x" * 30)
    with pytest.raises(UserError, match="less than one of 10 steps.*at least 0.1"):
        check(strength=0.05)
    check(start="ddim", guidance=3.0)
    assert lines == []
    check(start="ddim")
    check(prompt="a qwzxv hat")
    assert "guidance 7.5 the result drifts" in lines[0] and "'qwzxv'" in lines[1]


def test_masks_that_select_nothing(photo, editor):
    folder, _, _ = photo
    Image.new("L", (60, 40)).save(folder / "black.png")
    with pytest.raises(UserError, match="selects nothing: it has no white pixel.*--invert-mask"):
        go(editor, folder, folder / "out.png", mask="black.png")
    with pytest.raises(UserError, match="photo .* has 60 x 40"):
        Image.new("L", (40, 40), 255).save(folder / "black.png")
        go(editor, folder, folder / "out.png", mask="black.png")
    assert not (folder / "out.png").exists() and not editor.applier.calls


def test_regions_come_from_a_segmenter(photo, editor):
    folder, pixels, mask = photo

    class Finder:
        certain = 0.9

        def probabilities(self, images, phrases):
            assert [image.shape for image in images] == [pixels.shape] and phrases == ["hat"]
            assert formulation.mode() == "auto"
            return [np.where(mask, self.certain, 0.2 * self.certain).astype(np.float32)]

    editor = dataclasses.replace(editor, finder=Finder())
    go(editor, folder, folder / "out.png", mask=None, region="hat", segmenter="here")
    result = np.asarray(Image.open(folder / "out.png"))
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (result[18:22, 28:36] == WHITE).all()
    Finder.certain = 0.05
    with pytest.raises(UserError, match="finds no 'hat' in .*photo.png: it is at most 5% sure"):
        go(editor, folder, folder / "other.png", mask=None, region="hat", segmenter="here")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return (folders.stable_diffusion(folder / "diffusion"), folders.clipseg(folder / "clipseg"))


def test_a_published_folder_edits_with_one_program_for_all(places, photo, monkeypatch):
    """Prompt, strength, guidance, mask and seed are all of one program; each tells."""
    folder, pixels, mask = photo
    programs, describe = [], sharding.compile_and_describe
    monkeypatch.setattr(sharding, "compile_and_describe",
                        lambda *a: programs.append(a) or describe(*a))
    how = {"weights": places[0], "steps": 3, "feather": 0}
    made = lambda **options: np.asarray(jaxedit.edit(pixels, **{
        "prompt": "a red hat", "mask": mask, "strength": 0.7, **how, **options
    }))
    first = made()
    np.testing.assert_array_equal(first[~mask], pixels[~mask])
    assert (first[mask] != pixels[mask]).mean() > 0.5
    np.testing.assert_array_equal(made(), first)
    for options in ({"prompt": "a blue star"}, {"strength": 1.0}, {"guidance": 1.0}, {"seed": 1},
                    {"negative": "a table"}):
        assert (made(**options) != first).any(), options
    editor = api._editor.cache_info()
    assert editor.misses == 1 and len(programs) == 1
    with pytest.raises(UserError, match="more than the 10 tokens.*would be cut off"):
        made(prompt="a red hat on a table in a meadow at night with a star")
    api.forget()


def test_the_command_line_starts_from_an_inversion_in_a_region(places, photo, capsys):
    folder, pixels, _ = photo
    words = [str(folder / "photo.png"), "--prompt", "a red hat qwzxv", "--region", "hat",
             "--segmenter", str(places[1]), "--weights", str(places[0]), "--start", "ddim",
             "--caption", "a hat", "--steps", "2", "--output", str(folder / "out.png")]
    assert cli.main(["edit", *words]) == 0
    told = capsys.readouterr().err
    assert "no word for 'qwzxv'" in told and "drifts" in told
    assert (np.asarray(Image.open(folder / "out.png")) != pixels).any()


def test_what_is_no_whole_model_is_refused(places, photo, tmp_path):
    folder, _, _ = photo
    words = ["edit", str(folder / "photo.png"), "--prompt", "a hat", "--output",
             str(folder / "out.png"), "--weights"]
    with pytest.raises(UserError, match="lacks scheduler/, text_encoder/"):
        run(words, tmp_path)
    with pytest.raises(UserError, match="no such folder or file"):
        run(words, tmp_path / "absent")
    with pytest.raises(UserError, match="has no tokenizer: add --tokenizer"):
        run(words, folder / "mask.png")
    with pytest.raises(UserError, match="no whole Stable Diffusion with its schedule"):
        run(words, "vgg16")
    with pytest.raises(UserError, match="stable-diffusion-v1-4"):
        run(words, "stable-diffusion-v1-5")
    with pytest.raises(UserError, match="holds a CLIP.*model_type|is no folder|config.json"):
        run([*words[:-1], "--region", "hat", "--segmenter", str(tmp_path), "--weights"], places[0])
    assert not (folder / "out.png").exists()


def run(words, weights):
    from jaxedit.commands import edit as verb

    arguments = cli.build_parser([*words, str(weights)]).parse_args([*words, str(weights)])
    return verb.main(arguments)


def test_the_photo_is_no_mask_of_itself(photo):
    path = photo[0] / "photo.png"
    with pytest.raises(UserError, match="is the photo itself"):
        edit.collect(path, path, path.with_name("out.png"))


def test_the_network_that_comes_with_jaxedit_needs_no_name(photo, monkeypatch):
    """It stands on an autoencoder that comes with jaxedit, too."""
    place = photo[0] / "shipped"
    monkeypatch.setattr(shipped, "folder", lambda: place)
    words = ["edit", str(photo[0] / "photo.png"), "--prompt", "a hat", "--output", "out.png"]
    arguments = cli.build_parser(words).parse_args(words)
    with pytest.raises(UserError, match="Name what does the work: --run DIRECTORY or --weights"):
        network.check(arguments, "edit")
    place.mkdir()
    card = dict.fromkeys(shipped.REQUIRED, "")
    for stage in stages.read(shrink.iedit("diffusion")):
        method = method_lib.create(stage.config)
        state = fake_run.drawn(jax.eval_shape(
            lambda method=method: method.variables(jax.random.key(0), method.spec(1))
        ))
        if stage.name == "diffusion":
            card |= {"config": json.loads(config_lib.to_json(stage.config)),
                     "default_for": ["edit"], "start": [
                ["weights:autoencoder:params/autoencoder", "frozen/autoencoder/params"],
                ["weights:autoencoder:extra/latent_scale", "frozen/latent_scale"],
            ]}
        extra = {"latent_scale": np.float32(0.5)} if stage.name == "autoencoder" else {}
        shipped.write(place, stage.name, {"params": state.params, "extra": extra}, card)
    network.check(arguments, "edit")
    assert arguments.weights == "diffusion"
    made = edit_network.load(Options(prompt="a hat", steps=3), weights=arguments.weights)
    state = made.applier.variables
    assert made.steps == 3 and state.frozen["latent_scale"] == 0.5
    theirs = shipped.load(shipped.get("autoencoder"))["params"]["autoencoder"]
    jax.tree.map(np.testing.assert_array_equal, state.frozen["autoencoder"]["params"], theirs)
    assert {"unet", "text"} <= set(state.params)
