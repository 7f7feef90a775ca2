"""Properties of the mask generators, and masks from files."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxedit.data import mask_files, masks
from jaxedit.errors import UserError

SIZES = st.tuples(st.integers(8, 48), st.integers(8, 48))
GENERATORS = {"random": masks.free_form, "strokes": masks.strokes, "boxes": masks.boxes}


@st.composite
def ranges(draw):
    low = draw(st.floats(0, 0.9))
    return low, min(1.0, low + draw(st.floats(0.06, 1.0)))


@pytest.mark.parametrize("kind", GENERATORS)
@settings(max_examples=40, deadline=None)
@given(size=SIZES, hole_range=ranges(), seed=st.integers(0, 2**31))
def test_ratio_lies_strictly_inside_the_range(kind, size, hole_range, seed):
    # Few tries, so that growing or shrinking into the range is exercised too.
    rng = np.random.default_rng(seed)
    mask = GENERATORS[kind](rng, *size, hole_range=hole_range, max_tries=3)
    assert mask.shape == size and mask.dtype == bool
    assert hole_range[0] < mask.mean() < hole_range[1]


@pytest.mark.parametrize("kind", GENERATORS)
def test_same_generator_state_same_mask(kind):
    generate = mask_files.create(kind, 32, 40, hole_range=(0.1, 0.6))
    first = [generate(np.random.default_rng(seed)) for seed in range(5)]
    again = [pickle.loads(pickle.dumps(generate))(np.random.default_rng(s)) for s in range(5)]
    np.testing.assert_array_equal(first, again)
    assert len({mask.tobytes() for mask in first}) == 5


def test_free_form_accepts_ranges_that_crash_the_published_code():
    rng = np.random.default_rng(0)
    for hole_range in ((0.0, 0.05), (0.01, 0.1), (0.0, 0.19), (0.02, 0.04)):
        ratios = [masks.free_form(rng, 32, 32, hole_range).mean() for _ in range(5)]
        assert all(hole_range[0] < ratio < hole_range[1] for ratio in ratios)


def test_free_form_is_neither_empty_nor_full_by_default():
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert 0 < masks.free_form(rng, 16, 16).mean() < 1


def test_free_form_strokes_keep_their_width_in_pixels_whatever_the_size():
    # The published strokes are 12 to 48 pixels wide at every size: small masks are mostly hole.
    rng = np.random.default_rng(0)
    small = np.mean([masks.free_form(rng, 48, 48).mean() for _ in range(60)])
    large = np.mean([masks.free_form(rng, 256, 256).mean() for _ in range(60)])
    assert small > large + 0.1
    thin = np.mean([masks.free_form(rng, 48, 48, brush_width=(1, 3)).mean() for _ in range(60)])
    assert thin < small - 0.1


def test_strokes_have_no_favourite_side():
    rng = np.random.default_rng(0)
    coverage = np.mean([masks.strokes(rng, 32, 32) for _ in range(400)], axis=0)
    halves = [
        coverage[:16].mean(),
        coverage[16:].mean(),
        coverage[:, :16].mean(),
        coverage[:, 16:].mean(),
    ]
    assert max(halves) - min(halves) < 0.15 * np.mean(halves)


def test_boxes_are_upright_and_inside():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = masks.boxes(rng, 30, 40, count=(1, 1), side=(0.1, 0.5))
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 3 <= len(rows) <= 15 and 4 <= len(columns) <= 20


def test_centred_square():
    mask = masks.centred(32, 64)
    expected = np.zeros((32, 64), bool)
    expected[8:24, 16:48] = True
    np.testing.assert_array_equal(mask, expected)
    generate = mask_files.create("centered", 32, 32, augment=False)
    np.testing.assert_array_equal(generate(np.random.default_rng(0)), masks.centred(32, 32))


def test_augmentation_flips_and_turns_anticlockwise_onto_valid_pixels():
    class Fixed:
        """Draws that choose no flip, and 45 degrees."""

        def random(self):
            return 0.9

        def uniform(self, low, high):
            assert (low, high) == (0, 45)
            return 45.0

    mask = np.zeros((41, 41), bool)
    mask[18:23, 20:] = True  # a bar from the centre to the right
    turned = masks.augment(mask, Fixed())
    rows, columns = np.nonzero(turned)
    assert rows.mean() < 20 and columns.mean() > 20  # now it points up and to the right
    angle = math.degrees(math.atan2(20 - rows.mean(), columns.mean() - 20))
    assert abs(angle - 45) < 3
    full = masks.augment(np.ones((40, 40), bool), Fixed())
    assert not full[0, 0] and full[20, 20]


def test_augmentation_flips_half_of_the_time():
    mask = np.zeros((16, 16), bool)
    mask[:, :4] = True
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(200):
        turned = masks.augment(mask, rng)
        sides.append(turned[8, 8:].sum() > turned[8, :8].sum())
    assert 0.35 < np.mean(sides) < 0.65


@settings(max_examples=60, deadline=None)
@given(size=SIZES, ratio=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_fit_ratio_is_exact_and_nested(size, ratio, seed):
    rng = np.random.default_rng(seed)
    mask = masks.boxes(rng, *size)
    fitted = masks.fit_ratio(mask, rng, ratio)
    assert fitted.sum() == round(ratio * mask.size)
    # Growing keeps every hole pixel, shrinking adds none.
    if fitted.sum() >= mask.sum():
        assert fitted[mask].all()
    else:
        assert not fitted[~mask].any()


@pytest.mark.parametrize("value", [False, True])
def test_fit_ratio_of_uniform_masks(value):
    rng = np.random.default_rng(0)
    fitted = masks.fit_ratio(np.full((20, 20), value), rng, 0.25)
    assert fitted.sum() == 100


@pytest.mark.parametrize("hole_range", [(0.5, 0.5), (0.6, 0.4), (-0.1, 0.5), (0.2, 1.1)])
def test_impossible_ranges_are_named(hole_range):
    with pytest.raises(UserError, match="hole_range"):
        mask_files.create("random", 32, 32, hole_range=hole_range)


def test_a_range_between_two_pixel_counts_is_an_error():
    with pytest.raises(UserError, match="whole number of pixels"):
        mask_files.create("strokes", 8, 8, hole_range=(0.501, 0.502))
    # 33 of 64 pixels are strictly inside (32, 34) / 64, and nothing else is.
    generate = mask_files.create("boxes", 8, 8, hole_range=(0.5, 34 / 64))
    assert generate(np.random.default_rng(0)).sum() == 33


def test_unknown_type_and_tiny_size_are_named():
    with pytest.raises(UserError, match="'blobs'.*strokes"):
        mask_files.create("blobs", 32, 32)
    with pytest.raises(UserError, match="too small"):
        mask_files.create("random", 2, 32)


class TestEvaluationMasks:
    def test_every_run_of_samples_meets_every_bin_once(self):
        generate = mask_files.EvaluationMasks(24, 32)
        for run in range(4):
            found = set()
            for index in range(6 * run, 6 * run + 6):
                ratio = generate(np.random.default_rng([7, index]), index).mean()
                found |= {b for b in mask_files.HOLE_BINS if b[0] < ratio <= b[1]}
            assert found == set(mask_files.HOLE_BINS)

    def test_bins_do_not_keep_step_with_an_order_among_the_samples(self):
        generate = mask_files.EvaluationMasks(24, 24)
        for period in (2, 3, 4, 6):
            numbers = {generate.bin_of(index) for index in range(0, 60 * period, period)}
            assert numbers == set(range(6))

    def test_deterministic_and_picklable(self):
        generate = mask_files.EvaluationMasks(24, 24)
        copy = pickle.loads(pickle.dumps(generate))
        for index in (0, 5, 100):
            np.testing.assert_array_equal(
                generate(np.random.default_rng(index), index),
                copy(np.random.default_rng(index), index),
            )

    def test_without_an_index_all_bins_occur(self):
        generate = mask_files.EvaluationMasks(24, 24)
        rng = np.random.default_rng(0)
        ratios = np.array([generate(rng).mean() for _ in range(60)])
        assert all(((low < ratios) & (ratios <= high)).any() for low, high in generate.bins)


class TestFileMasks:
    @pytest.fixture
    def folder(self, tmp_path):
        for number in range(4):
            mask = np.zeros((64, 64), np.uint8)
            mask[: 16 * (number + 1), :32] = 255
            Image.fromarray(mask).save(tmp_path / f"mask{number}.png")
        return tmp_path

    def test_every_file_is_drawn_and_resized(self, folder):
        generate = mask_files.create("pconv", 16, 32, folder=folder, augment=False)
        rng = np.random.default_rng(0)
        drawn = {int(generate(rng).sum()) for _ in range(60)}
        assert drawn == {64, 128, 192, 256}

    def test_inverted_files(self, folder):
        plain = mask_files.create("pconv", 16, 16, folder=folder, augment=False)
        inverted = mask_files.create("pconv", 16, 16, folder=folder, augment=False, invert=True)
        for seed in range(5):
            np.testing.assert_array_equal(
                plain(np.random.default_rng(seed)), ~inverted(np.random.default_rng(seed))
            )

    def test_hole_range_and_pickling(self, folder):
        generate = mask_files.create("pconv", 24, 24, folder=folder, hole_range=(0.2, 0.3))
        copy = pickle.loads(pickle.dumps(generate))
        for seed in range(5):
            mask = generate(np.random.default_rng(seed))
            assert 0.2 < mask.mean() < 0.3
            np.testing.assert_array_equal(mask, copy(np.random.default_rng(seed)))

    def test_indices_start_again_past_the_end(self, folder):
        files = mask_files.MaskFolder(folder)
        np.testing.assert_array_equal(files.load(1, 16, 16), files.load(5, 16, 16))

    def test_a_broken_file_is_replaced_and_reported(self, folder):
        (folder / "mask1.png").write_bytes(b"broken")
        files = mask_files.MaskFolder(folder)
        np.testing.assert_array_equal(files.load(1, 16, 16), files.load(2, 16, 16))
        assert "mask1.png" in files.report()

    def test_bad_folders_are_named(self, folder, tmp_path):
        with pytest.raises(UserError, match="absent"):
            mask_files.create("pconv", 16, 16, folder=tmp_path / "absent")
        (tmp_path / "empty").mkdir()
        with pytest.raises(UserError, match="No mask found in .*empty"):
            mask_files.create("pconv", 16, 16, folder=tmp_path / "empty")
        with pytest.raises(UserError, match="needs a folder"):
            mask_files.create("pconv", 16, 16)
