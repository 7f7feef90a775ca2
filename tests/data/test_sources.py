"""The strings that name sources, the split by hash, and survival of bad records."""

import logging
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxedit.data import records, skipped, sources
from jaxedit.errors import UserError
from tests.data import folders


class Numbers(sources.Source):
    """Records 0 .. 19, of which some are bad."""

    def __init__(self, bad=(), **options):
        super().__init__("numbers", **options)
        self.bad = bad

    def __len__(self):
        return 20

    def name(self, index):
        return f"number {index}"

    def _read(self, index):
        if index in self.bad:
            raise UserError(f"number {index} is broken")
        return {"id": str(index), "value": index}


def test_unknown_names_splits_and_options_are_named():
    with pytest.raises(UserError, match="'photo'.*Did you mean 'photos'"):
        sources.create("photo", "train")
    with pytest.raises(UserError, match="half:second:SOURCE.*joined.*Did you mean 'folder'"):
        sources.create("foldr:/x", "train")
    with pytest.raises(UserError, match="'artefact:bank'.*artifact:STAGE.*mean 'artifact'"):
        sources.create("artefact:bank", "train")
    with pytest.raises(UserError, match="artifact:bank is .* known in that run only"):
        sources.create("artifact:bank", "train")
    with pytest.raises(UserError, match="photos: split='test'.*'train', 'eval', 'all'"):
        sources.create("photos", "test")
    with pytest.raises(UserError, match="incomplete; write folder:PATH"):
        sources.create("folder:", "train")
    with pytest.raises(UserError, match="incomplete; write scenes:SIZE"):
        sources.create("scenes:", "train")
    with pytest.raises(UserError, match="takes no argument"):
        sources.create("photos:/x", "train")
    with pytest.raises(UserError, match="no option 'hold_out'.*holdout"):
        sources.create("folder:/x", "train", hold_out=0.1)
    with pytest.raises(UserError, match="No record key 'masks'.*mask"):
        sources.create("photos", "train", keys=("masks",))


def test_the_argument_of_scenes_is_optional():
    assert sources.create("scenes", "eval")[0]["image"].shape == (160, 160, 3)
    assert sources.create("scenes:96", "eval")[0]["image"].shape == (96, 96, 3)


def test_the_index_is_never_asked_of_a_source():
    assert records.check_keys(("alpha", "index")) == {"id", "image", "alpha"}
    assert records.check_keys(None) is None


@given(st.lists(st.text(max_size=8), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_the_split_is_a_partition_that_depends_on_keys_alone(keys, holdout):
    train = sources.split_by_hash(keys, "train", holdout)
    held_out = sources.split_by_hash(keys, "eval", holdout)
    everything = sources.split_by_hash(keys, "all", holdout)
    assert sorted(train + held_out) == sorted(everything) == list(range(len(keys)))
    assert not {keys[i] for i in train} & {keys[i] for i in held_out}
    if len(set(keys)) > 1:
        assert train and held_out
    # Another order of the same keys changes nothing.
    backwards = sources.split_by_hash(keys[::-1], "train", holdout)
    assert [keys[i] for i in train] == [keys[::-1][i] for i in backwards]


def test_about_the_asked_share_is_held_out_and_more_keys_move_nothing():
    keys = [f"image {number}" for number in range(4000)]
    held_out = {keys[i] for i in sources.split_by_hash(keys, "eval", 0.1)}
    assert 320 < len(held_out) < 480
    fewer = {keys[i] for i in sources.split_by_hash(keys[:2000], "eval", 0.1)}
    assert fewer == held_out & set(keys[:2000])


def test_bad_records_are_replaced_by_the_next_good_one_and_counted(caplog):
    source = Numbers(bad={3, 4})
    with caplog.at_level(logging.WARNING):
        assert source[3]["value"] == source[3]["value"] == 5
    assert [record.message for record in caplog.records] == [
        "skipped: number 3 is broken", "skipped: number 4 is broken",
    ]  # fmt: skip
    assert source.skipped == {"number 3": "number 3 is broken", "number 4": "number 4 is broken"}
    assert source.report() == "numbers: skipped 2 of 20 records: number 3, number 4"
    with pytest.raises(sources.BadRecord, match="number 3"):
        source.read(3)
    assert Numbers().report() is None


def test_the_last_record_is_replaced_by_the_first():
    assert Numbers(bad={19})[19]["value"] == 0
    assert Numbers()[-1]["value"] == 19
    with pytest.raises(IndexError):
        Numbers()[20]


def test_too_many_bad_records_are_an_error():
    source = Numbers(bad={1, 3, 5})
    assert source[1]["value"] == 2 and source[3]["value"] == 4
    with pytest.raises(UserError, match="3 of 20 records .* 10%.*number 1 is broken"):
        source[5]
    tolerant = Numbers(bad={1, 3, 5}, max_bad_share=0.2)
    assert [tolerant[i]["value"] for i in (1, 3, 5)] == [2, 4, 6]
    strict = Numbers(bad={1, 3}, max_bad_share=0.0)
    assert strict[1]["value"] == 2  # a single one is always put up with
    with pytest.raises(UserError, match="2 of 20"):
        strict[3]


def test_sources_are_picklable_with_what_they_have_counted():
    source = Numbers(bad={3})
    source[3]
    copy = pickle.loads(pickle.dumps(source))
    assert copy.skipped == source.skipped
    assert copy[3]["value"] == 4
    np.testing.assert_equal(copy.read(7), source.read(7))


class _Drawing:
    """A transform that draws from further sources."""

    def __init__(self, **names):
        self.sources = {
            key: sources.Opened(name, "train", keys=lambda name, split: ("image",), cache_mb=0)
            for key, name in names.items()
        }


def test_further_sources_are_opened_checked_and_reported(tmp_path):
    root = folders.write(tmp_path / "further", 12)
    folders.write_companions(root, 12)
    transform = _Drawing(subjects=f"folder:{root}")
    (source,) = sources.open_all(transform)
    assert source is transform.sources["subjects"].source and set(source[0]) == {"image", "id"}
    assert skipped.reports([source, object()]) == []
    (root / "images" / f"{source.items[0].stem}.png").write_bytes(b"")
    source[0]
    (line,) = skipped.reports([source])
    assert "further: skipped 1 of " in line
    again = pickle.loads(pickle.dumps(sources.Opened("photos", "train", keys=("image",))))
    assert again._source is None and set(again.source[0]) >= {"image", "id"}
    assert sources.open_all(lambda record, rng: record) == []
    with pytest.raises(UserError, match="subjects=folder:.*absent does not exist"):
        sources.open_all(_Drawing(subjects=f"folder:{tmp_path}/absent"))
