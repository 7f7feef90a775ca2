"""The demo's trained parts, shrunk: they train, are restored, measured and applied; mistakes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxedit
from experiments import ship
from jaxedit import cli
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.apply.applier import Applier
from jaxedit.data import array_record, sources
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.methods.sims import compose_stage, composition
from jaxedit.run import evaluate, readers, sharding, starting, train
from jaxedit.state import StartingValue
from jaxedit.weights import shipped
from tests import fake_run, notebooks, shrink
from tests.methods.sims import banks, scene_folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo with its six stages, shrunk, on a folder of two dozen scenes, as its notebook runs.
    """
    folder = tmp_path_factory.mktemp("demo")
    source = {"data.source": f"folder:{scene_folder.written(folder / 'scenes')}"}
    (folder / "notebook").mkdir()
    return notebooks.run_to_its_end("sims", folder / "notebook", **source)


@pytest.fixture(scope="module")
def more(demo, tmp_path_factory):
    """Two stages that the demo has not: canvases measured as they are, and the other alignment."""
    folder = tmp_path_factory.mktemp("more")
    composed = f"array_record:{demo / 'artifacts' / 'composed'}"
    config = shrink.sims("demo", **{
        "data.source": config_lib.from_json((demo / "config.json").read_text()).data.source,
    })
    order = next(stage for stage in config.stages if stage["name"] == "order")
    align = {"part": "align", "align": {"kind": "affine"}}
    pasted = {"part": "pasted", "train": {"steps": 0},
              "evaluate": {"source": composed, "split": "eval"}}
    with config.unlocked():
        config.stages = (
            {"name": "pasted", "overrides": pasted},
            {**order, "name": "align", "overrides": {**order["overrides"], **align}},
        )
        config.evaluate.stages = ()
    train.train(config, folder / "run", jax.devices()[:1])
    return folder / "run"


@pytest.mark.parametrize(
    ("stage", "systems", "metric"),
    [("align", {"model", "unaligned", "moments"}, "l1"),
     ("order", {"model", "lower edge", "objects first"}, "front_accuracy"),
     ("synthesis", {"model", "canvas", "parametric"}, "psnr")],
)
def test_parts_are_trained_and_measured(demo, more, stage, systems, metric):
    run = more if stage == "align" else demo
    stage, method, state = readers.load_run(run, stage=stage)
    before = starting.initial_state(
        method, sharding.Plan(jax.devices()[:1]), jax.random.key(1)
    ).params
    moved = [
        float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in
        zip(jax.tree.leaves(before), jax.tree.leaves(state.params), strict=True)
    ]
    assert np.isfinite(moved).all() and np.mean(np.asarray(moved) > 0) > 0.9
    result = evaluate.evaluate(method, stage, state, run)
    assert systems <= set(result.table)
    figures = {system: result.table[system]["all"][metric] for system in systems}
    assert np.isfinite(list(figures.values())).all()
    if "parametric" in systems:
        assert len(set(figures.values())) == 3


def test_a_judge_says_how_well_layouts_are_followed(demo):
    """Beside the nearest whole picture and the photographs themselves, which are the ceiling."""
    stage, method, state = readers.load_run(demo, stage="synthesis")
    assert stage.evaluate.judge == "scenes-judge"  # the one that comes with the package
    for config in (stage, method.config):
        with config.unlocked():
            config.evaluate.metrics = ("l1", "spectrum_distance")
    table = evaluate.evaluate(method, stage, state, demo).table
    assert set(table) == {"model", "canvas", "parametric", "nearest picture", "photograph"}
    names = [f"mean_iou{suffix}_by_segmenter" for suffix in ("", "_of_canvas")]
    for row in (table[system]["all"] for system in table):
        assert all(0 <= row[name] <= 1 for name in names) and row["spectrum_distance"] >= 0
    best, canvas = table["photograph"]["all"], table["canvas"]["all"]
    assert best["frechet_segmenter"] == pytest.approx(0, abs=1e-3) and best["l1"] == 0
    assert canvas["copy_rate"] > best["copy_rate"] and table["nearest picture"]["all"]["l1"] > 0


def test_canvases_are_measured_as_they_are(demo, more):
    """The figures are those of the canvas beside a network; the shapes are compared without judge.
    """
    tables = {}
    for run, name in ((more, "pasted"), (demo, "synthesis")):
        stage, method, state = readers.load_run(run, stage=name)
        for config in (stage, method.config):
            with config.unlocked():
                config.evaluate.judge, config.evaluate.nearest = "", False
        tables[name] = evaluate.evaluate(method, stage, state, run).table
    own, beside = (tables[n][s]["all"] for n, s in (("pasted", "model"), ("synthesis", "canvas")))
    assert own["psnr"] == pytest.approx(beside["psnr"]) and own["l1"] == pytest.approx(beside["l1"])
    source = array_record.create(str(demo / "artifacts" / "composed"), "eval")
    records = [source[number] for number in range(len(source))][:8]  # evaluate.limit
    present = np.stack([one["canvas"].any(-1) for one in records])
    right = present & np.stack([one["canvas_label"] == one["label"] for one in records])
    assert own["filled"] == pytest.approx(present.mean())
    assert own["followed"] == pytest.approx(right.mean())
    assert 0.1 < own["followed"] < own["filled"]
    with pytest.raises(UserError, match="measures canvases and trains nothing"):
        method_lib.create(shrink.sims("demo", part="pasted")).optimizers(2)


def test_the_likest_layout_lends_its_picture(tmp_path):
    bank = banks.make(tmp_path / "bank", banks.Layouts(4))
    allowed = np.ones(len(bank.images), bool)
    label = bank.layout(2).astype(np.int32)
    found = compose_stage.nearest_picture(bank, label, allowed)
    np.testing.assert_array_equal(found, bank.picture(2)[0])
    allowed[2] = False
    assert (compose_stage.nearest_picture(bank, label, allowed) != found).any()


def test_label_maps_become_photographs(demo, tmp_path, capsys):
    """`jaxedit synthesize`, on a layout of another size than the run's."""
    label = sources.create("scenes:several:64", "eval")[0]["label"].astype(np.uint8)
    place = tmp_path / "labels"
    place.mkdir()
    Image.fromarray(label.repeat(2, 0).repeat(2, 1)).save(place / "a.png")
    go = lambda *words: cli.main(["synthesize", *map(str, words)])
    start = (place / "a.png", "--run", demo)
    out = tmp_path / "out.png"
    assert go(*start, "--variants", 2, "--save-canvas", "--output", out) == 0
    assert "out-2.donors.json: the photograph and licence" in capsys.readouterr().err
    pictures = [np.asarray(Image.open(tmp_path / f"out-{n}.png")) for n in (1, 2)]
    assert pictures[0].shape == (64, 64, 3) and (pictures[0] != pictures[1]).any()
    lines = json.loads((tmp_path / "out-1.donors.json").read_text())["segments"]
    canvas = np.asarray(Image.open(tmp_path / "out-1.canvas.png"))
    assert sum(line["pixels"] for line in lines) >= (canvas.sum(-1) > 0).sum() > 0
    assert go(*start, "--canvas-only", "--output", tmp_path / "collage.png") == 0
    collage, erased = np.asarray(Image.open(tmp_path / "collage.png")), (0, 255)
    same = (collage == canvas).all(-1)
    assert same.any() and np.isin(canvas[~same], erased).all()  # seams are whole in a collage
    assert (collage.sum(-1) > 0).sum() >= (canvas.sum(-1) > 0).sum()
    assert go(*start, "--variants", 2, "--output", out, "--overwrite", "--order", "prior") == 0
    donor = lines[0]["donor"]
    assert go(place, "--run", demo, "--donor", donor, "--output", tmp_path / "all") == 0
    (only,) = {s["donor"] for s in json.loads(
        (tmp_path / "all" / "a.donors.json").read_text())["segments"]}
    assert only == donor
    capsys.readouterr()
    assert go(*start, "--size", "99x65", "--output", tmp_path / "wide.png") == 0
    assert Image.open(tmp_path / "wide.png").size == (99, 65)  # sides that 64 does not divide
    assert "is stretched to 99 x 65. --size keeps its shape" in capsys.readouterr().err
    Image.fromarray(np.full((64, 64), 77, np.uint8)).save(place / "b.png")
    for words, message in (
        ((*start, "--output", tmp_path / "out-1.png"), "already exists"),
        ((*start, "--variants", 0, "--output", out), "--variants is 0"),
        ((*start, "--seed", -1, "--output", out), "--seed is -1"),
        ((*start, "--size", "64", "--output", out), "--size 64 is not WIDTHxHEIGHT"),
        ((*start, "--size", "9000x64", "--output", out), "of 16 to 8192 pixels a side"),
        ((*start, "--stage", "parametric", "--output", out), "use one of 'synthesis'"),
        ((*start, "--donor", "nobody", "--output", out), "has no picture 'nobody'"),
        ((*start, "--canvas-only", "--save-canvas", "--output", out), "with --canvas-only"),
        ((*start, "--licence", "CC0", "--output", out), "No picture of the bank is under CC0"),
        ((*start, "--bank", place, "--output", out), "is no memory bank"),
        ((place / "b.png", "--run", demo, "--output", out), "class numbers 77"),
        ((place / "c.png", "--run", demo, "--output", out), "does not exist"),
        ((place / "a.png", "--run", place, "--output", out), "is no run"),
    ):
        assert go(*words) == 2
        assert message in capsys.readouterr().err
    assert not out.exists()


def test_networks_that_come_with_jaxedit_need_a_bank_alone(demo, tmp_path, monkeypatch, capsys):
    go = lambda *words: cli.main(["synthesize", *map(str, words), "--output", str(out)])
    out, labels = tmp_path / "out.png", tmp_path / "labels.png"
    label = sources.create("scenes:several:64", "eval")[0]["label"].astype(np.uint8)
    Image.fromarray(label).save(labels)
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    bank = demo / "artifacts" / "bank"

    def refused(*words):
        assert go(labels, *words) == 2 and not out.exists()
        return capsys.readouterr().err

    assert "--run DIRECTORY. No networks" in refused("--bank", bank)
    for stage, task in (("synthesis", "synthesize"), ("order", "order")):
        config, _, state = readers.load_run(demo, stage=stage)
        card = {key: "" for key in shipped.REQUIRED} | {
            "config": json.loads(config_lib.to_json(config)), "default_for": [task],
        }
        shipped.write(tmp_path, stage, ship.variables(state), card)
    assert "Name a memory bank, --bank" in refused()
    cards = banks.make(tmp_path / "other", banks.Layouts(4))
    assert cards.classes.count != 15
    said = refused("--bank", tmp_path / "other")
    assert "has other classes than the 15" in said and "without a network: --canvas-only" in said
    assert go(labels, "--bank", bank) == 0
    assert "using the weights 'synthesis', 'order'" in capsys.readouterr().err
    shipped_one = np.asarray(Image.open(out)).astype(int)
    assert go(labels, "--run", demo, "--overwrite") == 0
    assert np.abs(shipped_one - np.asarray(Image.open(out))).max() <= 2  # float16


def test_the_networks_in_jaxedit_make_a_photograph(demo, tmp_path):
    """Of a run's bank, without its networks: it looks like its canvas."""
    label = sources.create("scenes:several:64", "eval")[0]["label"].astype(np.uint8)
    Image.fromarray(label).save(tmp_path / "labels.png")
    assert cli.main(["synthesize", str(tmp_path / "labels.png"), "--save-canvas", "--bank",
                     str(demo / "artifacts" / "bank"), "--output", str(tmp_path / "a.png")]) == 0
    made, canvas = (np.asarray(Image.open(tmp_path / f"a{end}.png"), np.float32)
                    for end in ("", ".canvas"))
    pasted = (canvas.sum(-1) > 0) & (canvas.min(-1) < 255)
    assert pasted.mean() > 0.3
    assert np.corrcoef(made[pasted].ravel(), canvas[pasted].ravel())[0, 1] > 0.6


def test_segments_of_any_bank_are_pasted_without_a_network(tmp_path, capsys, monkeypatch):
    """Also at sides that no network takes; nothing is read of what comes with jaxedit."""
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path / "nothing")
    bank = banks.make(tmp_path / "bank", banks.Layouts(6))
    out, labels = tmp_path / "out.png", tmp_path / "labels.png"
    Image.fromarray(banks.layout(9).astype(np.uint8)).save(labels)
    go = lambda *words: cli.main([
        "synthesize", str(labels), "--bank", str(bank.folder), "--output", str(out),
        "--overwrite", *words,
    ])
    assert go("--canvas-only", "--no-align") == 0
    made = np.asarray(Image.open(out))
    pasted = made.any(-1)
    assert pasted.mean() > 0.5
    np.testing.assert_array_equal(made[pasted][:, 1:], np.argwhere(pasted))  # rows and columns
    donors = {line["donor"] for line in json.loads(
        out.with_suffix(".donors.json").read_text())["segments"]}
    assert {f"picture-{red - 10}" for red in made[pasted][:, 0]} == donors
    assert go("--canvas-only") == 0  # moved onto their places
    assert (np.asarray(Image.open(out)) != made).any()
    assert go("--canvas-only", "--size", "99x65") == 0
    assert Image.open(out).size == (99, 65)
    capsys.readouterr()
    assert go("--canvas-only", "--order", "network") == 2
    assert "has no ordering network" in capsys.readouterr().err


def test_the_networks_of_the_demo_come_in_few_bytes_and_from_one_run():
    """Under 8 MB with the judge; the cards of both networks name one recipe."""
    ours = [shipped.get(f"scenes-{name}") for name in ("judge", "order", "synthesis")]
    assert sum(one.card["bytes"] for one in ours) < 8_000_000
    order, synthesis = (one.card for one in ours[1:])
    assert order["recipe"] == synthesis["recipe"]
    stages = [config_lib.from_json(json.dumps(c["config"])).stages for c in (order, synthesis)]
    demo = config_lib.load(shrink.SIMS).stages
    widths = lambda stages: [s["overrides"].get("network") for s in stages]
    assert widths(stages[0]) == widths(stages[1]) == widths(demo)


def synthesis(name="synthesis", **changes):
    config = shrink.sims(name, **{
        "image_size": "(64, 64)", "network.stages": "1", "remat": "false", "train.accumulate": "1",
        "precision.compute": "float32", **changes,
    })
    return config, method_lib.create(config)


def test_layouts_of_any_size_are_padded():
    config, method = synthesis()
    state = fake_run.drawn(jax.eval_shape(lambda: method.init(jax.random.key(0), {})))
    applier = Applier(
        lambda state, inputs, rng: method.predict(state, inputs, rng, task="synthesize"),
        state, method.tasks["synthesize"],
    )
    layout = np.full((50, 70), 3)
    canvas = np.full((50, 70, 3), 0.5, np.float32)
    found = applier(layout=layout, canvas=canvas, presence=canvas[..., :1])
    assert found["image"].shape == (50, 70, 3) and found["classes"].shape == (50, 70)
    assert np.isfinite(found["image"]).all() and np.abs(found["image"]).max() <= 1


def test_the_networks_serve_the_composition(tmp_path):
    """As `composition` calls them: layouts with unlabelled pixels, any number of pairs."""
    bank = banks.make(tmp_path / "bank", banks.Layouts(4))
    appliers = {}
    for part in ("align", "order"):
        config = shrink.sims(part, image_size=str(bank.size), **{
            "network.classes": str(bank.classes.count), "network.width": "2", "part": part,
            "precision.compute": "float32", "remat": "false", "align.kind": "affine",
            "align.discard": "false",
        })
        method = method_lib.create(config)
        state = fake_run.drawn(jax.eval_shape(lambda m=method: m.init(jax.random.key(0), {})))
        appliers[part] = Applier(
            lambda state, inputs, rng, m=method, part=part: m.predict(
                state, inputs, rng, task=part
            ),
            state, method.tasks[part],
        )
    rng = lambda: np.random.default_rng(0)
    settings = composition.Settings(area_share=0.0, context=False)
    label = banks.layout(9)
    assert (label == 255).any()
    made, plain = (
        composition.Composer(bank, settings, **given)(label, rng=rng())
        for given in (appliers, {})
    )
    assert made.pasted and (made.canvas != plain.canvas).any()
    assert len(appliers["align"].compilations) == len(appliers["order"].compilations) == 1
    assert {(p.label, p.number) for p in made.pasted} == {(p.label, p.number) for p in plain.pasted}


def test_without_canvas_a_network_ignores_it():
    """Also where another one is measured: the state says so, not the configuration."""
    rng = np.random.default_rng(0)
    batch = {
        "layout": rng.integers(0, 19, (1, 64, 64)), "canvas": rng.random((1, 64, 64, 3)),
        "presence": np.ones((1, 64, 64, 1)),
    }
    batch = {k: jnp.asarray(v) for k, v in batch.items()}
    black = {**batch, "canvas": 0 * batch["canvas"], "presence": 0 * batch["presence"]}
    _, method = synthesis()
    predict = jax.jit(lambda *inputs: method.predict(*inputs, None, task="synthesize")["image"])
    for canvas in ("record", "none"):
        _, other = synthesis(**{"data.canvas": canvas})
        state = fake_run.drawn(jax.eval_shape(lambda o=other: o.init(jax.random.key(0), {})))
        state = state.replace(extra={"sees_canvas": jnp.float32(canvas == "record")})
        fresh = jax.jit(lambda o=other: o.variables(jax.random.key(0), {}).extra)()
        assert fresh == state.extra
        same = bool((predict(state, batch) == predict(state, black)).all())
        assert same == (canvas == "none")


def test_finer_stage_is_initialised_from_the_coarser():
    _, coarse = synthesis()
    _, fine = synthesis(image_size="(128, 128)", **{"network.stages": "2"})
    old = jax.eval_shape(lambda: coarse.variables(jax.random.key(1), {})).params["synthesis"]
    value = StartingValue(
        jax.tree.map(lambda leaf: np.full(leaf.shape, 7.0, np.float32), old),
        "coarse:params/synthesis", "params/synthesis",
    )
    new = jax.jit(lambda: fine.init(jax.random.key(0), {}, [value]))()
    found, ema = new.params["synthesis"], new.ema["synthesis"]
    for tree in (found, ema):
        assert (np.asarray(tree["encoder_1"]["conv_0"]["kernel"]) == 7).all()
        assert not (np.asarray(tree["decoder_up"]["conv_0"]["kernel"]) == 7).any()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("part", "synthesise", "Did you mean 'synthesis'"),
        ("image_size", "(64, 100)", r"must divide by 64. The nearest is \(64, 128\)"),
        ("image_size", "(64,)", "sequence of 2"),
        ("loss.weights", "(1.0, 2.0)", "sequence of 6"),
        ("network.stages", "4", "network.stages"),
        ("align.kind", "rigid", "affine"),
        ("order.pool", "wholes", "Did you mean 'whole'"),
        ("data.depth", "far", "disparity"),
    ],
)
def test_unsound_configurations_are_named(key, value, words):
    with pytest.raises(UserError, match=words):
        synthesis(**{key: value})


def test_missing_weights_of_the_feature_loss_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    _, method = synthesis(**{"loss.features": "vgg19"})
    with pytest.raises(PretrainedWeightsMissing, match="vgg19"):
        starting.read(method.starting_values(), {})


def test_the_function_of_python_gives_what_the_verb_writes(demo, tmp_path):
    label = sources.create("scenes:several:64", "eval")[1]["label"].astype(np.uint8)
    Image.fromarray(label).save(tmp_path / "a.png")
    out = tmp_path / "out.png"
    words = ("synthesize", tmp_path / "a.png", "--run", demo, "--output", out)
    assert cli.main(list(map(str, words))) == 0
    for given in (label, Image.fromarray(label)):
        made = jaxedit.synthesize(given, run=demo)
        assert isinstance(made, type(given)) or isinstance(made, Image.Image)
        np.testing.assert_array_equal(np.asarray(made), np.asarray(Image.open(out)))
    for wrong in (label.astype(int) - 1, label.astype(int) + 2**32, label[:0]):
        with pytest.raises(UserError, match="class number|without pixels"):
            jaxedit.synthesize(wrong, run=demo)
    with pytest.raises(UserError, match="under nothing"):
        jaxedit.synthesize(label, run=demo, licence="nothing")
