"""`jaxedit invert`: inversions are kept and used again, edits move them, mistakes are named."""

import functools
import json
import re

import jax
import numpy as np
import pytest
from PIL import Image

from jaxedit import api, cli
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.apply import alignment, applier, contact_sheet
from jaxedit.commands import directions as directions_verb
from jaxedit.commands import invert as invert_verb
from jaxedit.commands import network
from jaxedit.data import own_files
from jaxedit.methods.sdic import applied, directions, inversion_file, inverter, published
from jaxedit.methods.sdic.attributes import NAMES
from jaxedit.run import readers
from jaxedit.weights import shipped
from tests import fake_run, shrink
from tests.apply.test_alignment import landmarks

RNG = np.random.default_rng(0)
SIZE, CODES, STYLES = 32, (6, 32), 6 * 5


@pytest.fixture(scope="module", autouse=True)
def read_once():
    """Networks that a command has read and traced are kept for the next one, as `api` keeps them.
    """
    kept, read = {}, applier.from_run

    def from_run(folder, task, **options):
        place = (folder, task, options.get("step"), options.get("stage"))
        if place not in kept:
            kept[place] = read(folder, task, **options)
        return kept[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applier, "from_run", from_run)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the real method before its first step, and directions of its generator.

    Its discrepancy is the residual: DIPN, which has tests of its own, takes long to trace.
    """
    folder = fake_run.untrained(tmp_path_factory.mktemp("sdic") / "run",
                                shrink.sdic(**{"network.discrepancy": "residual"}))
    tool = opened(folder)
    linear = lambda name: directions.Direction(
        name, "linear", RNG.standard_normal(CODES), "length", {"smile": 0.5}
    )
    found = [
        linear("smile"), linear("smirk"),
        directions.Direction("pc0", "component", RNG.standard_normal(32), "deviations",
                             mean=RNG.standard_normal(32), deviation=2.0),
        directions.Direction("beard", "styles", RNG.standard_normal(STYLES), "StyleCLIP"),
    ]
    directions.write(folder.parent / "found.safetensors", directions.Directions(
        {one.name: one for one in found}, CODES, tool.generator
    ))
    return folder


@functools.cache
def opened(folder):
    return inverter.Inverter(applier.from_run(folder, "invert", bucket=1))


@pytest.fixture(scope="module")
def face(run):
    path = run.parent / "face.png"
    pixels = np.clip(128 + 50 * RNG.standard_normal((SIZE, SIZE, 3)), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def inverted(run, face):
    """The file that --keep writes, with the results beside it."""
    kept, out = run.parent / "kept.safetensors", run.parent / "inverted.png"
    assert invert(face, run, out, "--keep", kept, "--save-discrepancy") == 0
    return kept


def invert(face, run, out, *words):
    return cli.main(["invert", str(face), "--run", str(run), "--output", str(out),
                     *map(str, words)])


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_an_inversion_is_kept_and_used_again(run, face, inverted, tmp_path, capsys):
    made = pixels(run.parent / "inverted.png")
    assert made.shape == (16, 16, 3) and made.std() > 0
    assert pixels(run.parent / "inverted.discrepancy.png").shape == (SIZE, SIZE, 3)
    for source, words in ((face, ("--keep", inverted)), (inverted, ())):
        assert invert(source, run, tmp_path / f"{source.stem}.png", *words) == 0
        np.testing.assert_array_equal(pixels(tmp_path / f"{source.stem}.png"), made)
    said = capsys.readouterr().err
    assert "using the inversion in" in said and "compil" not in said
    Image.fromarray(pixels(face)[::-1].astype(np.uint8)).save(tmp_path / "other.png")
    assert invert(tmp_path / "other.png", run, tmp_path / "x.png", "--keep", inverted) == 2
    assert "of another picture" in capsys.readouterr().err


def test_edits_are_moves_along_directions(run, inverted, tmp_path):
    """What an edit makes is the method's own task on codes that are moved here by hand."""
    named = directions.read(run.parent / "found.safetensors", CODES, (6,) * 5)
    found, tool = named.by_name, opened(run)
    kept = inversion_file.read(inverted, tool.shapes, tool.fingerprint)
    codes, encoded, residual = (kept.arrays[key] for key in ("codes", "encoded", "residual"))
    linear = found["smile"].array * 1.5
    layers = np.zeros(CODES, np.float32)
    layers[2:4] = -found["smirk"].array[2:4]
    component = 3 * 2.0 * np.broadcast_to(found["pc0"].array, CODES)
    at = (codes[0] - found["pc0"].mean) @ found["pc0"].array / 2.0
    target = (4 - at) * found["pc0"].array * 2.0 * (np.arange(6) < 3)[:, None]
    levels = lambda made: np.clip(np.rint((made["image"] + 1) * 127.5), 0, 255)
    for request, change in {
        "smile=+1.5": linear, "smirk@2-4=-1": layers, "pc0=3": component, "pc0@0-3=to4": target,
    }.items():
        made = tool.edit(kept, named, [named.request(request)]).astype(int)
        expected = levels(tool._invert.beside("edit")(
            codes=codes, residual=residual, direction=change.astype(np.float32)
        ))
        assert np.abs(made - expected).max() <= 1
        assert np.abs(made - pixels(run.parent / "inverted.png")).max() > 0
    # Styles start from the codes before compensation.
    out, words = tmp_path / "styled.png", ("--directions", run.parent / "found.safetensors")
    assert invert(inverted, run, out, *words, "--edit", "beard=2", "--edit", "smile=1.5") == 0
    made = tool._invert.beside("restyle")(
        codes=(encoded + linear).astype(np.float32), residual=residual,
        moves=2 * found["beard"].array,
    )
    assert np.abs(pixels(out) - levels(made)).max() <= 1


def test_a_strip_shows_strengths(run, inverted, tmp_path, capsys):
    words = ("--directions", run.parent / "found.safetensors", "--strip", "smile = -1 : 1 : 3")
    assert invert(inverted, run, tmp_path / "out.png", *words) == 0
    assert pixels(tmp_path / "out.strip.png").shape[1] > 5 * 64
    assert f"\n  {tmp_path / 'out.strip.png'}: the direction at" in capsys.readouterr().err


def test_refining_brings_codes_closer(run, face, inverted, tmp_path):
    tool = opened(run)
    picture = pixels(face).astype(np.uint8)
    refine = tool._invert.beside("refine")
    image = picture.astype(np.float32) / 127.5 - 1
    kept = inversion_file.read(inverted, tool.shapes, tool.fingerprint)
    given = {"image": image, "codes": kept.arrays["codes"], "residual": kept.arrays["residual"]}
    errors = [refine(**given, steps=steps)["error"] for steps in (0, 3, 20)]
    assert errors[0] > errors[1] > errors[2]
    assert len(refine.compilations) == 1  # the number of steps is no other program
    found = tool.invert(picture, 3)
    np.testing.assert_allclose(found.arrays["codes"], refine(**given, steps=3)["codes"], atol=1e-4)
    # What is refined is what an edit of strength 0 makes.
    zero = tool._invert.beside("edit")(
        codes=found.arrays["codes"], residual=found.arrays["residual"],
        direction=np.zeros(CODES, np.float32),
    )["image"]
    np.testing.assert_allclose(zero, found.arrays["image"], atol=1e-4)


@pytest.mark.parametrize("words, message", [
    (("--edit", "smil=1"), "'smil' is unknown.*Did you mean 'smile'"),
    (("--edit", "smile=much"), "'much' is no number"),
    (("--edit", "smile=inf"), "no number"),
    (("--edit", "smile"), "not NAME=STRENGTH"),
    (("--edit", "smile@2-9=1"), "There are 6"),
    (("--edit", "smile=to3"), "principal components"),
    (("--edit", "beard@0-2=1"), "styles have none"),
    (("--strip", "smile=1"), "not NAME=FROM:TO"),
    (("--strip", "smile=1:2:99"), "2 to 32"),
    (("--refine", "-1"), "--refine is -1"),
    (("--stage", "other"), "no checkpoint of a stage 'other'"),
    (("--directions", "nowhere", "--edit", "smile=1"), "no file nowhere"),
    (("--directions", "nowhere"), "--directions is for --edit or --strip"),
])
def test_mistakes(run, face, tmp_path, words, message, capsys):
    if "--directions" not in words and {"--edit", "--strip"} & set(words):
        words = (*words, "--directions", run.parent / "found.safetensors")
    assert invert(face, run, tmp_path / "out.png", *words) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert not list(tmp_path.iterdir())


def test_pictures_that_do_not_fit(run, face, tmp_path, capsys):
    Image.new("RGB", (7, 7)).save(tmp_path / "tiny.png")
    assert invert(tmp_path / "tiny.png", run, tmp_path / "out.png") == 2
    assert "takes none below 8 x 8" in capsys.readouterr().err
    tool = opened(run)
    fitted, doubts = tool.fitted(np.zeros((20, 60, 3), np.uint8), "wide.png")
    assert fitted.shape == (SIZE, SIZE, 3) and len(doubts) == 2
    # Without directions, and of files that are something else.
    assert invert(face, run, tmp_path / "out.png", "--edit", "smile=1") == 2
    assert "jaxedit directions" in capsys.readouterr().err
    other = run.parent / "found.safetensors"
    assert invert(other, run, tmp_path / "out.png") == 2
    assert "holds no inversion" in capsys.readouterr().err
    assert cli.main(["invert", str(face), "--weights", "vgg19", "--output",
                     str(tmp_path / "out.png")]) == 2
    assert "sdic-ffhq" in capsys.readouterr().err


def test_files_of_other_networks_are_refused(run, inverted, tmp_path):
    tool = opened(run)
    with pytest.raises(inverter.UserError, match="other networks"):
        inversion_file.read(inverted, tool.shapes, "another")
    with pytest.raises(inverter.UserError, match="has the shape"):
        inversion_file.read(inverted, {**tool.shapes, "codes": (8, 32)}, tool.fingerprint)
    with pytest.raises(inverter.UserError, match="found on another one"):
        directions.read(run.parent / "found.safetensors", (8, 32), (6,) * 5)


def test_published_files_are_applied_as_runs_are():
    """A bundle's networks, by their names, in the places of a state."""
    method = applied.InversionMethod(shrink.sdic())
    state = jax.eval_shape(lambda key: method.init(key, method.spec(1)), jax.random.key(0))
    zeros = fake_run.drawn(state)
    _, built = applied.state_of({
        name: {"params": zeros.params[name], "batch_stats": zeros.stats[name]}
        for name in ("dipn", "dicn")
    } | {
        "encoder": zeros.frozen["encoder"], "generator": zeros.frozen["generator"],
        "average": {"codes": zeros.frozen["average"]},
    }, method)
    wanted = state.replace(opt={}, frozen={
        name: one for name, one in state.frozen.items() if name != "perceptual"
    })
    like = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)
    assert like(built) == like(wanted)
    for entry in published.ENTRIES:
        if "invert" not in entry.tasks:
            assert not entry.name.startswith(("sdic", "e4e"))  # a generator alone, say
            continue
        function = entry.tasks["invert"]
        part = function.path.split(":")[1]
        found = method_lib.create(applied.config_of(part, **function.options))
        assert found.inversion.generator.codes in (16, 18)
        assert found.predicts_discrepancy == entry.name.startswith("sdic")


def test_the_function_is_the_verb(run, face, inverted, tmp_path):
    given = Image.open(face)
    found = api.invert(given, run=run, edits={"smile": 1.5},
                       directions=run.parent / "found.safetensors")
    assert invert(inverted, run, tmp_path / "out.png", "--directions",
                  run.parent / "found.safetensors", "--edit", "smile=1.5") == 0
    np.testing.assert_array_equal(np.asarray(found), pixels(tmp_path / "out.png"))
    with pytest.raises(inverter.UserError, match="Did you mean 'smile'"):
        api.invert(given, run=run, edits={"smille": 1}, directions=run.parent / "found.safetensors")
    api.forget()


def test_a_face_is_cut_out_and_pasted_back(run, tmp_path, capsys):
    photo = np.clip(128 + 50 * RNG.standard_normal((150, 160, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    points = landmarks() + [20, 5]
    (tmp_path / "points.json").write_text(json.dumps(points.tolist()))
    words = ("--align", "--landmarks", tmp_path / "points.json")
    out, face = tmp_path / "out.png", tmp_path / "face.png"
    assert invert(tmp_path / "photo.png", run, face, *words) == 0
    assert invert(tmp_path / "photo.png", run, out, *words, "--paste-back") == 0
    expected = alignment.paste(photo, alignment.square_of(points), pixels(face).astype(np.uint8))
    np.testing.assert_array_equal(pixels(out), expected)
    assert invert(tmp_path / "photo.png", run, out, "--paste-back") == 2
    assert "add --align" in capsys.readouterr().err


def test_keep_spares_what_is_no_inversion(run, face, tmp_path, capsys):
    found = run.parent / "found.safetensors"
    before = found.read_bytes()
    for words in (("--directions", found, "--edit", "smile=1"), ()):
        assert invert(face, run, tmp_path / "out.png", "--keep", found, "--overwrite", *words) == 2
        said = capsys.readouterr().err
        assert ("the file of --directions" if words else "holds no inversion") in said
        assert found.read_bytes() == before and not list(tmp_path.iterdir())


def test_a_strip_without_its_result_is_no_end(tmp_path):
    """--skip-existing goes on where a strip was written and the result not."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / f"{name}.png")
    strip = tmp_path / "out/a.strip.png"
    contact_sheet.write_grey(strip, np.zeros((8, 8), np.uint8), own_files.SHEET)
    words = ["invert", str(tmp_path / "in"), "--run", "r", "--strip", "smile=-1:1:3", "--output",
             str(tmp_path / "out")]
    jobs = lambda *more: invert_verb.collect(cli.build_parser(words).parse_args([*words, *more]))
    with pytest.raises(inverter.UserError, match="already exists"):
        jobs()
    assert [job.name for job in jobs("--skip-existing")] == ["a.png", "b.png"]
    strip.write_bytes(b"")  # not of jaxedit: it stays
    with pytest.raises(inverter.UserError, match="already exists"):
        jobs("--skip-existing")
    strip.unlink()
    # The strip of one picture is not to be the result of another.
    Image.new("RGB", (8, 8)).save(tmp_path / "in/a.strip.png")
    with pytest.raises(inverter.UserError, match="would both be"):
        jobs("--skip-existing")


def test_a_face_is_chosen_in_photographs_alone(run, face, tmp_path, capsys):
    assert invert(face, run, tmp_path / "out.png", "--face", "7") == 2
    assert "--face is for photographs" in capsys.readouterr().err


def test_transparency_is_white_in_memory_too(run, face, capsys):
    given = np.dstack([pixels(face), np.where(np.arange(SIZE) < 16, 0, 255) * np.ones((SIZE, 1))])
    given = given.astype(np.uint8)
    white = given[..., :3].copy()
    white[:, :16] = 255
    made = api.invert(given, run=run)
    assert "transparent in places" in capsys.readouterr().err
    np.testing.assert_array_equal(made, api.invert(white, run=run))
    with pytest.raises(inverter.UserError, match="expected direction -> strength"):
        api.invert(white, run=run, edits=[("pc0", 1)])
    api.forget()


def test_networks_that_come_with_jaxedit_need_no_name(run, face, tmp_path, monkeypatch, capsys):
    """What is frozen stands in weights of its own; directions are found with the judge there."""
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path / "shipped")

    def given(verb, *words):
        words = [verb, *words, "--output", str(tmp_path / "new.safetensors")]
        return cli.build_parser(words).parse_args(words)

    asked = given("invert", str(face)), given("directions")
    for arguments, verb in zip(asked, (invert_verb, directions_verb), strict=True):
        with pytest.raises(inverter.UserError, match="what does the work: --run DIR.* --weights"):
            verb.main(arguments)
    ship_parts(run, tmp_path / "shipped")
    for arguments in asked:
        network.check(arguments, arguments.command)
        assert arguments.weights == "inversion"
    assert "using the weights 'inversion', which come with jaxedit" in capsys.readouterr().err
    tool = invert_verb.inverter_of(asked[0])
    ours, theirs = (one._invert.variables for one in (tool, opened(run)))
    halves = lambda tree: jax.tree.map(lambda x: shipped.stored(x).astype(np.float32), tree)
    for name in ("encoder", "generator", "average"):
        jax.tree.map(np.testing.assert_array_equal, ours.frozen[name], halves(theirs.frozen[name]))
    jax.tree.map(np.testing.assert_array_equal, ours.params, halves(theirs.params))
    made = directions_verb.made_of(asked[1])
    assert inversion_file.fingerprint(made.variables) == tool.generator
    picture = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)
    assert jax.eval_shape(made.judge, picture).shape == (1, len(NAMES))


def ship_parts(run, place):
    """Ships a run's networks as `experiments/ship.py` does, with a judge that nobody trained."""
    place.mkdir()
    config, _, state = readers.load_run(run)
    frozen, card = state.frozen, dict.fromkeys(shipped.REQUIRED, "")
    judging = shrink.sdic("judge")
    judge = fake_run.drawn(jax.eval_shape(lambda: method_lib.create(judging).variables(
        jax.random.key(0), {"image": jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), np.float32)}
    )))
    generator, encoder = frozen["generator"], frozen["encoder"]
    for name, variables in {
        "generator": {"params": {"generator": generator["params"]},
                      "stats": {"generator": generator["noise"]},
                      "extra": {"average": frozen["average"]}},
        "encoder": {"params": {"encoder": encoder["params"]},
                    "stats": {"encoder": encoder["batch_stats"]}},
        "judge": {"params": judge.params},
    }.items():
        shipped.write(place, name, variables, card)
    described = json.loads(config_lib.to_json(config)) | {"judge": judging.judge.to_dict()}
    shipped.write(place, "inversion", {"params": state.params, "stats": state.stats}, card | {
        "config": described, "default_for": ["invert", "directions"], "start": [
            ["weights:generator:params/generator", "frozen/generator/params"],
            ["weights:generator:stats/generator", "frozen/generator/noise"],
            ["weights:generator:extra/average", "frozen/average"],
            ["weights:encoder:params/encoder", "frozen/encoder/params"],
            ["weights:encoder:stats/encoder", "frozen/encoder/batch_stats"],
            ["weights:judge:params/judge", "frozen/judge/params"],
        ],
    })
