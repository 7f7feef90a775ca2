"""Pictures as a segmenter sees them: is the layout there that they were made from, are they alike.

A segmenter that was trained on real photographs labels the pictures of a system, and its labels are
compared with the layout: the usual judgement of label-to-image synthesis (Chen & Koltun, 2017).
`frechet_distance` compares two sets of pictures by the segmenter's pooled features. It is no FID,
whose features are Inception's, and never called so.

The segmenter must not have seen the pictures that a system draws its pixels from (`half:` sources).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.metrics import base, feature_metrics, features
from jaxedit.metrics.segmentation import SegmentationMetric
from jaxedit.models.segmenter import Segmenter
from jaxedit.weights import shipped


@dataclasses.dataclass(frozen=True)
class Judge:
    """A segmenter that judges, and its variables."""

    network: Segmenter
    variables: Any


def load(name: str, classes: int) -> Judge:
    """Returns a segmenter that comes with the package, or one of one's own.

    Args:
      name: of its weights; of one's own, the path of NAME.safetensors, see `shipped.at`.
      classes: how many the layouts have.

    Raises:
      UserError: no such weights, weights of something else, or another number of classes.
    """
    segments = lambda weights: weights.card.get("config", {}).get("method") == "segmentation"
    weights = shipped.chosen("The judge", name, segments,
                             "is no segmenter: train configs/segmentation.py.")
    config = weights.card["config"]
    known = len(config["classes"]["names"])
    if known != classes:
        raise UserError(
            f"The judge {name!r} knows {known} classes and the layouts have {classes}. Choose "
            'another with --config.evaluate.judge=NAME, or none: --config.evaluate.judge="".'
        )
    network = Segmenter(known, tuple(config["network"]["channels"]))
    variables = {"params": shipped.load(weights)["params"]["segmenter"]}
    return Judge(network, variables)


class LayoutAgreement(SegmentationMetric):
    """Mean IoU and pixel accuracy of the labels that a segmenter gives to pictures.

    Attributes:
      keys: of the pictures (B, H, W, 3) in [-1, 1], and of the label maps that they should follow.
      label: from pictures to label maps.
    """

    def __init__(
        self,
        network: Segmenter,
        variables: Any,
        keys: base.Keys,
        suffix: str = "_by_segmenter",
        named: Sequence[str] = (),
    ):
        """`network` and its `variables` judge; the rest is as in `SegmentationMetric`."""
        super().__init__(network.classes, keys, suffix, named)
        self.titles = {name: f"{title}, by a segmenter" for name, title in self.titles.items()}
        self.label = labeller(network, variables)

    def label_maps(self, prediction: np.ndarray) -> np.ndarray:
        return self.label(prediction)


class FrechetDistance(feature_metrics.FeatureMetric):
    """The Fréchet distance between Gaussians fitted to pooled features of two sets of pictures."""

    @property
    def titles(self) -> dict[str, str]:
        return {
            name: "Fréchet distance on a segmenter's pooled features, covariance over N - 1"
            for name in self.kinds
        }


def frechet_distance(
    network: Segmenter, variables: Any, keys: base.Keys, name: str = "frechet_segmenter"
) -> FrechetDistance:
    """Returns the metric.

    Args:
      network, variables: the segmenter.
      keys: of a system's pictures and of real ones, both (B, H, W, 3) in [-1, 1].
      name: of the figure.
    """
    pooled = lambda given, images: network.apply(given, 2 * images - 1, method="pooled")
    extractor = features.Extractor(pooled, variables, network.channels[-1])
    metric = FrechetDistance(extractor, keys=keys)
    metric.add_figure(name, "fid")
    return metric


def labeller(network: Segmenter, variables: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from pictures (B, H, W, 3) in [-1, 1] to label maps, int32 (B, H, W).

    Pictures are rounded to 8 bits first, as if they had been saved.
    """
    label = lambda given, images: network.apply(given, 2 * images - 1).argmax(-1).astype("int32")
    return features.Extractor(label, variables, network.classes)
