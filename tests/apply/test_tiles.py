"""Tiles: what covers what, partition of unity, equality for local functions, no seams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxedit.apply import applier, tiles
from jaxedit.task import Image, Task


class Spy:
    """A local function (a 5x5 box mean) that keeps the shapes that it was called with."""

    def __init__(self, reach=2):
        self.reach = reach
        self.shapes = []

    def __call__(self, image):
        self.shapes.append(image.shape)
        return {"out": self.mean(image)}

    def mean(self, image):
        reach = self.reach
        padded = np.pad(image.astype(np.float64), [(reach, reach)] * 2 + [(0, 0)])
        height, width = image.shape[:2]
        shifted = [
            padded[dy : dy + height, dx : dx + width]
            for dy in range(2 * reach + 1) for dx in range(2 * reach + 1)
        ]
        return np.mean(shifted, axis=0).astype(np.float32)


def run(tool, image, needed=None, tile=32, overlap=8, **options):
    needed = np.ones(image.shape[:2], bool) if needed is None else needed
    return tiles.apply(
        tool, {"image": image}, "out", needed=needed,
        start=np.full((*image.shape[:2], 1), -7, np.float32), tile=tile, overlap=overlap, **options
    )


@given(length=st.integers(1, 400), tile=st.integers(8, 120), data=st.data())
@settings(max_examples=60, deadline=None)
def test_spans_cover_a_side_evenly(length, tile, data):
    overlap = data.draw(st.integers(0, tile // 2))
    spans = tiles.spans(length, tile, overlap)
    assert spans[0].start == 0 and spans[-1].stop == length
    assert {span.stop - span.start for span in spans} == {min(tile, length)}
    for left, right in zip(spans, spans[1:], strict=False):
        assert left.stop - right.start >= overlap and left.start < right.start
    # One tile fewer would not do.
    assert len(spans) == 1 or (len(spans) - 1) * (tile - overlap) + overlap < length


@given(length=st.integers(20, 300), tile=st.integers(16, 80))
@settings(max_examples=40, deadline=None)
def test_weights_are_positive_and_change_smoothly(length, tile):
    overlap = tile // 4
    total = np.zeros(length)
    shares = []
    for span in tiles.spans(length, tile, overlap):
        weight = np.zeros(length)
        weight[span] = tiles.window(span, length, overlap)
        assert (weight[span] > 0).all() and weight.max() <= 1
        shares.append(weight)
        total += weight
    steepest = 0.5 * np.pi / overlap  # of the raised cosine
    for weight in shares:
        share = weight / total
        assert np.abs(np.diff(share)).max(initial=0) < 2 * steepest
    np.testing.assert_allclose(sum(weight / total for weight in shares), 1, rtol=1e-12)


def test_a_pointwise_function_gives_exactly_the_same():
    image = np.random.default_rng(0).uniform(-1, 1, (83, 117, 1)).astype(np.float32)

    def tool(image):
        return {"out": np.sin(3 * image)}

    np.testing.assert_array_equal(run(tool, image), tool(image)["out"])


def test_a_local_function_differs_only_at_the_rims_and_hardly_there():
    """Within its reach of a tile's rim, a function sees the rim: there the tile hardly counts."""
    image = np.random.default_rng(1).uniform(0, 1, (70, 90, 1)).astype(np.float32)
    whole = Spy()(image)["out"]
    tiled = run(Spy(), image, tile=40, overlap=16)
    at_rim = np.zeros((70, 90), bool)
    for rows in tiles.spans(70, 40, 16):
        for columns in tiles.spans(90, 40, 16):
            inner = np.pad(np.ones((36, 36), bool), 2)
            at_rim[rows, columns] |= ~inner
    assert 0.2 < at_rim.mean() < 0.5
    np.testing.assert_array_equal(tiled[~at_rim], whole[~at_rim])
    # Beyond the rim this function sees zeros, two fifths of its window at the outermost pixel.
    assert 0 < np.abs(tiled - whole)[2:-2, 2:-2].max() < 0.02


def test_all_tiles_have_one_shape_and_only_needed_ones_run():
    image = np.zeros((100, 130, 1), np.float32)
    needed = np.zeros((100, 130), bool)
    needed[5, 5] = needed[60, 125] = True
    tool, calls = Spy(), []
    result = run(tool, image, needed, progress=lambda done, total: calls.append((done, total)))
    assert set(tool.shapes) == {(32, 32, 1)} and len(tool.shapes) < 8
    assert calls == [(i + 1, len(calls)) for i in range(len(tool.shapes))]
    np.testing.assert_array_equal((result != -7)[..., 0], needed)


def test_narrow_pictures_have_narrow_tiles():
    tool = Spy()
    run(tool, np.zeros((20, 100, 1), np.float32))
    assert set(tool.shapes) == {(20, 32, 1)}
    tool = Spy()
    run(tool, np.zeros((20, 30, 1), np.float32))
    assert tool.shapes == [(20, 30, 1)]


def test_no_needed_pixel_runs_nothing():
    tool = Spy()
    result = run(tool, np.zeros((50, 50, 1), np.float32), np.zeros((50, 50), bool))
    assert not tool.shapes and (result == -7).all()


def test_tiles_that_disagree_meet_without_a_seam():
    """Each tile gives a level of its own: the worst that a network with a global view could do."""
    levels = iter([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])

    def tool(image):
        return {"out": np.full((*image.shape[:2], 1), next(levels), np.float32)}

    result = run(tool, np.zeros((200, 200, 1), np.float32), tile=80, overlap=20)
    for axis in (0, 1):
        # A hard border would jump by 1; the ramp's steepest step is pi / 2 / overlap.
        assert np.abs(np.diff(result, axis=axis)).max() < np.pi / 20
    assert result.min() == 0 and result.max() == 1


def test_one_compiled_program_serves_all_tiles():
    def predict(variables, inputs, rng):
        del rng
        mean = jnp.mean(inputs["image"], axis=(1, 2), keepdims=True)  # a global view
        return {"out": inputs["image"] * variables + 0 * mean}

    one = Image(channels=1)
    task = Task({"image": one}, {"out": one}, multiple=32, minimum=32)
    tool = applier.Applier(predict, jnp.float32(2), task, bucket=32)
    image = np.random.default_rng(2).uniform(size=(150, 170, 1)).astype(np.float32)
    result = run(lambda image: tool(image=image), image, tile=64)
    assert tool.compilations == [(64, 64)]
    np.testing.assert_array_equal(result, jax.device_get(2 * image))


def test_overlap_must_fit():
    with pytest.raises(ValueError, match="overlap of 32"):
        run(Spy(), np.zeros((50, 50, 1), np.float32), tile=32, overlap=32)
