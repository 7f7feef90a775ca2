"""From a layout to a canvas: what is looked up, moved, ordered, pasted, and remembered."""

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sims import composition, pairs
from jaxedit.methods.sims.affine import IDENTITY
from jaxedit.methods.sims.composition import Composer, Settings
from jaxedit.methods.sims.flaws import LeftOut
from tests.methods.sims import banks


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return banks.make(tmp_path_factory.mktemp("bank") / "bank", banks.Layouts(12))


def compose(bank, record, **options):
    options = {"rng": np.random.default_rng(0)} | options
    settings = Settings(**{"area_share": 0, "erase": "none"} | options.pop("settings", {}))
    appliers = {name: options.pop(name, None) for name in ("align", "order")}
    return Composer(bank, settings, **appliers)(record["label"], **options)


def test_a_picture_of_the_bank_is_put_together_again(bank):
    record = banks.Layouts(12)[3]
    made = compose(bank, record)
    known = record["label"] != 255
    np.testing.assert_allclose(made.canvas[known] * 255, record["image"][known], atol=1e-3)
    assert (made.canvas[~known] == 0).all()
    np.testing.assert_array_equal(made.layout, np.where(known, record["label"], -1))
    assert {one.donor.image for one in made.pasted} == {"picture-3"} and not made.empty
    assert all(one.score == 2 for one in made.pasted)
    assert sum(one.pixels for one in made.pasted) == known.sum()
    lines = composition.provenance(made, bank)
    assert lines[0]["licence"] == "CC-BY-4.0" and lines[0]["donor_box"] == lines[0]["box"]


def test_without_its_own_picture_others_lend(bank):
    record = banks.Layouts(12)[3]
    made = compose(bank, record, allowed=bank.allowed(without=["picture-3"]))
    assert made.pasted and all(one.donor.image != "picture-3" for one in made.pasted)
    assert all(0 < one.score < 2 for one in made.pasted)
    np.testing.assert_array_equal(made.presence[..., 0] > 0, made.canvas.sum(-1) > 0)
    kept = compose(
        bank, record, allowed=bank.allowed(without=["picture-3"]), settings={"rewrite": False}
    )
    known = record["label"] != 255
    np.testing.assert_array_equal(kept.layout[known], record["label"][known])
    np.testing.assert_array_equal(kept.canvas, made.canvas)
    assert (made.layout != kept.layout).any()


def test_variants_differ_and_repeat(bank):
    record = banks.Layouts(12)[3]
    draw = lambda seed: compose(bank, record, vary=True, rng=np.random.default_rng(seed))
    donors = [tuple(one.number for one in draw(seed).pasted) for seed in (1, 1, 2, 3)]
    assert donors[0] == donors[1] and len(set(donors)) > 1
    erased = compose(bank, record, settings={"erase": "paper"})
    assert (erased.canvas == 1).all(-1).any()


def test_segments_are_moved_and_ordered(bank):
    record = banks.Layouts(12)[3]
    asked = []

    def align(colour, mask, target, label):
        asked.append((colour.shape, mask.shape, target.shape, label.shape))
        # Everything covers everything.
        return {"colour": colour, "mask": np.ones_like(mask), "theta": np.asarray(IDENTITY)}

    def order(label, pair, pair_classes):
        assert label.shape == pair.shape[1:] == bank.size and len(pair) == len(pair_classes)
        there = pair.any((1, 2))
        assert len(pair) == 8 and there.any()
        for one, classes in zip(pair[there], pair_classes[there], strict=True):
            assert set(np.unique(one)) == {0, 1, 2}
            for number, of_class in zip((1, 2), classes, strict=True):
                assert (record["label"][one == number] == of_class).all()
        # The lower class is in front.
        return {"probabilities": np.tile(np.linspace(1, 0, bank.classes.count + 1),
                                         (len(pair), 1))}

    made = compose(bank, record, align=align, order=order)
    height, width = bank.size
    assert set(asked) == {((height, width, 3), *[(height, width, 1)] * 2, (height, width))}
    labels = [one.label for one in made.pasted]
    assert labels == sorted(labels, reverse=True) and len(set(labels)) > 1
    assert made.pasted[-1].pixels == height * width


def test_finer_colours(tmp_path):
    bank = banks.make(tmp_path / "fine", banks.Layouts(3), scale=2)
    label = bank.enlarged(banks.Layouts(3)[1]["label"])
    made = compose(bank, {"label": label})
    assert made.canvas.shape == (*(2 * side for side in bank.size), 3)
    assert {one.donor.image for one in made.pasted} == {"picture-1"}
    with pytest.raises(UserError, match="this bank makes canvases of"):
        compose(bank, {"label": label[::2, ::2]})


def test_canvases_of_another_size_than_the_banks(bank):
    """Twice as large, by the network asked at half of it: whole shifts stay whole."""
    record = banks.Layouts(12)[3]
    small = compose(bank, record)
    fine = Composer(bank, Settings(area_share=0, erase="none"), size=(64, 128))
    made = fine(record["label"].repeat(2, 0).repeat(2, 1), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(made.layout[::2, ::2], small.layout)
    np.testing.assert_array_equal(made.canvas[::2, ::2].any(-1), small.canvas.any(-1))

    def align(colour, mask, target, label):
        assert colour.shape == (16, 32, 3) and label.shape == target.shape[:2] == (16, 32)
        return {"colour": colour, "mask": mask, "theta": np.asarray([1, 0, 1, 0, 1, 0])}

    moved = Composer(bank, Settings(area_share=0, erase="none", keep_unfilled=False), align,
                     align_size=(16, 32))(record["label"], rng=np.random.default_rng(0))
    np.testing.assert_allclose(moved.canvas[:, :-2], small.canvas[:, 2:], atol=1e-6)


def test_flaws_of_donors_are_pasted_black(bank):
    record = banks.Layouts(12)[3]
    rule = LeftOut(shadows=0.2, ground=(1,), casters=(2,), borders=0.1, leaky=(3,))
    plain, made = (compose(bank, record, settings={"flaws": r}) for r in (LeftOut(), rule))
    changed = (made.canvas != plain.canvas).any(-1)
    assert not made.canvas[changed].any()
    np.testing.assert_array_equal(made.layout, plain.layout)  # only colours are missing
    assert set(record["label"][changed]) == {1, 3}
    assert all((changed & (record["label"] == label)).sum() > 20 for label in (1, 3))


def test_what_has_no_donor_keeps_its_label(bank):
    """Small segments, and those for which nothing is found, in front of what their class is."""
    record = banks.Layouts(12)[3]
    options = {"area_share": 0.1, "prior": (4, 3, 0, 1, 2), "rewrite": True}
    without = bank.allowed(without=["picture-3"])
    gone, kept = (
        compose(bank, record, allowed=without, settings={**options, "keep_unfilled": keep})
        for keep in (False, True)
    )
    changed = gone.layout != kept.layout
    assert changed.any() and (kept.layout[changed] == record["label"][changed]).all()
    assert not kept.canvas[changed].any()
    pasted = gone.canvas.any(-1)
    place = {label: number for number, label in enumerate(options["prior"])}
    assert all(
        place[new] > place[old] for new, old in
        zip(kept.layout[changed & pasted], gone.layout[changed & pasted], strict=True)
    )


def test_nothing_to_paste(bank):
    nothing = compose(bank, {"label": np.full(bank.size, 255)})
    assert not nothing.pasted and (nothing.canvas == 0).all() and (nothing.layout == -1).all()
    none_lend = compose(
        bank, banks.Layouts(12)[3], allowed=np.zeros(len(bank.images), bool)
    )
    assert not none_lend.pasted and none_lend.empty
    with pytest.raises(UserError, match="canvas.erase"):
        Settings(erase="much")


def test_the_true_depth_orders_segments(bank):
    """Far ones first where they touch, whatever the prior, but what is flat is behind objects."""
    record = banks.Layouts(12)[3]
    count = banks.CLASSES.count
    allowed = bank.allowed(without=["picture-3"])  # so that segments overlap

    def labels(order, **front):
        settings = {"order": order, "prior": (2, 0, 4, 1, 3), "front": pairs.DepthRule(**front)}
        made = compose(bank, record, settings=settings, depth=number, allowed=allowed)
        return np.asarray([one.label for one in made.pasted])

    number = np.where(record["label"] == 255, 0, record["label"] + 1).astype(np.float32)
    rising = lambda found: np.corrcoef(found, np.arange(len(found)))[0, 1]
    by_prior = rising(labels("prior"))
    assert rising(labels("depth")) < by_prior - 0.2  # high numbers are far, and come first
    assert rising(labels("depth", depth="disparity")) > by_prior + 0.2
    # Class 0 is the nearest of all, yet flat: behind the objects that it touches.
    place = lambda found: np.flatnonzero(found == 0).mean()
    flat = labels("depth", flat=(0,), objects=tuple(range(1, count)))
    assert place(flat) < place(labels("depth")) - 1
    with pytest.raises(UserError, match="needs the depth"):
        compose(bank, record, settings={"order": "depth"})
    unsorted = compose(bank, record, settings={"order": "none"}).pasted
    assert [one.label for one in unsorted] == sorted(one.label for one in unsorted)
    drawn = [
        [one.number for one in compose(bank, record, settings={"order": "random"},
                                       rng=np.random.default_rng(seed)).pasted]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == sorted(drawn[2]) == sorted(one.number for one in unsorted)
