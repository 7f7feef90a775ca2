"""What an edit sees of a photograph, and how it comes back into it."""

import numpy as np
import pytest

from jaxedit.apply import views
from jaxedit.apply.photograph import Photograph

RNG = np.random.default_rng(0)


def spot(height, width, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def test_the_crop_holds_mask_and_context_at_full_resolution():
    mask = spot(900, 1200, slice(400, 460), slice(700, 790))
    view = views.around(mask, trained_on=256)
    assert view.own == view.size == (256, 256) and mask[view.box].sum() == mask.sum()
    picture = RNG.uniform(-1, 1, (900, 1200, 3)).astype(np.float32)
    np.testing.assert_array_equal(view.picture(picture), picture[view.box])
    np.testing.assert_array_equal(view.mask(mask), mask[view.box])
    wider = views.around(mask, trained_on=256, context=120)
    assert wider.own == (384, 384) == wider.size  # 90 + 2 x 120, the next of few sizes
    assert views.around(spot(900, 1200, slice(0, 5), slice(0, 5)), trained_on=256).box == (
        slice(0, 256), slice(0, 256)
    )


@pytest.mark.parametrize("shape, trained_on, resolution, size", [
    ((900, 1200), 256, None, (288, 384)),  # shown smaller
    ((900, 1200), 256, 1200, (900, 1200)),
    ((30, 60), 256, None, (128, 256)),  # shown larger
])
def test_the_whole_photograph_at_a_size_the_network_can_bear(shape, trained_on, resolution, size):
    view = views.whole(shape, trained_on=trained_on, resolution=resolution)
    assert view.own == shape and view.size == size
    picture = np.full((*shape, 3), 0.25, np.float32)
    assert view.picture(picture).shape == (*size, 3)
    np.testing.assert_allclose(view.enlarged(view.picture(picture)), picture, atol=1e-5)
    # A single pixel of a mask is still there when it is shown smaller, and larger.
    assert view.mask(spot(*shape, 11, 13)).any()


def test_nothing_changes_outside_and_the_edit_comes_in_from_the_rim():
    pixels = RNG.integers(0, 256, (80, 90, 3), np.uint8)
    mask = spot(80, 90, slice(20, 60), slice(10, 70))
    photo, view = Photograph(pixels), views.around(mask, trained_on=32)
    made = np.ones((*view.size, 3), np.float32)
    result = views.paste(photo, view, made, mask, feather=8).pixels
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (result[30:50, 20:60] == 255).all()  # deep inside
    steps = views.weights(mask, 8)[20:60, 40]
    assert (np.diff(steps[:9]) > 0).all() and 0 < steps[0] < 0.2 and steps[9] == 1
    hard = views.paste(photo, view, made, mask, feather=0).pixels
    assert (hard[mask] == 255).all() and (hard[~mask] == pixels[~mask]).all()
    raw = views.replaced(photo, views.whole(photo.size, trained_on=90), -np.ones((80, 90, 3)))
    assert not raw.pixels.any()


def test_thin_parts_are_edited_too_and_the_frame_is_no_rim():
    mask = spot(40, 40, slice(0, 40), slice(10, 13)) | spot(40, 40, slice(20, 40), slice(20, 40))
    weights = views.weights(mask, 8)
    assert (weights[~mask] == 0).all() and (weights[:, 11] == 1).all()
    assert weights[39, 39] == 1 and weights[20, 30] < 0.3
    assert (views.weights(np.ones((4, 5), bool), 8) == 1).all()


def test_grey_photographs_of_sixteen_bits_stay_what_they_are():
    pixels = RNG.integers(0, 65536, (40, 40), np.uint16)
    mask = spot(40, 40, slice(10, 30), slice(10, 30))
    view = views.around(mask, trained_on=40)
    result = views.paste(Photograph(pixels), view, np.zeros((40, 40, 3)), mask, 4).pixels
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert abs(int(result[20, 20]) - 32768) <= 1
