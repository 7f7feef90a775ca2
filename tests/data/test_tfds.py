"""The source `tfds:NAME`, on a real dataset that TFDS itself prepares here, without TensorFlow."""

import io
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxedit.data import sources
from jaxedit.errors import UserError
from tests.data import folders


def encoded(image: np.ndarray) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


class JaxeditTiny(tfds.core.GeneratorBasedBuilder):
    """Pictures 0 .. 11 to train, 100 .. 103 to test, with a class, a label map and a caption."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "caption": tfds.features.Text(),
            "instance": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "depth": tfds.features.Tensor(shape=(20, 24), dtype=np.float32),
            "attributes": tfds.features.FeaturesDict({"old": np.bool_, "age": np.int64}),
            "kind": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(range(12)),
            "test": self._generate_examples(range(100, 104)),
        }

    def _generate_examples(self, numbers):
        for number in numbers:
            picture = folders.picture(number)
            yield (
                number,
                {
                    "image": encoded(picture),
                    "label": number % 2,
                    "segmentation_mask": encoded(picture[..., 1] % 7),
                    "caption": f"picture {number}",
                    "instance": encoded(picture[..., 1] % 3),
                    "depth": picture[..., 2].astype(np.float32) / 7,
                    "attributes": {"old": number % 2 == 1, "age": number},
                    "kind": "even" if number % 2 == 0 else "odd",
                },
            )


class JaxeditGrey(JaxeditTiny):
    """Greyscale pictures without a test split."""

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"image": image})
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(12))}

    def _generate_examples(self, numbers):
        for number in numbers:
            yield number, {"image": encoded(folders.picture(number)[..., 0])}


class JaxeditNumbers(JaxeditTiny):
    """No image at all."""

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"value": np.int64})
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(2))}

    def _generate_examples(self, numbers):
        for number in numbers:
            yield number, {"value": number}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (JaxeditTiny, JaxeditGrey, JaxeditNumbers):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def open_source(name, split, data_dir, **options):
    return sources.create(f"tfds:{name}", split, data_dir=data_dir, download=False, **options)


def records(source):
    return [source[index] for index in range(len(source))]


def test_features_become_record_keys(data_dir):
    source = open_source("jaxedit_tiny", "train", data_dir)
    found = set()
    for record in records(source):
        number = int(record["caption"].split()[1])
        found.add(number)
        picture = folders.picture(number)
        np.testing.assert_array_equal(record["image"], picture)
        np.testing.assert_array_equal(record["label"], picture[..., 1] % 7)
        assert record["label"].dtype == np.int32
        assert record["class_label"] == number % 2
        assert record["id"].startswith("train/")
    assert found == set(range(12))
    assert source.classes == {"classes": ["even", "odd"]}


def test_train_and_test_splits(data_dir):
    assert len(open_source("jaxedit_tiny", "eval", data_dir)) == 4
    everything = records(open_source("jaxedit_tiny", "all", data_dir))
    assert len({record["id"] for record in everything}) == 16
    assert len(open_source("jaxedit_tiny:1.0.0", "eval", data_dir)) == 4


@pytest.mark.parametrize("name", ["jaxedit_grey", "jaxedit_tiny:train", "jaxedit_tiny:1.0.0:train"])
def test_one_split_for_both_is_divided(data_dir, name):
    parts = {
        split: {record["id"] for record in records(open_source(name, split, data_dir, holdout=0.3))}
        for split in ("train", "eval", "all")
    }
    assert parts["train"] and parts["eval"] and not parts["train"] & parts["eval"]
    assert parts["train"] | parts["eval"] == parts["all"] and len(parts["all"]) == 12


def test_a_slice_of_a_split(data_dir):
    assert len(open_source("jaxedit_tiny:train[:50%]", "all", data_dir)) == 6


def test_greyscale(data_dir):
    for record in records(open_source("jaxedit_grey", "train", data_dir)):
        assert record["image"].shape == (20, 24, 3)
        assert (np.ptp(record["image"], axis=2) == 0).all()


def test_keys(data_dir):
    source = open_source("jaxedit_tiny", "train", data_dir, keys=("image", "class_label"))
    assert set(source[0]) == {"image", "class_label", "id"}
    with pytest.raises(UserError, match="no feature for 'mask'"):
        open_source("jaxedit_tiny", "train", data_dir, keys=("mask",))


def test_any_declared_key_is_read_where_it_is_asked_for(data_dir):
    keys = ("instance", "depth", "attributes", "kind", "caption")
    source = open_source("jaxedit_tiny", "train", data_dir, keys=keys)
    for record in records(source):
        assert set(record) == {"image", "id", *keys}
        number = int(record["caption"].split()[1])
        picture = folders.picture(number)
        np.testing.assert_array_equal(record["instance"], picture[..., 1] % 3)
        assert record["instance"].dtype == np.int32 and record["depth"].dtype == np.float32
        np.testing.assert_array_equal(record["depth"], picture[..., 2].astype(np.float32) / 7)
        assert record["attributes"] == {"old": number % 2 == 1, "age": number}
        assert record["kind"] == ("even" if number % 2 == 0 else "odd")
    assert set(open_source("jaxedit_tiny", "train", data_dir)[0]) == {
        "image", "label", "caption", "class_label", "id"
    }


def test_errors_name_what_is_wrong(data_dir):
    with pytest.raises(UserError, match="tfds:jaxedit_absent is no dataset"):
        open_source("jaxedit_absent", "train", data_dir)
    with pytest.raises(UserError, match="cannot read split 'nope'.*train, test"):
        open_source("jaxedit_tiny:nope", "train", data_dir)
    with pytest.raises(UserError, match="no image feature.*value"):
        open_source("jaxedit_numbers", "train", data_dir)
    with pytest.raises(UserError, match="not of the form"):
        open_source("a b", "train", data_dir)


def test_not_prepared_is_named(tmp_path):
    with pytest.raises(UserError, match="not prepared"):
        open_source("jaxedit_tiny", "train", tmp_path)


def test_downloads_and_prepares_on_demand(tmp_path):
    source = sources.create("tfds:jaxedit_tiny", "eval", data_dir=tmp_path)
    assert len(source) == 4 and source[0]["image"].shape == (20, 24, 3)


def test_picklable(data_dir):
    source = open_source("jaxedit_tiny", "train", data_dir)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[2]["image"], source[2]["image"])
