"""Decisions about pairs become edges: renormalised classes, one class, nothing known."""

import numpy as np

from jaxedit.methods.sims import order


def test_decisions():
    labels, bottoms = [0, 1, 1, 2], [9, 4, 6, 2]
    probabilities = {(0, 1): np.array([0.1, 0.3, 0.6])}  # class 2 is in neither
    edges = order.decide(labels, bottoms, [(0, 1), (1, 2), (0, 3)], probabilities)
    assert [(edge.back, edge.front) for edge in edges] == [(0, 1), (1, 2)]
    assert abs(edges[0].confidence - 0.75) < 1e-9
    # What no decision says, the prior of the classes does: 2 before 1 before 0, 5 unknown.
    priority = order.priorities([*labels, 5], [2, 1, 0])
    assert order.whole(5, edges, priority)[0] == [3, 0, 1, 2, 4]


def test_pairs_that_overlap():
    masks = np.zeros((3, 2, 4), bool)
    masks[0, :, :2] = masks[1, 0, 1] = masks[2, :, 3] = True
    assert order.overlapping(masks) == [(0, 1)]


def test_a_class_never_seen_stands_in_the_middle():
    assert order.behind_share(np.array([[0, 0, 3], [0, 0, 0], [1, 0, 0]])).tolist() == [
        0.75, 0.5, 0.25
    ]
