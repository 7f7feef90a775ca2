"""The transform: tasks, sources it opens itself, evaluation samples, pickling, messages."""

import pickle

import cv2
import ml_collections
import numpy as np
import pytest
from PIL import Image

from jaxedit.data import compose, pipeline, sources
from jaxedit.errors import UserError
from jaxedit.methods.matting.data import Subjects, Transform


def picture(seed, height=70, width=90):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(number, height=70, width=90):
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, (width // 2, height // 2), 14 + number, 255, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("matting")
    for name in ("backgrounds/images", "subjects/images", "subjects/alphas", "subjects/trimaps"):
        (root / name).mkdir(parents=True)
    for number in range(8):
        name = f"{number}.png"
        Image.fromarray(picture(number, 50, 64)).save(root / "backgrounds/images" / name)
        Image.fromarray(picture(100 + number)).save(root / "subjects/images" / name)
        Image.fromarray(disc(number)).save(root / "subjects/alphas" / name)
        trimap = np.full((70, 90), 128, np.uint8)
        trimap[:5], trimap[30:40, 40:50] = 0, 255
        Image.fromarray(trimap).save(root / "subjects/trimaps" / name)
    return root


def config(root, **changes):
    made = ml_collections.ConfigDict(
        {
            "image_size": 64,
            "data": {
                "source": f"folder:{root}/backgrounds",
                "task": "finetune",
                "foregrounds": f"folder:{root}/subjects",
                "foreground_limit": 0,
                "cell": 7,
                "known": 0.25,
                "foreground_share": 0.5,
                "alpha_noise": "pixel",
                "second_image": "image",
                "affine": True,
                "jitter": True,
                "merge": 0.5,
                "resize_probability": 0.25,
                "resize_size": 96,
                "trimap_size": 160,
                "trimap_width": (1, 9),
                "real_world": 0.0,
            },
            "evaluate": {"compose": False, "trimap": "record", "trimap_width": 3},
        }
    )
    for key, value in changes.items():
        group, _, name = key.partition("__")
        if name:
            made[group][name] = value
        else:
            made[group] = value
    return made


TRAINING_KEYS = {"image", "trimap", "alpha", "foreground", "background"}


@pytest.mark.parametrize("task", ["pretrain", "finetune"])
def test_training_batches(root, task):
    transform = Transform(config(root, data__task=task), train=True)
    source = sources.create(f"folder:{root}/backgrounds", "train")
    batch = next(pipeline.train_iterator(source, transform, 4, seed=0))
    assert set(batch) == TRAINING_KEYS
    assert batch["image"].shape == (4, 64, 64, 3) and batch["trimap"].shape == (4, 64, 64, 1)
    assert all(array.dtype == np.float32 for array in batch.values())
    copy = pickle.loads(pickle.dumps(transform))
    again = next(pipeline.train_iterator(source, copy, 4, seed=0, threads=0))
    for key in batch:
        np.testing.assert_array_equal(batch[key], again[key])


def test_sources_are_opened_when_needed_and_do_not_travel(root):
    transform = Transform(config(root, data__task="pretrain", data__foregrounds=""), train=True)
    assert transform.pictures._source is None
    record = {"image": picture(0), "id": "x", "index": 0}
    first = transform(record, np.random.default_rng(1))
    assert transform.pictures._source is not None
    copy = pickle.loads(pickle.dumps(transform))
    assert copy.pictures._source is None
    second = copy(record, np.random.default_rng(1))
    np.testing.assert_array_equal(first["image"], second["image"])


@pytest.mark.parametrize("options, keys", [
    ({"data__task": "finetune"}, ["data.foregrounds"]),
    ({"data__task": "pretrain"}, ["data.source"]),
    ({"data__task": "pretrain", "data__second_image": "colour"}, []),
])
def test_the_loop_is_told_what_a_task_draws_from(root, options, keys):
    transform = Transform(config(root, **options), train=True)
    assert list(transform.sources) == keys
    assert len(sources.open_all(transform)) == len(keys)
    assert (transform.subjects.opened._source is not None) == ("data.foregrounds" in keys)


def test_second_pictures_come_from_the_whole_training_source(root):
    options = {"data__task": "pretrain", "data__affine": False, "data__jitter": False}
    transform = Transform(config(root, **options), train=True)
    record = {"image": picture(0), "id": "x", "index": 0}
    seen = {
        transform(record, np.random.default_rng(seed))["background"].tobytes()
        for seed in range(60)
    }
    assert len(seen) == len(sources.create(f"folder:{root}/backgrounds", "train"))
    flat = Transform(config(root, data__second_image="colour", **options), train=True)
    behind = flat(record, np.random.default_rng(0))["background"]
    assert (behind == behind[0, 0]).all() and flat.pictures._source is None


def test_the_number_of_foregrounds_can_be_limited(root):
    everything = Subjects(f"folder:{root}/subjects")
    assert len(everything) == len(sources.create(f"folder:{root}/subjects", "train"))
    three = Subjects(f"folder:{root}/subjects", 3)
    assert len(three) == 3 and len(Subjects(f"folder:{root}/subjects", 99)) == len(everything)
    for index in range(3):
        np.testing.assert_array_equal(three(index)[0], everything(index)[0])


def test_subjects_take_the_colours_of_their_own_where_there_are_any(root, tmp_path):
    for name in ("images", "alphas", "foregrounds"):
        (tmp_path / name).mkdir()
    for number in range(3):
        Image.fromarray(picture(number)).save(tmp_path / f"images/{number}.png")
        Image.fromarray(disc(number)).save(tmp_path / f"alphas/{number}.png")
        Image.fromarray(picture(50 + number)).save(tmp_path / f"foregrounds/{number}.png")
    own = Subjects(f"folder:{tmp_path}")
    identity = int(own.opened.source[0]["id"])
    np.testing.assert_array_equal(own(0)[0], picture(50 + identity))
    plain = Subjects(f"folder:{root}/subjects")
    identity = int(plain.opened.source[0]["id"])
    np.testing.assert_array_equal(plain(0)[0], picture(100 + identity))
    np.testing.assert_array_equal(plain(0)[1], disc(identity))


def test_evaluation_takes_the_record_as_it_is(root):
    source = sources.create(f"folder:{root}/subjects", "all")
    transform = Transform(config(root), train=False)
    record = {**source[0], "index": 0, "kind": "round"}
    sample = transform(record, np.random.default_rng(0))
    assert set(sample) == {"image", "trimap", "alpha", "mask", "kind"} and sample["kind"] == "round"
    np.testing.assert_allclose((sample["image"] + 1) * 127.5, record["image"], atol=1e-4)
    np.testing.assert_array_equal(sample["alpha"][..., 0], np.float32(record["alpha"]) / 255)
    labels = np.select([record["trimap"] == level for level in (0, 128, 255)], [0, 1, 2])
    np.testing.assert_array_equal(sample["trimap"][..., 0], labels)
    np.testing.assert_array_equal(sample["mask"][..., 0], record["trimap"] == 128)
    assert all(sample[key].dtype == np.float32 for key in ("image", "trimap", "alpha", "mask"))


def test_evaluation_is_the_same_for_pretraining(root):
    record = {**sources.create(f"folder:{root}/subjects", "all")[0], "index": 0}
    samples = [
        Transform(config(root, data__task=task), train=False)(record, np.random.default_rng(0))
        for task in ("pretrain", "finetune")
    ]
    for key in samples[0]:
        np.testing.assert_array_equal(samples[0][key], samples[1][key])


def test_evaluation_makes_trimaps(root):
    record = {**sources.create(f"folder:{root}/subjects", "all", keys=("alpha",))[0], "index": 0}
    record["alpha"] = np.zeros((70, 90), np.uint8)
    record["alpha"][20:50, 30:60] = 255
    transform = Transform(config(root, evaluate__trimap="made"), train=False)
    labels = transform(record, np.random.default_rng(0))["trimap"][..., 0]
    # Three pixels on either side of the hard edge.
    assert labels[35].tolist() == [0] * 27 + [1] * 6 + [2] * 24 + [1] * 6 + [0] * 27


def test_evaluation_composes_over_the_evaluation_part(root):
    transform = Transform(config(root, evaluate__compose=True), train=False)
    behind = sources.create(f"folder:{root}/backgrounds", "eval", keys=("image",))
    subjects = sources.create(f"folder:{root}/subjects", "all")
    for index in range(3):
        record = {**subjects[index], "index": index}
        sample = transform(record, np.random.default_rng(0))
        expected = compose.over(
            record["image"], record["alpha"], behind[index % len(behind)]["image"]
        )
        np.testing.assert_allclose((sample["image"] + 1) * 127.5, expected, atol=1e-4)


def test_what_a_record_lacks_is_named(root):
    transform = Transform(config(root), train=False)
    with pytest.raises(UserError, match="no alpha.*evaluate.source"):
        transform({"image": picture(0), "id": "x"}, np.random.default_rng(0))
    with pytest.raises(UserError, match="no trimap.*evaluate.trimap=made"):
        transform({"image": picture(0), "alpha": disc(0), "id": "x"}, np.random.default_rng(0))
    photos = Transform(config(root, data__foregrounds="photos"), train=True)
    with pytest.raises(UserError, match="photos has no 'alpha'"):
        photos({"image": picture(0), "id": "x", "index": 0}, np.random.default_rng(0))


def test_cells_larger_than_a_picture_are_named(root):
    with pytest.raises(UserError, match="data.cell=65 must lie between 1 and image_size=64"):
        Transform(config(root, data__cell=65), train=True)
