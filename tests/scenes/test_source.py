"""The procedural scenes: exact by construction, and one change at a time."""

import hashlib
import json
import pickle

import numpy as np
import pytest

from jaxedit.data import records, sources
from jaxedit.errors import UserError
from jaxedit.scenes import noise, parameters, rendering
from jaxedit.scenes import source as scenes

SIZE = 64


@pytest.fixture(scope="module", params=["train", "eval"])
def source(request):
    counts = {"train_count": 18, "eval_count": 12}
    return sources.create(f"scenes:{SIZE}", request.param, **counts)


def scene(**changes) -> parameters.Parameters:
    fields = {
        "seed": 7, "part": "train", "subject": "cat", "colour": "brown", "texture": "striped",
        "size": "large", "position": "left", "setting": "meadow", "time": "noon",
    } | changes  # fmt: skip
    return parameters.Parameters(**fields)


def test_records_hold_every_key_in_its_form(source):
    for record in source:
        for key in ("image", "foreground", "background"):
            assert record[key].shape == (SIZE, SIZE, 3) and record[key].dtype == np.uint8
        for key in ("alpha", "trimap"):
            assert record[key].shape == (SIZE, SIZE) and record[key].dtype == np.uint8
        assert record["label"].shape == (SIZE, SIZE) and record["label"].dtype == np.int32
        assert 0 <= record["label"].min() and record["label"].max() < len(source.classes)
        assert record["kind"] in scenes.KINDS
        assert record["caption"][0].isupper() and record["caption"].endswith(".")
        assert json.loads(json.dumps(record["attributes"])) == record["attributes"]
        records.check(record, "a scene")


# Of the first records of each part, as they were when the first matting results were measured.
DIGESTS = {
    "train": (
        "30824c642f3a08d0", "1ca42489b3609bc6", "7ba169ed9843f242", "ab7f85dc34d38a8d",
        "d2be3d2bb0657695", "8a2c585d865b9610", "7231f10737c95f69", "367af237be479d93",
        "5ab33dbf70700415", "8088e8295ddddd9b", "a53185f7040e9fe1", "db6650773c5fe1c3",
    ),
    "eval": (
        "2d5710e793501ef9", "defa256be55615aa", "5e70dbdf304f30e4", "58aa59619b7f34e5",
        "94adedcecc5a009d", "edb670413b9dbeaf", "fda3dc238ca1b2fa", "f9f8bbe6b6d63edc",
        "853741b993ce97f0", "0bf7dd9df3b00a8a", "f451f2346deb0b2e", "ba66096823e8f8d2",
    ),
}  # fmt: skip


def digest(record: dict) -> str:
    result = hashlib.sha256()
    for key in sorted(record):
        value = record[key]
        result.update(key.encode())
        is_array = isinstance(value, np.ndarray)
        result.update(value.tobytes() if is_array else json.dumps(value, sort_keys=True).encode())
    return result.hexdigest()[:16]


def test_pictures_stay_what_they_were_bit_for_bit(source):
    part = source.name(0).split("-")[1]
    assert tuple(digest(source[index]) for index in range(12)) == DIGESTS[part]


def test_image_is_the_composition(source):
    for record in source:
        share = record["alpha"][..., None].astype(np.float64) / 255
        exact = share * record["foreground"] + (1 - share) * record["background"]
        assert np.abs(record["image"] - exact).max() <= 0.5 + 1e-9


def test_trimap_is_right_about_what_it_is_certain_of(source):
    widths = set()
    for record in source:
        alpha, trimap = record["alpha"], record["trimap"]
        assert set(np.unique(trimap)) <= {0, 128, 255}
        assert (alpha[trimap == 255] == 255).all()
        assert (alpha[trimap == 0] == 0).all()
        assert (trimap[(alpha > 0) & (alpha < 255)] == 128).all()
        assert (trimap == 128).any() and (trimap == 0).any()
        widths.add(int((trimap == 128).sum() - ((alpha > 0) & (alpha < 255)).sum()))
    assert len(widths) > len(source) / 2


def test_every_opaque_pixel_has_the_label_of_the_subject(source):
    for index, record in enumerate(source):
        of = parameters.CLASSES.index(parameters.SUBJECTS[record["attributes"]["subject"]][1])
        assert (record["label"][record["alpha"] == 255] == of).all()
        assert (record["label"] == of).mean() > 0.01, source.name(index)
        backdrop = set(np.unique(record["label"])) - {of}
        assert backdrop and max(backdrop) < parameters.CLASSES.index("person")


def test_kinds_take_turns(source):
    kinds = [record["kind"] for record in source]
    for start in range(0, len(kinds), len(scenes.KINDS)):
        assert set(kinds[start : start + len(scenes.KINDS)]) == set(scenes.KINDS)


def test_default_counts_ids_and_parts():
    train, evaluation, both = (sources.create("scenes", split) for split in sources.SPLITS)
    assert (len(train), len(evaluation), len(both)) == (431, 96, 527)
    assert train.size == 160
    assert train.name(123) == "scenes-train-000123" and evaluation.name(0) == "scenes-eval-000000"
    names = [both.name(index) for index in range(len(both))]
    assert len(set(names)) == len(names)
    seeds = [
        {part.parameters(index).seed for index in range(len(part))} for part in (train, evaluation)
    ]
    assert len(seeds[0]) == 431 and len(seeds[1]) == 96 and not seeds[0] & seeds[1]
    assert {evaluation.parameters(index).part for index in range(96)} == {"eval"}


def test_subjects_colours_and_settings_all_occur():
    drawn = [scenes.scene_parameters("train", index) for index in range(431)]
    for field, values in (
        ("subject", parameters.SUBJECTS), ("colour", parameters.COLOURS),
        ("texture", parameters.TEXTURES), ("size", parameters.SIZES), ("time", parameters.TIMES),
        ("position", parameters.POSITIONS), ("setting", parameters.SETTINGS),
    ):  # fmt: skip
        assert {getattr(one, field) for one in drawn} == set(values)
    alike = [one.colour in parameters.SETTINGS[one.setting][0] for one in drawn]
    assert 0.4 < np.mean(alike) < 0.9  # colour alone often does not tell the subject apart


def test_the_parts_use_their_own_photographs():
    names = [set(noise._photographs(part)[1]) for part in ("train", "eval")]
    assert names[0] and names[1] and not names[0] & names[1]


@pytest.mark.parametrize("subject", sorted(parameters.SUBJECTS))
def test_every_subject_is_seen_and_has_colour_where_it_is_transparent(subject):
    record = scenes.render(scene(subject=subject, texture="plain", position="middle"), SIZE)
    alpha = record["alpha"]
    assert record["kind"] == parameters.SUBJECTS[subject][0]
    assert 0.01 < (alpha > 0).mean() < 0.95
    assert ((alpha > 0) & (alpha < 255)).mean() > 0.005
    # The colour goes on beyond the subject instead of falling to black.
    assert record["foreground"][alpha == 0].mean() > 20


def test_kinds_differ_in_their_opacity():
    def mixed(subject: str) -> float:
        alpha = scenes.render(scene(subject=subject, texture="plain"), 96)["alpha"]
        return ((alpha > 0) & (alpha < 255)).sum() / (alpha > 0).sum()

    assert mixed("ball") < 0.12 < mixed("pompom")
    assert mixed("jar") > 0.8 and mixed("smoke") > 0.5
    jar = scenes.render(scene(subject="jar", texture="plain"), 96)["alpha"]
    assert ((jar > 0.1 * 255) & (jar < 0.85 * 255)).sum() > 0.5 * (jar > 0).sum()


def test_changing_the_colour_changes_the_subject_alone():
    before, after = (scenes.render(scene(colour=name), SIZE) for name in ("brown", "white"))
    for key in ("alpha", "trimap", "label", "background"):
        np.testing.assert_array_equal(before[key], after[key])
    changed = (before["image"] != after["image"]).any(2)
    assert changed.any() and not changed[before["alpha"] == 0].any()
    assert before["foreground"].mean() + 20 < after["foreground"].mean()
    assert after["caption"] == before["caption"].replace("brown", "white")


def test_changing_the_setting_changes_the_backdrop_alone():
    before, after = (scenes.render(scene(setting=name), SIZE) for name in ("meadow", "beach"))
    for key in ("alpha", "foreground", "trimap"):
        np.testing.assert_array_equal(before[key], after[key])
    opaque = before["alpha"] == 255
    np.testing.assert_array_equal(before["image"][opaque], after["image"][opaque])
    assert (before["image"] != after["image"]).any()
    assert "in a meadow" in before["caption"] and "on a beach" in after["caption"]


def test_changing_the_position_moves_the_subject():
    before, after = (
        scenes.render(scene(size="small", position=name), 128)["alpha"]
        for name in ("left", "middle")
    )
    step = np.argmax(after.any(0)) - np.argmax(before.any(0))
    assert step > 0
    np.testing.assert_array_equal(before[:, : 128 - step], after[:, step:])


def test_changing_the_wording_changes_the_caption_alone():
    scenes_in_words = [scene(wording=wording) for wording in range(parameters.WORDINGS)]
    records = [scenes.render(one, SIZE) for one in scenes_in_words]
    assert len({record["caption"] for record in records}) == parameters.WORDINGS
    for record in records:
        np.testing.assert_array_equal(record["image"], records[0]["image"])
        for word in ("large", "brown", "striped", "cat", "on the left", "in a meadow", "at noon"):
            assert word in record["caption"].lower()


def test_captions_agree_with_the_article():
    assert "an orange cat" in scenes.render(scene(colour="orange", wording=3, texture="plain"), 64)[
        "caption"
    ].lower()


def test_the_same_scene_is_the_same_every_time(source):
    again = pickle.loads(pickle.dumps(source))
    assert not again._cache
    for index in (0, 5):
        first, second = source[index], again[index]
        for key, value in first.items():
            np.testing.assert_array_equal(value, second[key])
        first["image"][:] = first["alpha"][:] = 0  # the source keeps a copy of its own
        assert source[index]["image"].any() and source[index]["alpha"].any()


def test_memory_stays_within_its_limit():
    source = sources.create(f"scenes:{SIZE}", "train", train_count=4, cache_mb=0.08)
    records = [source[index] for index in (0, 1, 2, 3, 0)]
    assert len(source._cache) == 2
    np.testing.assert_array_equal(records[0]["image"], records[4]["image"])


def test_a_larger_picture_shows_the_same():
    small, large = (scenes.render(scene(), side)["alpha"].astype(np.float32) for side in (64, 128))
    halved = large.reshape(64, 2, 64, 2).mean((1, 3))
    assert np.abs(halved - small).mean() < 12


def test_classes_describe_the_labels(source):
    classes = source.classes
    assert [one["number"] for one in classes] == list(range(len(scenes.CLASSES)))
    assert tuple(one["name"] for one in classes) == scenes.CLASSES
    assert len({tuple(one["colour"]) for one in classes}) == len(classes)
    json.dumps(classes)


def test_compose_rounds_to_the_nearest_level():
    levels = np.arange(256, dtype=np.uint8)
    alpha, foreground = np.meshgrid(levels, levels)
    for behind in (0, 1, 128, 255):
        background = np.full((256, 256, 1), behind, np.uint8)
        image = rendering.compose(foreground[..., None], background, alpha)[..., 0]
        exact = (alpha / 255) * foreground + (1 - alpha / 255) * behind
        assert np.abs(image - exact).max() <= 0.5 + 1e-9


def test_only_the_keys_asked_for_are_handed_out():
    source = sources.create("scenes:64", "train", keys=("alpha",), train_count=1)
    assert set(source[0]) == {"image", "alpha", "id"}
    with pytest.raises(UserError, match="scenes has no 'mask'.*folder:PATH"):
        sources.create("scenes", "train", keys=("mask",))


@pytest.mark.parametrize("side", ["63", "x", "1e3", "5000", "-1"])
def test_impossible_sizes_are_refused(side):
    with pytest.raises(UserError, match="such as scenes:160"):
        sources.create(f"scenes:{side}", "train")


@pytest.mark.parametrize("count", [0, -3, 2.5, True])
def test_impossible_counts_are_refused(count):
    with pytest.raises(UserError, match="train_count of scenes"):
        sources.create("scenes", "train", train_count=count)


def test_unknown_parameters_are_named():
    with pytest.raises(UserError, match="subject='cap' is unknown.*Did you mean 'cat'"):
        scene(subject="cap")
    with pytest.raises(UserError, match="setting='beech' is unknown.*Did you mean 'beach'"):
        scene(setting="beech")
    with pytest.raises(UserError, match="seed"):
        scene(seed=-1)
