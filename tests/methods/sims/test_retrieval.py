"""Every search gives what brute force over plain arrays gives."""

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sims import retrieval, segments
from tests.methods.sims import banks


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return banks.make(tmp_path_factory.mktemp("retrieval") / "bank")


@pytest.fixture(scope="module")
def wanted():
    label = banks.layout(99)
    classes = banks.CLASSES.count
    return [retrieval.query(one, label, classes) for one in segments.find(label, classes, above=20)]


def as_pairs(found):
    return [[(one.number, one.score) for one in row] for row in found]


def by_definition(bank, one, number):
    """The score from whole frames, as the formula has it."""
    iou = lambda a, b: (a & b).sum() / max((a | b).sum(), 1)
    segment = bank.segment(number)
    score = iou(one.segment.placed(bank.size), segment.placed(bank.size))
    hot = []
    for box, layout in (
        (one.context_box, banks.layout(99)), (bank.context_box[number],
                                              bank.layout(bank.image[number]))
    ):
        frame = np.full(bank.size, 255)
        place = segments.inside(box)
        frame[place] = layout[place]
        hot.append(frame == np.arange(banks.CLASSES.count)[:, None, None])
    return score + iou(*hot)


def test_brute_force_is_the_definition(bank, wanted):
    searcher = retrieval.Searcher(bank, how="brute")
    for one in wanted[:6]:
        for number in bank.of_class(one.segment.label)[::7]:
            expected = by_definition(bank, one, int(number))
            assert searcher.score(one, int(number)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("how", ["pruned", "matrix"])
def test_quick_searches_give_the_same(bank, wanted, how, context):
    allowed = bank.allowed(without=["picture-3"])
    reference, quick = (retrieval.Searcher(bank, context=context, how=h) for h in ("brute", how))
    for k in (1, 5):
        expected = reference.top(wanted, k, allowed)
        assert as_pairs(quick.top(wanted, k, allowed)) == as_pairs(expected)
    assert all(bank.image[one.number] != 3 for row in expected for one in row)
    assert sum(len(row) for row in expected) > 30


def test_ties_go_to_the_lower_number_whatever_the_search(tmp_path, wanted):
    class Twins(banks.Layouts):
        def _read(self, index):
            return {**super()._read(index), "label": banks.layout(index // 3)}

    twins = banks.make(tmp_path / "bank", Twins(9))
    expected = retrieval.Searcher(twins, how="brute").top(wanted, 2)
    assert any(row[0].score == row[1].score for row in expected if len(row) == 2)
    for how in ("pruned", "matrix"):
        assert as_pairs(retrieval.Searcher(twins, how=how).top(wanted, 2)) == as_pairs(expected)


def test_pruning_leaves_most_out(bank, wanted):
    searcher = retrieval.Searcher(bank)
    scored = []
    searcher.score = lambda one, n: scored.append(n) or retrieval.Searcher.score(searcher, one, n)
    searcher.top(wanted, 1)
    everything = sum(len(bank.of_class(one.segment.label)) for one in wanted)
    assert len(scored) < everything / 2


def test_choice_and_bad_input(bank, wanted):
    (row,) = retrieval.Searcher(bank).top(wanted[:1], 3)
    assert retrieval.choose(row) == row[0] and retrieval.choose([]) is None
    rng = np.random.default_rng(0)
    assert {retrieval.choose(row, rng).number for _ in range(40)} == {f.number for f in row}
    # The only donor that may lend; one without overlap finds nothing.
    only = bank.allowed(only=["picture-5"])
    found = retrieval.Searcher(bank).top(wanted, 1, only)
    assert {int(bank.image[f.number]) for f_row in found for f in f_row} == {5}
    with pytest.raises(UserError, match="nearest pixel"):
        label = banks.layout(1, (16, 64))
        query = retrieval.query(segments.find(label, 5)[0], label, 5)
        retrieval.Searcher(bank).top([query], 1)
    with pytest.raises(UserError, match="at least 1"):
        retrieval.Searcher(bank).top(wanted, 0)
    with pytest.raises(UserError, match="Did you mean 'pruned'"):
        retrieval.Searcher(bank, how="prunned")
