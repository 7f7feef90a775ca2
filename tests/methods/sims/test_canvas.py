"""Published numbers of erasures, the rewritten layout, and what a network may not copy."""

import numpy as np

from jaxedit.methods.sims import canvas, segments, training_canvas


def test_published_numbers():
    assert canvas.RULES["paper"](256) == canvas.Elision(12, 0.8, 12)
    assert canvas.RULES["released"](256) == canvas.Elision(4, 0.5, 10)
    assert training_canvas.released_elision(256) == canvas.Elision(6, 0.5, 0)


def test_layout_is_rewritten_to_what_was_pasted():
    road, car = 0, 1
    layout = np.array([[car, car, car, road, 7]])
    pasted = np.array([[-1, car, -1, car, -1]])
    queries = np.array([[True, True, True, True, False]])
    found = canvas.rewritten(layout, pasted, queries, [road])
    assert found.tolist() == [[-1, car, -1, car, 7]]
    pasted[0, 3] = -1  # a hole of the context is restored
    assert canvas.rewritten(layout, pasted, queries, [road])[0, 3] == road


def test_released_box_of_the_outer_band():
    """To the right it is grown by a share of the component's height."""
    label = np.zeros((16, 40), np.int32)
    label[2:14, 10:14] = 1  # 12 high, 4 wide
    own, released = (
        canvas.outer_band(label, [1], [0], canvas.Elision(0, 0.0, 9, 0.5, by_height))
        for by_height in (False, True)
    )
    assert np.flatnonzero(own.any(0)).tolist() == [8, 9, 10, 11, 12, 13, 14, 15]
    assert np.flatnonzero(released.any(0)).tolist() == list(range(8, 20))


def test_black_pixels_of_a_segment_cover_and_bound_it():
    colours = np.stack([np.full((9, 9, 3), 0.25), np.full((9, 9, 3), 0.5)])
    masks = np.ones((2, 9, 9), bool)
    black = np.zeros((2, 9, 9), bool)
    black[1, :, 5:] = True
    made = canvas.compose(
        colours, masks, [0, 1], [0, 1], elision=canvas.Elision(1, 1.0, 0),
        noise=np.zeros((2, 9, 9)), black=black,
    )
    assert (made.label == 1).all() and not made.colour[:, 5:].any()
    assert (made.colour[:, 4] == 1).all() and (made.colour[:, :4] == 0.5).all()


def test_training_canvas_options():
    image = np.full((8, 8, 3), 0.5, np.float32)
    label = np.zeros((8, 8), np.int32)
    label[:, 4:] = 1
    found = segments.find(label, 2)
    outline = np.zeros((8, 8), bool)
    outline[2:6, 1:7] = True
    rng = np.random.default_rng(0)
    donors = [training_canvas.OutlineDonor(outline, rng.random((20, 3))), None]
    none = canvas.Elision(0, 0.0, 0)
    noise = np.ones((2, 8, 8))
    made = training_canvas.simulate(image, found, donors, none, noise)
    assert np.array_equal(made.colour.sum(-1) > 0, outline & (label == 0))
    assert (made.label[:, 4:] == 1).all()  # the second segment is black and keeps its label
    whole = training_canvas.simulate(image, found, donors, none, noise, whole_donor=True)
    assert np.array_equal(whole.colour.sum(-1) > 0, outline)
    rings = [training_canvas.ring(found[0].placed((8, 8)), 30.0), None]
    ringed = training_canvas.simulate(image, found, [donors[0], None], none, noise, rings=rings)
    assert rings[0].any() and (ringed.label[rings[0] & (label == 0)] == segments.UNLABELLED).all()
