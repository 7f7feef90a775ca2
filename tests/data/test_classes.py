"""What the numbers and colours of label maps mean."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import classes, sources
from jaxedit.errors import UserError

STREET = {
    "classes": [
        {"id": 7, "name": "road", "color": [128, 64, 128]},
        {"id": 0, "name": "sky", "color": [70, 130, 180]},
        {"id": 11, "name": "void", "color": [1, 1, 1]},
    ],
    "ignore_index": 11,
}


def png(array, mode=None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8), mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "description",
    [
        ["sky", "road"],
        {"0": "sky", "1": "road"},
        [{"number": 0, "name": "sky"}, {"number": 1, "name": "road"}],
        {"classes": ["sky", "road"], "ignore_index": 255},
        {"classes": [{"id": 1, "name": "road"}, {"id": 0, "name": "sky"}]},
    ],
)
def test_every_form_describes_the_same(description):
    found = classes.parse(description, "x")
    assert found.names == ("sky", "road") and found.numbers == (0, 1) and found.count == 2
    assert classes.parse(json.loads(json.dumps(found.describe())), "x") == found
    assert len(set(found.colours)) == 2


def test_numbers_become_places_and_ignored_ones_unlabelled():
    street = classes.parse(STREET, "x")
    assert street.names == ("sky", "road")
    label = street.normalise(np.array([[0, 7], [11, 255]]), "x.png")
    np.testing.assert_array_equal(label, [[0, 1], [255, 255]])
    assert label.dtype == np.int32
    with pytest.raises(UserError, match=r"x.png holds the class numbers 3 \(25.0% .*0, 7, and"):
        street.normalise(np.array([[0, 7], [3, 0]]), "x.png")
    with pytest.raises(UserError, match="class number -1"):
        street.normalise(np.array([[-1]]), "x.png")
    lenient = classes.of_names(("a", "b"), numbers=(5, 9), lenient=True)
    np.testing.assert_array_equal(lenient.normalise(np.array([[0, 5, 9]]), ""), [[255, 0, 1]])
    assert classes.parse(lenient.describe(), "x") == lenient


def test_index_palette_and_colour_maps_read_alike(tmp_path):
    street = classes.parse(STREET, "x")
    numbers = np.array([[0, 7, 7], [0, 7, 255]])
    expected = [[0, 1, 1], [0, 1, 255]]
    colours = street.paint(np.asarray(expected))
    assert tuple(colours[0, 1]) == (128, 64, 128) and not colours[1, 2].any()
    np.save(tmp_path / "x.npy", numbers)
    buffer = io.BytesIO()
    palette = street.to_png(np.asarray(expected))
    palette.save(buffer, "PNG")
    np.testing.assert_array_equal(np.asarray(palette.convert("RGB")), colours)
    for file in (png(numbers), png(colours), tmp_path / "x.npy"):
        np.testing.assert_array_equal(street.read(file), expected)
    # What is written counts places, as records do.
    np.testing.assert_array_equal(classes.of_names(street.names).read(buffer.getvalue()), expected)
    with pytest.raises(UserError, match=r"y.png is not a label map.*colour \(9, 9, 9\).*as PNG"):
        street.read(png(np.full((2, 2, 3), 9)), name="y.png")


def test_colours_of_many_classes_differ():
    assert len({classes.colour(place) for place in range(182)}) == 182


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("sky", "describes no classes"),
        ({"classes": []}, "describes no classes"),
        ({"classes": [{"id": 3}]}, "describes no classes.*'name'"),
        ({"classes": [{"name": "a", "color": [1, 2]}]}, "the colour"),
        ({"classes": [{"name": "a", "id": "x"}]}, "the number"),
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "Two classes have the number 1"),
        (["a", "a"], "Two classes have the name 'a'"),
        ([str(number) for number in range(300)], "300 classes"),
        ({"classes": ["a"], "ignore_index": "x"}, "describes no classes"),
        ({"classes": [[]]}, "describes no classes"),
        ({"classes": ["a"], "other_colours": 3}, "describes no classes"),
        ({"classes": [{"name": "a", "color": [float("inf"), 1, 2]}]}, "describes no classes"),
    ],
)
def test_what_describes_nothing_is_named(description, message):
    with pytest.raises(UserError, match=f"classes.json.*{message}"):
        classes.parse(description, "classes.json")


def write(root, maps, description=None):
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number, label in enumerate(maps):
        array = np.asarray(label, np.uint8)
        Image.new("RGB", array.shape[1::-1]).save(root / f"images/{number}.png")
        Image.fromarray(array).save(root / f"labels/{number}.png")
    if description is not None:
        (root / "classes.json").write_text(json.dumps(description))
    return f"folder:{root}"


def test_a_folder_numbers_its_classes_in_their_order(tmp_path):
    from jaxedit.data import pack

    name = write(tmp_path / "a", [[[0, 7, 11]], [[7, 7, 255]], [[0, 0, 0]]], STREET)
    pack.pack(tmp_path / "a", tmp_path / "packed")
    for text in (name, f"array_record:{tmp_path / 'packed'}"):
        source = sources.create(text, "all")
        found = {record["id"]: record["label"].tolist() for record in source}
        assert found == {"0": [[0, 1, 255]], "1": [[1, 1, 255]], "2": [[0, 0, 0]]}
        assert classes.of_source(source).names == ("sky", "road")


def test_a_number_outside_of_the_classes_makes_a_bad_record(tmp_path):
    source = sources.create(write(tmp_path / "a", [[[0, 7]], [[0, 5]]], STREET), "all")
    with pytest.raises(sources.BadRecord, match="1.png holds the class numbers 5"):
        source.read([item.id for item in source.items].index("1"))


def test_masks_are_no_label_maps_unless_classes_say_so(tmp_path):
    maps = [[[0, 255]], [[255, 255]]]
    with pytest.raises(UserError, match="hold 0 and 255 alone, as masks do. If 255 is a class"):
        classes.of_source(sources.create(write(tmp_path / "a", maps), "all"))
    two = {"classes": [{"id": 0, "name": "behind"}, {"id": 255, "name": "subject"}]}
    source = sources.create(write(tmp_path / "b", maps, two), "all")
    assert sorted(record["label"].tolist() for record in source) == [[[0, 1]], [[1, 1]]]


def test_without_a_description_the_numbers_count(tmp_path):
    source = sources.create(write(tmp_path / "a", [[[0, 4]], [[2, 255]]]), "all")
    assert classes.of_source(source).names == tuple(f"class {number}" for number in range(5))
    (tmp_path / "a" / "labels" / "0.png").unlink()
    (tmp_path / "a" / "labels" / "1.png").unlink()
    with pytest.raises(UserError, match="has no label map"):
        classes.of_source(sources.create(f"folder:{tmp_path / 'a'}", "all"))
