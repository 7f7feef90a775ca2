"""Metrics by name, and which of them cannot be had on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.host.names import did_you_mean
from jaxedit.metrics import feature_metrics, features, image, lpips, matting
from jaxedit.metrics.base import Metric

_STAND_IN = "random_features"
_LPIPS = {"lpips": "alex", "lpips_alex": "alex", "lpips_vgg": "vgg"}
# figure name -> (kind, whether it is the stand-in on random features)
_FEATURES = {kind: (kind, False) for kind in feature_metrics.KINDS} | {
    f"{kind}_{_STAND_IN}": (kind, True) for kind in feature_metrics.KINDS
}
NAMES = (*image.NAMES, *matting.NAMES, *_LPIPS, *_FEATURES)


def create(
    names: Sequence[str], weights_dir: str | Path | None = None
) -> tuple[list[Metric], list[str]]:
    """Returns the metrics called `names`, and a line for each that is absent.

    Figures on the same features come from one metric, so that features are computed once; a
    metric's `names` say which figures it yields.

    Args:
      names: names in `NAMES`, each once or more.
      weights_dir: the folder of converted weights, by default `weights.catalogue.default_dir()`.

    Returns:
      (metrics in the order of their first names, lines "NAME: absent: why, and how to get it").

    Raises:
      UserError: an unknown name (the message names the nearest), or a damaged weights file.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        _check_name(name)
    metrics, absent = [], []
    groups = {False: [], True: []}
    for name in names:
        try:
            if name in image.NAMES:
                metrics.append(image.ImageMetric(name))
            elif name in matting.NAMES:
                metrics.append(matting.MattingMetric(name))
            elif name in _LPIPS:
                metrics.append(lpips.LPIPS(name, _LPIPS[name], weights_dir))
            elif name.startswith(("u_ids", "p_ids")) and not _has_scikit_learn():
                absent.append(
                    f"{name}: absent: it needs scikit-learn. Install it: pip install scikit-learn"
                )
            else:
                kind, is_stand_in = _FEATURES[name]
                if not groups[is_stand_in]:
                    metrics.append(_feature_metric(is_stand_in, weights_dir))
                    groups[is_stand_in].append(metrics[-1])
                groups[is_stand_in][0].add_figure(name, kind)
        except PretrainedWeightsMissing as missing:
            absent.append(f"{name}: absent: {missing}")
    return metrics, absent


def _feature_metric(
    is_stand_in: bool, weights_dir: str | Path | None
) -> feature_metrics.FeatureMetric:
    if is_stand_in:
        return feature_metrics.FeatureMetric(
            features.random_extractor(), " (on random features, a stand-in)"
        )
    return feature_metrics.FeatureMetric(features.inception_extractor(weights_dir))


def _check_name(name: str) -> None:
    if name in NAMES:
        return
    raise UserError(
        f"There is no metric called {name!r}.{did_you_mean(name, NAMES)} "
        f"Known: {', '.join(NAMES)}."
    )


def _has_scikit_learn() -> bool:
    return importlib.util.find_spec("sklearn") is not None
