"""Sources that divide another one."""

import pickle

import pytest
from PIL import Image

from jaxedit.data import sources
from jaxedit.errors import UserError

SCENES = "scenes:several:64"


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    root = tmp_path_factory.mktemp("drives")
    (root / "images").mkdir()
    for drive, count in (("A", 5), ("B", 30), ("C", 7)):
        for frame in range(count):
            Image.new("RGB", (8, 8), (frame, 0, 0)).save(root / f"images/{drive}_{frame:04}.png")
    return root


def names(source):
    return [source.name(index).rsplit("/")[-1].removesuffix(".png") for index in range(len(source))]


def test_halves_are_disjoint_complete_and_about_equal(drives):
    for inner in (SCENES, f"folder:{drives}"):
        whole = set(names(sources.create(inner, "train")))
        first, second = (
            names(sources.create(f"half:{which}:{inner}", "train")) for which in ("first", "second")
        )
        assert not set(first) & set(second) and set(first) | set(second) == whole
        assert abs(len(first) - len(second)) <= 8
        evaluated = names(sources.create(f"half:second:{inner}", "eval"))
        assert evaluated == names(sources.create(inner, "eval"))
        assert not set(evaluated) & whole


def test_halves_keep_neighbours_together_and_the_order_of_the_source(drives):
    whole = names(sources.create(f"folder:{drives}", "train"))
    first = names(sources.create(f"half:first:folder:{drives}", "train"))
    assert first == [name for name in whole if name in first]
    marks = "".join("x" if name in first else "." for name in sorted(whole))
    assert len(marks.replace("x.", "x|.").replace(".x", ".|x").split("|")) == 8


def test_a_prefix_is_held_out_and_the_rest_can_be_halved(drives):
    text = f"held_out:A:folder:{drives}"
    assert {name[0] for name in names(sources.create(text, "eval"))} == {"A"}
    assert len(sources.create(text, "train")) == 37 and len(sources.create(text, "all")) == 42
    both = sources.create(f"held_out:A+C:folder:{drives}", "eval")
    assert len(both) == 12 and both.description.startswith("held_out:A+C:folder:")
    half = sources.create(f"half:first:{text}", "train", keys=("image",))
    again = pickle.loads(pickle.dumps(half))
    assert names(again) == names(half) and again[3]["id"] == half[3]["id"] == names(half)[3]
    assert len(half) + len(sources.create(f"half:second:{text}", "train")) == 37


def test_a_bad_record_is_counted_once(drives, tmp_path):
    root = tmp_path / "some"
    root.mkdir()
    for path in sorted((drives / "images").iterdir())[:12]:
        (root / path.name).write_bytes(path.read_bytes())
    (root / "A_0001.png").write_bytes(b"no picture")
    source = sources.create(f"held_out:A:folder:{root}", "eval", check_headers=0)
    assert source[names(source).index("A_0001")]["id"] != "A_0001"
    assert len(source.skipped) == 1 and "skipped 1 of 12" in source.report()


def test_classes_are_those_of_the_other_source():
    inner = sources.create(SCENES, "train")
    assert sources.create(f"half:first:{SCENES}", "train").classes == inner.classes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half:firts:scenes", "Did you mean 'first'"),
        ("half:first", "half:first:SOURCE"),
        ("half", "half:first:SOURCE"),
        ("held_out:A", "held_out:A:SOURCE"),
        ("held_out::scenes", "names no prefix"),
        ("held_out:nothing:scenes", "no record's name begins with 'nothing'; the first.*scenes-"),
        ("half:first:fodler:x", "Did you mean 'folder'"),
    ],
)
def test_what_divides_nothing_is_named(name, message):
    with pytest.raises(UserError, match=message):
        sources.create(name, "train")


def test_one_record_and_the_split_all_have_no_halves():
    with pytest.raises(sources.EmptySplit, match="no two halves"):
        sources.create("half:first:scenes", "train", train_count=1)
    with pytest.raises(UserError, match="no split 'all'"):
        sources.create("half:first:scenes", "all")
    with pytest.raises(sources.EmptySplit, match="leaves no record"):
        sources.create("held_out:scenes:scenes", "train")
