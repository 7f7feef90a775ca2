"""Several sources as one: the strings, ids, repeats, splits, bad records, what samples need."""

import pickle

import numpy as np
import pytest

from jaxedit.data import joined, pipeline, skipped, sources
from jaxedit.errors import UserError
from tests.data import folders


@pytest.fixture
def roots(tmp_path):
    first, second = folders.write(tmp_path / "first"), folders.write(tmp_path / "second", 10)
    folders.write_companions(first)
    return first, second


def test_a_plus_joins_where_a_source_begins(tmp_path):
    said = lambda text: [str(part) for part in sources.parts(text)]
    assert said("photos") == ["photos"] and said("") == [""]
    assert said("photos+3*folder:/x") == said("photos + 3*folder:/x") == ["photos", "3*folder:/x"]
    assert said("folder:/x/a+b+scenes:64+c") == ["folder:/x/a+b", "scenes:64+c"]
    assert said("artifact:bank:pictures+photos") == ["artifact:bank:pictures", "photos"]
    path = f"folder:{tmp_path}/with+photos"
    assert said(f"{path}+scenes") == [f"folder:{tmp_path}/with", "photos", "scenes"]
    (tmp_path / "with+photos").mkdir()
    assert said(path) == [path] and said(f"{path}+scenes") == [path, "scenes"]
    for text, words in (("photos+scenes+photos", "photos twice.*2\\*photos"),
                        ("folder:/x+photos+folder:/y/../x/", "folder:/x twice"),
                        ("0*photos+scenes", "seen 0 times"), ("photos+foldr:/x", "mean 'folder'"),
                        ("photos+folder:", "incomplete"), ("photos+", "'photos\\+|Unknown")):
        with pytest.raises(UserError, match=words):
            sources.create(text, "train")


def test_all_records_of_all_with_ids_of_their_own(roots):
    text = f"2*folder:{roots[0]}+folder:{roots[1]}"
    alone = [sources.create(f"folder:{root}", "train") for root in roots]
    source = pickle.loads(pickle.dumps(sources.create(text, "train")))
    assert source.description == text and len(source) == 2 * len(alone[0]) + len(alone[1])
    records = [source[index] for index in range(len(source))]
    assert len({record["id"] for record in records}) == len(records)
    found = {record["id"]: (record["image"], source.name(i)) for i, record in enumerate(records)}
    for root, one, again in ((roots[0], alone[0], "#2"), (roots[1], alone[1], "")):
        for index in range(len(one)):
            image, name = found[f"folder:{root}/{one[index]['id']}{again}"]
            np.testing.assert_array_equal(image, one[index]["image"])
            assert name == one.name(index)
    # Any beginning is of all of them.
    first = [str(roots[1]) in record["id"] for record in records[: len(records) // 2]]
    assert abs(sum(first) - len(alone[1]) / 2) <= 1
    # Figures are of every record once.
    held_out = sources.create(text, "eval")
    assert len(held_out) == sum(len(sources.create(f"folder:{r}", "eval")) for r in roots)


def test_each_may_have_a_split_of_its_own_and_nothing_to_evaluate_on(roots, tmp_path):
    single = folders.write(tmp_path / "single", 1)
    text = f"folder:{roots[1]}+folder:{single}"
    chosen = sources.create(text, lambda name: "all" if str(single) in name else "eval")
    assert len(chosen) == 1 + len(sources.create(f"folder:{roots[1]}", "eval"))
    assert list(sources.create(text, "eval").parts) == [f"folder:{roots[1]}"]
    with pytest.raises(sources.EmptySplit, match="too few"):
        sources.create(f"2*folder:{single}", "eval")


def test_bad_records_count_for_the_source_that_holds_them(roots):
    source = sources.create(f"folder:{roots[0]}+folder:{roots[1]}", "train")
    last = max(i for i in range(len(source)) if str(roots[1]) in source.name(i))
    broken = source.name(last)
    with open(broken, "wb") as file:
        file.write(b"nothing")
    with skipped.noting() as met:
        assert source[last]["id"] == source[(last + 1) % len(source)]["id"]
    assert skipped.of([source]) == met and list(met[f"folder:{roots[1]}"]) == [broken]
    (line,) = skipped.reports([source])
    assert line == f"folder:{roots[1]}: skipped 1 of 8 records: {broken}"


def test_what_samples_need_is_asked_of_every_source_at_the_start(roots):
    text = f"folder:{roots[0]}+folder:{roots[1]}"
    source = sources.create(text, "train")

    def needs_alpha(record, rng):
        if "alpha" not in record:
            raise UserError("it has no alpha")
        return {"alpha": record["alpha"]}

    with pytest.raises(UserError, match=f"^folder:{roots[1]}, record .*: it has no alpha"):
        joined.check(source, needs_alpha)
    with pytest.raises(UserError, match=f"{roots[0]} and .*{roots[1]} do not fit.*caption"):
        joined.check(source, lambda record, rng: {
            key: record[key] for key in ("image", "caption") if key in record
        })
    joined.check(source, lambda record, rng: {"image": record["image"]})
    with pytest.raises(UserError, match="classes of labels differ"):
        source.classes  # noqa: B018


def test_training_sees_the_repeated_more_often(roots):
    source = sources.create(f"3*folder:{roots[0]}+folder:{roots[1]}", "train")
    which = lambda record, rng: {"first": np.bool_(str(roots[0]) in record["id"])}
    iterator = pipeline.train_iterator(source, which, len(source), seed=0)
    assert next(iterator)["first"].sum() == 3 * len(sources.create(f"folder:{roots[0]}", "train"))


def test_the_fingerprint_is_that_of_all_parts(tmp_path):
    """A caption that is changed, in whatever part of whatever source, tells sources apart."""
    for name in "ab":
        folders.write(tmp_path / name, 4)
    of = lambda name: sources.create(name, "train").fingerprint()
    names = [f"folder:{tmp_path / 'a'}", f"folder:{tmp_path / 'a'}+folder:{tmp_path / 'b'}",
             f"half:first:folder:{tmp_path / 'a'}"]
    before = [of(name) for name in names]
    assert before == [of(name) for name in names] and len(set(before)) == 3
    (tmp_path / "a" / "captions.jsonl").write_text('{"id": "000", "caption": "changed"}\n')
    after = [of(name) for name in names]
    assert not set(before) & set(after)
