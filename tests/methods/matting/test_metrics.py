"""Matting metrics on hand-made cases and against independent formulations."""

import cv2
import numpy as np
import pytest
import skimage.measure

from jaxedit import metrics
from jaxedit.errors import UserError
from jaxedit.methods.matting import metrics as matting

EVERYWHERE = np.ones((12, 12), bool)


def soft_disc(height=30, width=40, sharpness=3.0, noise=0.0, seed=0):
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    alpha = np.clip((min(height, width) / 3 - distance) / sharpness + 0.5, 0, 1)
    alpha = alpha + noise * np.random.default_rng(seed).standard_normal(alpha.shape)
    return np.clip(np.rint(255 * alpha), 0, 255).astype(np.uint8)


def batch(*alphas):
    return np.stack(alphas)[..., None].astype(np.float32) / 255


def figures(name, prediction, target, mask):
    keys = metrics.Keys("alpha", "truth", "unknown")
    (metric,), _ = metrics.create([name], keys, own=matting.OWN)
    accumulator = metric.new()
    accumulator.update({"alpha": prediction}, {"truth": target, "unknown": mask})
    return accumulator


def test_sad_and_mse_by_hand():
    target = np.zeros((12, 12), np.uint8)
    prediction = np.full((12, 12), 51, np.uint8)  # 0.2
    unknown = np.zeros((12, 12), bool)
    unknown[:5, :2] = True
    assert matting.sad(prediction, target, unknown) == pytest.approx(0.002, rel=1e-12)
    assert matting.sad(target, prediction, unknown) == pytest.approx(0.002, rel=1e-12)
    assert matting.mse_x1000(prediction, target, unknown) == pytest.approx(40, rel=1e-12)


@pytest.mark.parametrize("name", matting.NAMES)
def test_equal_alphas_have_no_error_and_worse_ones_have_more(name):
    function = getattr(matting, name)
    target, unknown = soft_disc(), np.ones((30, 40), bool)
    errors = [function(soft_disc(noise=n), target, unknown) for n in (0, 0.05, 0.3)]
    assert errors[0] == 0 and 0 < errors[1] < errors[2]


@pytest.mark.parametrize("name", ["sad", "mse_x1000", "grad", "conn"])
def test_only_the_unknown_region_counts(name):
    function = getattr(matting, name)
    target = soft_disc()
    unknown = np.zeros((30, 40), bool)
    unknown[:, :12] = True
    elsewhere = target.copy()
    elsewhere[:, 25:] = 0  # further away than the derivative's reach
    assert function(elsewhere, target, unknown) == 0
    assert function(elsewhere, target, ~unknown) > 0


def test_gradient_matches_opencv():
    """The kernel written out, run by OpenCV: filter2D correlates, so the kernel is turned."""
    alpha = soft_disc(noise=0.1) / 255.0
    offsets = np.arange(-4, 5)
    bell = np.exp(-(offsets**2) / (2 * 1.4**2)) / (1.4 * np.sqrt(2 * np.pi))
    kernel = np.outer(bell, -offsets * bell / 1.4**2)
    kernel /= np.sqrt((kernel**2).sum())
    for ours, expected in zip(matting.gradient(alpha), (kernel, kernel.T), strict=True):
        wanted = cv2.filter2D(alpha, cv2.CV_64F, expected[::-1, ::-1],
                              borderType=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(ours, wanted, atol=1e-12)


def test_gradient_of_a_ramp_points_uphill_and_edges_are_replicated():
    ramp = np.tile(np.arange(40.0), (20, 1))
    along_x, along_y = matting.gradient(ramp)
    assert (along_x > 0).all() and np.ptp(along_x[:, 4:-4]) < 1e-12
    assert np.abs(along_y).max() < 1e-12
    assert (along_x[:, 0] < along_x[:, 10]).all()  # half of the neighbours repeat the rim


def test_grad_differs_from_its_stretched_variant_only_where_the_range_is_not_full():
    target, unknown = soft_disc(), np.ones((30, 40), bool)
    full, pale = soft_disc(sharpness=5.0), (soft_disc(sharpness=5.0) * 0.9).astype(np.uint8)
    assert full.max() == 255 and full.min() == 0
    assert matting.grad(full, target, unknown) == pytest.approx(
        matting.grad_minmax(full, target, unknown), rel=1e-12
    )
    assert matting.grad(pale, target, unknown) > 1.05 * matting.grad_minmax(pale, target, unknown)
    flat = np.full_like(target, 7)
    assert np.isfinite(matting.grad_minmax(flat, target, unknown))


def conn_by_definition(prediction, target, unknown, wins_background):
    """The definition, pixel by pixel, on exact fractions of 255 * 10."""
    level = {}
    height, width = target.shape
    for i in range(1, 11):
        mask = (prediction.astype(int) * 10 >= 255 * i) & (target.astype(int) * 10 >= 255 * i)
        labels = skimage.measure.label(mask, connectivity=1)
        sizes = np.bincount(labels.ravel())
        if not wins_background:
            sizes[0] = 0
        winner = labels == np.argmax(sizes) if sizes.max() else np.zeros_like(mask)
        for y in range(height):
            for x in range(width):
                if not winner[y, x]:
                    level.setdefault((y, x), (i - 1) / 10)
    total = 0.0
    for y, x in zip(*np.nonzero(unknown), strict=True):
        degrees = []
        for value in (prediction[y, x] / 255, target[y, x] / 255):
            distance = value - level.get((y, x), 1.0)
            degrees.append(1 - (distance if distance >= 0.15 else 0))
        total += abs(degrees[0] - degrees[1])
    return total / 1000


@pytest.mark.parametrize("seed", range(3))
def test_conn_follows_its_definition(seed):
    target = soft_disc(14, 17, sharpness=6.0)
    prediction = soft_disc(14, 17, sharpness=4.0, noise=0.2, seed=seed)
    unknown = (target > 0) & (target < 255) | (prediction != target)
    for name, background in (("conn", False), ("conn_python_port", True)):
        ours = getattr(matting, name)(prediction, target, unknown)
        expected = conn_by_definition(prediction, target, unknown, background)
        assert ours == pytest.approx(expected, rel=1e-12) and ours > 0


def test_conn_counts_an_island_that_sad_hardly_sees():
    target = np.zeros((12, 12), np.uint8)
    target[2:8, 2:8] = 255
    attached, island = target.copy(), target.copy()
    attached[5, 8] = 255
    island[10, 10] = 255
    with_island = target.copy()
    with_island[10, 10] = 255
    assert matting.sad(attached, target, EVERYWHERE) == matting.sad(island, target, EVERYWHERE)
    # In both alphas the island is cut off alike: no error. In one of them it is.
    assert matting.conn(with_island, with_island, EVERYWHERE) == 0
    assert matting.conn(island, target, EVERYWHERE) == pytest.approx(0.001, rel=1e-12)


def test_conn_compares_with_thresholds_exactly():
    """153/255 is 0.6, which floating point finds smaller than 6 * 0.1."""
    assert not 153 / 255 >= 6 * 0.1
    target = np.full((12, 12), 153, np.uint8)
    brighter = np.full((12, 12), 194, np.uint8)
    # Level 0.6: distances are 0 and 0.1608; the pixel would have level 0.5 if 0.6 were missed.
    expected = 144 * (194 / 255 - 0.6) / 1000
    assert matting.conn(brighter, target, EVERYWHERE) == pytest.approx(expected, rel=1e-12)


def test_the_python_ports_background_wins_where_it_is_larger():
    target = np.zeros((12, 12), np.uint8)
    target[4:7, 4:7] = 204
    prediction = np.where(target > 0, 128, 0).astype(np.uint8)
    ours = matting.conn(prediction, target, EVERYWHERE)
    port = matting.conn_python_port(prediction, target, EVERYWHERE)
    # Level 0.5 against level 0: the small square is nowhere the larger part.
    assert ours == pytest.approx(9 * (204 / 255 - 0.5) / 1000, rel=1e-12)
    assert port == pytest.approx(9 * (204 - 128) / 255 / 1000, rel=1e-12)


def test_the_largest_component_is_4_connected():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True  # diagonal neighbours do not touch
    mask[5, 3:5] = True
    assert np.argwhere(matting.largest_component(mask)).tolist() == [[5, 3], [5, 4]]
    assert not matting.largest_component(np.zeros((3, 3), bool)).any()
    two = np.zeros((4, 4), bool)
    two[3, 0] = two[0, 3] = True
    assert np.argwhere(matting.largest_component(two)).tolist() == [[0, 3]]


@pytest.mark.parametrize("name", matting.NAMES)
def test_as_a_metric_it_is_the_plain_mean_over_images(name):
    target = batch(soft_disc(), soft_disc(sharpness=6.0))
    prediction = batch(soft_disc(noise=0.1), soft_disc(sharpness=4.0))
    mask = np.ones_like(target)
    mask[1, :15] = 0
    values = [
        getattr(matting, name)(
            np.rint(255 * prediction[i, ..., 0]).astype(np.uint8),
            np.rint(255 * target[i, ..., 0]).astype(np.uint8),
            mask[i, ..., 0] > 0,
        )
        for i in range(2)
    ]
    accumulator = figures(name, prediction, target, mask)
    assert accumulator.result()[name] == pytest.approx(np.mean(values), rel=1e-12)
    assert accumulator.metric.higher_is_better == {name: False}
    assert name in accumulator.metric.titles


def test_floats_are_rounded_to_the_nearest_of_8_bits():
    target = np.zeros((1, 12, 12, 1), np.float32)
    for value, level in ((0.4 / 255, 0), (0.6 / 255, 1), (254.6 / 255, 255)):
        result = figures("sad", np.full_like(target, value), target, np.ones_like(target)).result()
        assert result["sad"] == pytest.approx(144 * level / 255 / 1000, rel=1e-12)


def test_an_image_without_an_unknown_pixel_has_no_value():
    target = batch(soft_disc(), soft_disc())
    prediction = batch(soft_disc(noise=0.1), soft_disc(noise=0.2))
    mask = np.ones_like(target)
    mask[1] = 0
    accumulator = figures("sad", prediction, target, mask)
    assert accumulator.result() == figures("sad", prediction[:1], target[:1], mask[:1]).result()
    assert accumulator.counts() == {"sad": 1}
    nothing = figures("sad", prediction, target, np.zeros_like(mask))
    assert np.isnan(nothing.result()["sad"])
    assert "no trimap has an unknown pixel" in nothing.notes()["sad"]


def test_a_prediction_that_is_not_finite_spoils_the_figure_and_says_so():
    target = batch(soft_disc(), soft_disc())
    prediction = target.copy()
    prediction[0, 3, 3] = np.nan
    accumulator = figures("conn", prediction, target, np.ones_like(target))
    assert np.isnan(accumulator.result()["conn"])
    assert "not finite" in accumulator.notes()["conn"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p, t, m: (p * 2 - 1, t, m), r"prediction holds values from -1 .* in \[0, 1\]"),
        (lambda p, t, m: (p, t * 1.5, m), r"target holds values from 0 to 1.5"),
        (lambda p, t, m: (p, t, None), "needs that mask"),
        (lambda p, t, m: (np.repeat(p, 3, -1), np.repeat(t, 3, -1), m), "one channel"),
        (lambda p, t, m: (p * 255, t, m), "8-bit"),
        (lambda p, t, m: (p[:, 1:], t, m), "of one shape"),
    ],
)
def test_what_is_no_alpha_is_refused(change, message):
    target = batch(soft_disc())
    with pytest.raises(UserError, match=message):
        figures("sad", *change(target, target, np.ones_like(target)))
