"""One order for all segments of a picture, back to front, from decisions about pairs.

The paper (Qi et al., CVPR 2018, section 3.3) decides pairs and leaves the whole open. Here the
decisions are edges of a graph; while it has circles, the least certain edge in one is dropped; of
the segments that may come next, the one whose class is most often behind others comes first. The
published code relies on that prior of the classes alone, in effect.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse
from scipy.sparse import csgraph

# The published prior of Cityscapes, most often behind first.
CITYSCAPES = (
    "sky", "building", "terrain", "wall", "sidewalk", "road", "fence", "vegetation", "motorcycle",
    "bicycle", "truck", "car", "bus", "train", "person", "pole", "rider", "traffic sign",
    "traffic light",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Edge:
    """A decision that one segment is behind another.

    Attributes:
      back, front: numbers of the segments.
      confidence: how sure it is; only compared.
    """

    back: int
    front: int
    confidence: float


def behind_share(frequency: np.ndarray) -> np.ndarray:
    """Returns how often each class is behind, of the times it is seen in a pair, (classes,).

    Args:
      frequency: (classes, classes); entry [b, f] counts pairs with class b behind class f. A class
        that was never seen has the share 0.5.
    """
    frequency = np.asarray(frequency, np.float64)
    behind, before = frequency.sum(1), frequency.sum(0)
    seen = behind + before
    return np.where(seen > 0, behind / np.maximum(seen, 1), 0.5)


def class_prior(frequency: np.ndarray) -> np.ndarray:
    """Returns the classes, most often behind first; equal ones in the order of their numbers."""
    return np.argsort(-behind_share(frequency), kind="stable")


def without_cycles(count: int, edges: Sequence[Edge]) -> tuple[list[Edge], list[Edge]]:
    """Returns (edges that stay, edges that were dropped, in that order).

    While an edge has both ends in one strongly connected component, the least confident of these
    is dropped; of equals the one with the lower back, then the lower front.
    """
    kept, removed = list(edges), []
    while True:
        component = _components(count, kept)
        circular = [edge for edge in kept if component[edge.back] == component[edge.front]]
        if not circular:
            return kept, removed
        weakest = min(circular, key=lambda edge: (edge.confidence, edge.back, edge.front))
        kept.remove(weakest)
        removed.append(weakest)


def whole(
    count: int, edges: Sequence[Edge], priority: Sequence[float] | None = None
) -> tuple[list[int], list[Edge]]:
    """Returns (segments from back to front, edges that were dropped to have an order at all).

    Args:
      count: how many segments there are.
      edges: decisions about some pairs.
      priority: of each segment; of those that may come next, the lowest comes first (equal ones
        by their number). None takes the number itself.
    """
    kept, removed = without_cycles(count, edges)
    priority = range(count) if priority is None else priority
    waiting = [0] * count
    fronts: list[list[int]] = [[] for _ in range(count)]
    for edge in kept:
        waiting[edge.front] += 1
        fronts[edge.back].append(edge.front)
    ready = [(priority[node], node) for node in range(count) if not waiting[node]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, node = heapq.heappop(ready)
        order.append(node)
        for front in fronts[node]:
            waiting[front] -= 1
            if not waiting[front]:
                heapq.heappush(ready, (priority[front], front))
    return order, removed


def priorities(labels: Sequence[int], prior: Sequence[int]) -> list[int]:
    """Returns a priority for each segment, the place of its class in the prior of classes.

    Args:
      labels: the class of each segment.
      prior: classes, most often behind first; those it lacks come last.
    """
    place = {label: number for number, label in enumerate(prior)}
    return [place.get(label, len(place)) for label in labels]


def decide(
    labels: Sequence[int],
    bottoms: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    probabilities: Mapping[tuple[int, int], np.ndarray],
) -> list[Edge]:
    """Returns an edge for each pair, from what the ordering network says of it.

    Its probabilities count for the two classes of a pair alone. Two segments of one class are
    ordered by their lower edge: what reaches further down is nearer (ours).

    Args:
      labels: the class of each segment.
      bottoms: the lowest row of each segment.
      pairs: numbers of two segments each, such as those that overlap.
      probabilities: pair -> probability of each class to be in front; a pair that is absent and
        of two classes gets no edge.
    """
    edges = []
    for first, second in pairs:
        if labels[first] == labels[second]:
            front = max((first, second), key=lambda one: (bottoms[one], one))
            confidence = 0.5
        elif (first, second) in probabilities:
            given = probabilities[first, second]
            shares = np.asarray([given[labels[first]], given[labels[second]]], np.float64)
            shares = shares / max(shares.sum(), np.finfo(np.float64).tiny)
            front, confidence = (first, second)[int(shares[1] > shares[0])], float(shares.max())
        else:
            continue
        back = second if front == first else first
        edges.append(Edge(back, front, confidence))
    return edges


def overlapping(masks: np.ndarray) -> list[tuple[int, int]]:
    """Returns the pairs (lower number first) of masks, bool (N, H, W), that share a pixel."""
    flat = np.asarray(masks).reshape(len(masks), -1).astype(np.float32)
    shared = flat @ flat.T
    return [tuple(pair) for pair in np.argwhere(np.triu(shared, 1) > 0).tolist()]


def _components(count: int, edges: Sequence[Edge]) -> np.ndarray:
    back = [edge.back for edge in edges]
    front = [edge.front for edge in edges]
    graph = scipy.sparse.coo_matrix((np.ones(len(edges)), (back, front)), (count, count))
    return csgraph.connected_components(graph, directed=True, connection="strong")[1]
