"""Crops around a hole: what the network sees, and that every pixel of the hole is filled by it."""

import numpy as np
import pytest

from jaxedit.apply import crops
from jaxedit.apply.crops import Cutting
from jaxedit.apply.photograph import Photograph


class MeanFill:
    """Fills a hole with the mean of the known pixels that it sees, and remembers what it saw."""

    def __init__(self):
        self.seen = []

    def __call__(self, image, mask):
        assert (mask == 0).any(), "a network must see some known pixel"
        self.seen.append((image.shape[:2], float(mask.sum())))
        known = image[mask[..., 0] == 0].mean(axis=0)
        return {"composite": np.where(mask > 0, known, image)}


def picture(height, width, level=None, seed=0):
    shape = (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Photograph(pixels if level is None else np.full(shape, level, np.uint8))


def with_holes(height, width, *boxes):
    hole = np.zeros((height, width), bool)
    for rows, columns in boxes:
        hole[slice(*rows), slice(*columns)] = True
    return hole


def fill(photo, hole, **options):
    tool = MeanFill()
    result = crops.fill(tool, photo, hole, Cutting(**{"reach": 128, **options}))
    np.testing.assert_array_equal(result.pixels[~hole], photo.pixels[~hole])
    return result, tool.seen


@pytest.mark.parametrize(
    "name, boxes, options, sizes",
    [
        ("small", [((40, 50), (900, 930))], {}, [(256, 256)]),
        ("corner", [((0, 3), (0, 3))], {}, [(256, 256)]),
        ("far apart", [((40, 50), (90, 100)), ((600, 640), (900, 930))], {}, [(256, 256)] * 2),
        ("near", [((340, 350), (490, 500)), ((400, 440), (560, 600))], {}, [(256, 256)]),
        ("wider", [((300, 400), (300, 500))], {}, [(512, 512)]),
        ("context", [((340, 350), (490, 500))], {"context": 140}, [(512, 512)]),
        ("trained on larger ones", [((340, 350), (490, 500))], {"smallest": 512}, [(512, 512)]),
        ("as high as the photo", [((10, 690), (500, 510))], {}, [(700, 1000)]),
    ],
)
def test_what_the_network_sees(name, boxes, options, sizes):
    photo, hole = picture(700, 1000, 90), with_holes(700, 1000, *boxes)
    damaged = Photograph(np.where(hole[..., None], np.uint8(7), photo.pixels))
    result, seen = fill(damaged, hole, resolution=1024, **options)
    assert [size for size, _ in seen] == sizes
    np.testing.assert_array_equal(result.pixels, photo.pixels)


def test_a_photograph_that_is_no_larger_than_a_crop_is_seen_whole():
    photo, hole = picture(120, 200), with_holes(120, 200, ((3, 9), (3, 9)), ((90, 99), (180, 190)))
    result, seen = fill(photo, hole)
    assert seen == [((120, 200), hole.sum())]
    expected = MeanFill()(photo.for_network(), hole[..., None])["composite"]
    np.testing.assert_array_equal(result.pixels, photo.filled(expected, hole).pixels)


def test_a_thin_part_that_is_too_long_for_a_crop_is_filled_in_tiles_at_its_resolution():
    photo, hole = picture(40, 900, 90), with_holes(40, 900, ((20, 22), (10, 890)))
    damaged = Photograph(np.where(hole[..., None], np.uint8(7), photo.pixels))
    result, seen = fill(damaged, hole, resolution=256)
    assert len(seen) > 3 and all(size == (40, 256) for size, _ in seen)
    np.testing.assert_array_equal(result.pixels, photo.pixels)


def test_a_wide_part_is_filled_from_coarse_to_fine():
    """The coarsest hole is no wider than the reach, and what it held has no influence."""
    photo, hole = picture(300, 300, 90), with_holes(300, 300, ((50, 250), (50, 250)))
    results = []
    for level in (0, 255):
        damaged = Photograph(np.where(hole[..., None], np.uint8(level), photo.pixels))
        result, seen = fill(damaged, hole, reach=32)
        results.append(result.pixels)
        sizes = [size[0] for size, _ in seen]
        assert sizes == [64] and len(seen) == 1  # nothing of it is thin
        # A hole of 22 pixels, what it has touched, and their mirror images: the coarsest picture is
        # half of what the network was trained on.
        assert seen[0][0] == (64, 64) and seen[0][1] <= (2 * 24) ** 2
    np.testing.assert_array_equal(*results)
    assert np.abs(results[0].astype(int) - photo.pixels).max() <= 1


@pytest.mark.parametrize("box", [((30, 60), (40, 90)), ((100, 400), (100, 500))])
def test_a_filling_that_is_right_but_for_its_level_becomes_right(box):
    """Seen whole, in a crop, and from coarse to fine."""
    ramp = np.add.outer(np.arange(500) / 5, np.arange(600) / 6)
    photo = Photograph(np.repeat(np.uint8(ramp)[..., None], 3, axis=2))
    hole = with_holes(500, 600, box)
    damaged = Photograph(np.where(hole[..., None], np.uint8(255), photo.pixels))

    class Darker:
        """Sees what nobody told it, at a level of its own, and leaves the known pixels alone."""

        def __call__(self, image, mask):
            y, x = np.nonzero(mask[..., 0] == 0)
            level = np.stack([np.ones(len(y)), y, x], 1)
            plane = np.linalg.lstsq(level, image[y, x].astype(np.float64), rcond=None)[0]
            y, x = np.mgrid[: image.shape[0], : image.shape[1]]
            prediction = np.float32(np.stack([np.ones_like(y), y, x], -1) @ plane) - 0.25
            return {"prediction": prediction, "composite": np.where(mask > 0, prediction, image)}

    cutting = Cutting(reach=128)
    off = lambda tool: np.abs(
        crops.fill(tool, damaged, hole, cutting).pixels.astype(float) - photo.pixels
    )[hole].mean()
    assert off(crops.seamless(Darker())) < 1.5
    nothing = np.zeros((20, 20, 1), np.float32)
    inputs = {"image": np.zeros((20, 20, 3), np.float32), "mask": nothing}
    assert not crops.seamless(Darker())(**inputs)["composite"].any()


def test_what_is_enlarged_has_no_seam():
    """A slope of brightness, which the network fills with one level, goes on through the hole."""
    photo = Photograph(np.broadcast_to(
        np.linspace(40, 200, 300).astype(np.uint8)[None, :, None], (300, 300, 3)
    ).copy())
    hole = with_holes(300, 300, ((50, 250), (50, 250)))
    result, _ = fill(photo, hole, reach=32)
    off = np.abs(result.pixels.astype(int) - photo.pixels)
    assert off[50:250, 50:54].max() <= 3 and off[50:54, 50:250].max() <= 3
    assert off.mean() < 3  # one level would be 27 off in the mean


def test_a_scratch_that_crosses_a_blot_is_filled_at_the_photographs_resolution():
    photo = picture(300, 300, 90)
    hole = with_holes(300, 300, ((100, 200), (100, 200)), ((148, 152), (0, 300)))
    damaged = Photograph(np.where(hole[..., None], np.uint8(7), photo.pixels))
    result, seen = fill(damaged, hole, reach=32)
    assert [size[0] for size, _ in seen] == [64, 128, 300]
    # The scratch outside of the blot and its surroundings, and no corner of the blot.
    assert 4 * 2 * (100 - 32) <= seen[-1][1] <= 4 * 2 * 100
    assert np.abs(result.pixels.astype(int) - photo.pixels).max() <= 1


def test_parts_that_are_not_filled_together_do_not_undo_each_other():
    rows = [((r, r + 4), (c, c + 30)) for r in range(10, 600, 90) for c in range(10, 900, 110)]
    photo, hole = picture(600, 900, 90), with_holes(600, 900, *rows)
    damaged = Photograph(np.where(hole[..., None], np.uint8(7), photo.pixels))
    result, seen = fill(damaged, hole, resolution=384)
    assert 1 < len(seen) < len(rows) and max(max(size) for size, _ in seen) <= 384
    np.testing.assert_array_equal(result.pixels, photo.pixels)


def test_grey_of_16_bits_keeps_them():
    pixels = np.full((300, 400), 51_111, np.uint16)
    result, _ = fill(Photograph(pixels), with_holes(300, 400, ((9, 12), (9, 12))))
    assert result.pixels.dtype == np.uint16
    # The mean of float32 numbers is a few of 65,536 levels off; 8 bits would be up to 128 off.
    assert np.abs(result.pixels.astype(int) - 51_111).max() <= 8


@pytest.mark.parametrize("reach", [4, 32, 128])
def test_a_hole_of_any_depth_comes_to_an_end(reach):
    """One that is hardly deeper than the reach, too, and one that smaller sizes widen."""
    y, x = np.mgrid[:270, :480]
    for radius in (reach // 2 + 1, reach // 2 + 2, 36, 50, 53, 57, 63, 100, 130):
        hole = np.hypot(y - 135, (x - 240) / 1.3) < radius
        tool = MeanFill()
        crops.fill(tool, picture(270, 480), hole, Cutting(reach=reach, smallest=64))
        assert len(tool.seen) <= 12, radius
