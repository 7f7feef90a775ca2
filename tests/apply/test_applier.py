"""Applying a network to pictures of any size: padding, buckets, compilations, memory."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit.apply import applier
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import inpaint as commands
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.host import machine
from jaxedit.layers.convolution import formulation
from jaxedit.methods.scat import inpaint
from jaxedit.run import readers
from jaxedit.task import Array, Image, Labels, Mask, Number, Seed, Task, Text
from jaxedit.weights import shipped
from tests import toy_method

TASK = Task(
    {"image": Image(), "mask": Mask()}, {"composite": Image(), "seen": Image()},
    multiple=4, minimum=16,
)


def paint(variables, inputs, rng):
    """Fills holes with a constant; `seen` is what the network got to see."""
    del rng
    image, mask = inputs["image"], inputs["mask"]
    return {"composite": image * (1 - mask) + variables["level"] * mask, "seen": image * (1 - mask)}


def make_applier(**options):
    return applier.Applier(paint, {"level": jnp.float32(0.25)}, TASK, **options)


def inputs_of(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, (height, width, 3)).astype(np.float32)
    mask = (rng.uniform(size=(height, width, 1)) < 0.3).astype(np.float32)
    return {"image": image, "mask": mask}


@pytest.mark.parametrize("size", [(64, 64), (65, 130), (5, 7), (1, 200), (63, 1)])
def test_any_size_comes_back_in_its_own_size_and_place(size):
    inputs = inputs_of(*size)
    outputs = make_applier()(**inputs)
    mask = inputs["mask"]
    expected = inputs["image"] * (1 - mask) + 0.25 * mask
    np.testing.assert_array_equal(outputs["composite"], expected)


def test_padding_mirrors_picture_and_mask_alike():
    """Nothing that lies under a hole reaches the network by way of the padding."""
    shown = []

    def spy(variables, inputs, rng):
        shown.append(jax.tree.map(lambda x: x, inputs))
        return paint(variables, inputs, rng)

    inputs = inputs_of(20, 27)
    tool = applier.Applier(spy, {"level": jnp.float32(0)}, TASK)
    one = tool(**inputs)["seen"]
    hidden = {**inputs, "image": np.where(inputs["mask"] > 0, 9.0, inputs["image"])}
    assert (tool(**hidden)["seen"] == one).all()
    padded, _ = TASK.pad({name: array[None] for name, array in inputs.items()}, 64)
    padded = padded["image"][0], padded["mask"][0]
    assert padded[0].shape == (64, 64, 3)
    top, left = 22, 18
    np.testing.assert_array_equal(padded[0][top - 1], padded[0][top + 1])
    np.testing.assert_array_equal(padded[1][:, left - 3], padded[1][:, left + 3])
    np.testing.assert_array_equal(
        padded[0][top : top + 20, left : left + 27], inputs["image"]
    )


def test_one_compilation_per_bucket():
    tool = make_applier()
    for size in ((60, 64), (64, 33), (17, 20), (65, 64), (70, 50)):
        tool(**inputs_of(*size))
    assert tool.compilations == [(64, 64), (128, 64)]


def test_buckets_keep_to_the_network_and_waste_little():
    tool = make_applier()
    for side in (1, 15, 16, 17, 64, 65, 500, 513, 900, 1025, 3000, 5000):
        padded = tool.padded(side, 16)[0]
        assert padded >= max(side, TASK.minimum) and padded % 64 == 0
        assert padded < max(side + 64, 1.5 * side)
    assert {tool.padded(side, 16)[0] for side in range(257, 1025)} == {384, 512, 768, 1024}
    fine = make_applier(bucket=64)
    assert fine.padded(513, 1025) == (576, 1152)  # from 1,024 pixels on of 128
    tight = make_applier(bucket=1)
    assert tight.padded(3, 16) == (16, 16) and tight.padded(18, 21) == (20, 24)
    odd = make_applier(bucket=6)
    assert odd.padded(13, 25) == (24, 36)  # multiples of 12, which both 4 and 6 divide
    with pytest.raises(UserError, match="bucket=0"):
        make_applier(bucket=0)


PHONES = [(3024, 4032), (4032, 3024), (3000, 4000), (3468, 4624), (2448, 3264), (2268, 4032)]


def test_photographs_of_phones_share_programs():
    """A folder of them compiles three times at most: whole, or in crops around their holes."""
    tool = make_applier()
    assert {tool.padded(*size) for size in PHONES[:3] + PHONES[4:]} == {(3072, 4096), (4096, 3072)}
    assert len({tool.padded(*size) for size in PHONES}) == 3
    for trained_on in (64, 256):
        lines = []
        task = dataclasses.replace(TASK, trained_on=trained_on)
        tool = applier.Applier(paint, {"level": jnp.float32(0.25)}, task, say=lines.append)
        for side, (height, width) in zip((40, 150, 500, 900), PHONES[1:], strict=False):
            hole = np.zeros((height, width), bool)
            hole[height // 3 :, width // 4 :][: side // 2, :side] = True
            damaged = np.where(hole[..., None], np.uint8(7), np.uint8(90)).repeat(3, 2)
            filled = commands.fill(tool, Photograph(damaged), hole)
            assert (filled.pixels[hole] != 7).all() and (filled.pixels[~hole] == 90).all()
        assert 2 <= len(tool.compilations) <= 3, (trained_on, tool.compilations)


def test_memory_is_checked_before_anything_runs(monkeypatch):
    ran = []

    def hungry(variables, inputs, rng):
        jax.debug.callback(lambda: ran.append(1))
        wide = jnp.repeat(inputs["image"], 4096, axis=-1)
        wide = jnp.sort(jnp.sin(wide + inputs["mask"]), axis=1)
        return {"composite": wide[..., :3], "seen": wide[..., -3:]}

    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 10_000_000)
    tool = applier.Applier(hungry, {}, TASK)
    with pytest.raises(UserError, match=r"64 x 64 pixels .* GiB"):
        tool(**inputs_of(64, 64))
    assert not ran and not tool.compilations


def test_random_numbers_are_the_same_for_every_picture():
    def noisy(variables, inputs, rng):
        noise = jax.random.normal(rng, inputs["image"].shape)
        return {"composite": noise, "seen": noise}

    tool = applier.Applier(noisy, {}, TASK, seed=3)
    first = tool(**inputs_of(64, 64))["composite"]
    np.testing.assert_array_equal(first, tool(**inputs_of(64, 64, seed=1))["composite"])
    other = applier.Applier(noisy, {}, TASK, seed=4)
    assert (first != other(**inputs_of(64, 64))["composite"]).any()


def test_inputs_must_fit():
    with pytest.raises(ValueError, match="Expected inputs"):
        make_applier()(image=np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="differ in size"):
        make_applier()(image=np.zeros((4, 4, 3), np.float32), mask=np.zeros((4, 5, 1), np.float32))


def test_a_text_guided_editor_compiles_once():
    """Picture, mask, text, numbers and a seed: other values of them are no other program."""
    def encode(texts):
        if not all(texts):
            raise UserError("The prompt is empty.")
        return {"tokens": np.asarray([[len(t), t.count(" ")] for t in texts], np.int32)}

    def edit(variables, inputs, rng):
        noise = jax.random.normal(rng, inputs["image"].shape)
        change = inputs["strength"][:, None] * inputs["tokens"][:, :1]
        return {"image": inputs["image"] + inputs["mask"] * change[:, :, None, None] + 0 * noise,
                "noise": noise}

    task = Task(
        {"image": Image(), "mask": Mask(), "prompt": Text(encode), "strength": Number(0, 1, 0.5),
         "seed": Seed()},
        {"image": Image(), "noise": Image()}, multiple=8,
    )
    tool = applier.Applier(edit, {}, task)
    inputs = inputs_of(30, 50)
    results = [
        tool(**inputs, prompt=prompt, **options) for prompt, options in
        (("red", {}), ("a blue fish", {"strength": 1}), ("red", {"strength": 0.25, "seed": 7}))
    ]
    for result, change in zip(results, (1.5, 11, 0.75), strict=True):
        expected = inputs["image"] + inputs["mask"] * np.float32(change)
        np.testing.assert_allclose(result["image"], expected, rtol=1e-6)
    assert (results[0]["noise"] == results[1]["noise"]).all()
    assert (results[0]["noise"] != results[2]["noise"]).any()
    assert tool.compilations == [(64, 64)]
    for options, words in (
        ({"prompt": ""}, "empty"),
        ({"prompt": "x", "strength": 1.5}, r"strength is 1.5; .* from 0 up to 1"),
        ({"prompt": "x", "strength": "much"}, "strength is 'much'"),
        ({"prompt": "x", "strength": float("nan")}, "strength is nan"),
        ({"prompt": "x", "seed": -1}, "seed is -1"),
    ):
        with pytest.raises(UserError, match=words):
            tool(**inputs, **options)
    with pytest.raises(ValueError, match="Expected inputs"):
        tool(**inputs)


def test_label_maps_with_a_picture_of_another_size():
    """A donor is padded for itself; what comes out follows the layout, twice as large."""
    def synthesize(variables, inputs, rng):
        layout = jnp.repeat(jnp.repeat(inputs["layout"], 2, 1), 2, 2)
        light = inputs["donor"].mean((1, 2, 3))
        return {"image": layout[..., None] * jnp.ones(3), "light": light}

    task = Task(
        {"layout": Labels(classes=5), "donor": Image("donor")},
        {"image": Image(scale=2), "light": Array(())}, multiple=16,
    )
    tool = applier.Applier(synthesize, {}, task, bucket=16)
    layout = np.random.default_rng(0).integers(0, 5, (21, 34))
    result = tool(layout=layout, donor=np.full((7, 90, 3), 0.5, np.float32))
    np.testing.assert_array_equal(result["image"][..., 1], layout.repeat(2, 0).repeat(2, 1))
    assert result["light"] == 0.5 and tool.compilations == [(32, 48)]
    with pytest.raises(UserError, match="labels 5; the network knows 0 to 4"):
        tool(layout=layout + 1, donor=np.zeros((7, 90, 3)))


def test_codes_and_pictures_of_fixed_sizes():
    task = Task({"face": Image((16, 16))},
                {"image": Image((64, 64)), "codes": Array((4, None)), "alike": Array(())})

    def invert(variables, inputs, rng):
        face = inputs["face"]
        codes = jnp.ones((len(face), 4, 8)) * face.mean((1, 2, 3))[:, None, None]
        return {"image": jnp.repeat(jnp.repeat(face, 4, 1), 4, 2), "codes": codes,
                "alike": face.max((1, 2, 3))}

    found = applier.Applier(invert, {}, task)(face=np.full((16, 16, 3), 0.25, np.float32))
    assert found["image"].shape == (64, 64, 3) and found["alike"] == 0.25
    assert found["codes"].shape == (4, 8)
    with pytest.raises(UserError, match="face has 20 x 16 pixels; the network takes 16 x 16"):
        applier.Applier(invert, {}, task)(face=np.zeros((16, 20, 3)))

    draw = Task({"codes": Array((4, None)), "seed": Seed()}, {"image": Image((8, 8))})
    tool = applier.Applier(
        lambda v, inputs, rng: {"image": jnp.zeros((1, 8, 8, 3)) + inputs["codes"].mean()},
        {}, draw,
    )
    assert tool(codes=found["codes"])["image"].shape == (8, 8, 3)
    assert tool.compilations == [None]
    with pytest.raises(UserError, match="codes has the shape 18 x 8; expected 4 x any"):
        tool(codes=np.zeros((18, 8)))


def test_declarations_must_make_sense():
    with pytest.raises(ValueError, match="No input has the size 'picture' of the output out"):
        Task({"codes": Array((4,))}, {"out": Image()})
    with pytest.raises(ValueError, match="output words is a Text"):
        Task({"image": Image()}, {"words": Text(lambda texts: {})})


@pytest.fixture
def toy_run(monkeypatch):
    config = toy_method.get_config()
    method = toy_method.create(config)
    state = method.init(jax.random.key(0), method.spec(1))
    monkeypatch.setattr(readers, "load_run", lambda *_: (config, method, state))
    return method, state


def test_a_run_predicts_what_its_method_does(toy_run):
    method, state = toy_run
    tool = applier.from_run("somewhere", "inpaint", bucket=16)
    inputs = inputs_of(16, 32)
    batch = {name: value[None] for name, value in inputs.items()}
    expected = method.predict(state, batch, jax.random.key(0), task="inpaint")
    outputs = tool(**inputs)
    np.testing.assert_allclose(outputs["prediction"], expected["prediction"][0], atol=1e-6)


def test_a_caption_goes_through_the_methods_own_words(toy_run):
    method, state = toy_run
    method.words = ["green", "red"]
    colours = np.float32([[0, 0, 0], [-1, 1, -1], [1, -1, -1]])
    state = state.replace(frozen={"text": {"params": {"colours": {"embedding": colours}}}})
    tool = applier.Applier(
        lambda *arguments: method.predict(*arguments, task="inpaint"), state,
        method.tasks["inpaint"], bucket=16,
    )
    inputs = inputs_of(16, 16)
    results = [tool(**inputs, **said)["prediction"] for said in
               ({}, {"caption": "nothing known"}, {"caption": "a Red thing"}, {"caption": "green"})]
    assert (results[0] == results[1]).all() and len(tool.compilations) == 1
    assert (results[0] != results[2]).any() and (results[2] != results[3]).any()


def test_weights_that_come_with_the_package(toy_run, tmp_path, monkeypatch):
    """Their card holds the configuration, so they do what the run did that they come from."""
    method, state = toy_run
    card = {"what": "a toy", "licence": "Apache-2.0", "data": [], "recipe": "none", "figures": {},
            "config": json.loads(config_lib.to_json(method.config))}
    painter = {"ema": {"painter": state.ema["painter"]}}
    shipped.write(tmp_path, "toy-small", painter, card)
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    tool = applier.from_weights("toy-small", "inpaint", bucket=16)
    expected = applier.from_run("somewhere", "inpaint", bucket=16)(**inputs_of(16, 32))
    outputs = tool(**inputs_of(16, 32))
    np.testing.assert_allclose(outputs["prediction"], expected["prediction"], atol=5e-3)
    with pytest.raises(UserError, match=r"toy-small holds .*, which cannot 'matte'"):
        applier.from_weights("toy-small", "matte")


@pytest.mark.parametrize("variable", ["", "xla"])
def test_published_weights_get_the_quick_convolutions(monkeypatch, variable):
    seen = []

    def predict(variables, inputs, rng):
        seen.append(formulation.mode())
        return paint(variables, inputs, rng)

    monkeypatch.setattr(inpaint, "published", lambda name: (predict, {"level": 0.0}, TASK))
    monkeypatch.setenv(formulation.VARIABLE, variable)
    applier.from_weights("scat-places2", "inpaint")(**inputs_of(16, 16))
    assert seen == [variable or "auto"]


def test_unknown_tasks_runs_and_weights(toy_run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"cannot 'matte'\. Its tasks: inpaint"):
        applier.from_run("somewhere", "matte")
    monkeypatch.undo()
    with pytest.raises(UserError, match="no run directory"):
        applier.from_run(tmp_path, "inpaint", trust_code=True)
    (tmp_path / "config.json").write_text(config_lib.to_json(toy_method.get_config()))
    with pytest.raises(UserError, match="no checkpoint"):
        applier.from_run(tmp_path, "inpaint", trust_code=True)
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    with pytest.raises(PretrainedWeightsMissing, match="weights convert scat-places2"):
        applier.from_weights("scat-places2", "inpaint")
    with pytest.raises(UserError, match="scat-places2"):
        applier.from_weights("scat-places", "inpaint")
    with pytest.raises(UserError, match="can inpaint. These are: .*scat-places2"):
        applier.from_weights("vgg19", "inpaint")


def test_nothing_is_imported_that_filling_a_hole_does_not_need():
    """Each of these takes a second or more."""
    code = ("import sys, jaxedit.commands.inpaint, jaxedit.apply.applier, jaxedit.run.readers, "
            "jaxedit.methods.scat.method; slow = ('sklearn', 'pandas', 'matplotlib', 'skimage'); "
            "print([name for name in slow if name in sys.modules])")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
