"""Metrics by name, and which of them cannot be had on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.host.names import did_you_mean
from jaxedit.metrics import feature_metrics, features, image, lpips, text_image
from jaxedit.metrics.base import PLAIN_KEYS, Keys, Metric

_STAND_IN = "random_features"
_LPIPS = {"lpips": "alex", "lpips_alex": "alex", "lpips_vgg": "vgg"}
# figure name -> (kind, whether it is the stand-in on random features)
_FEATURES = {kind: (kind, False) for kind in feature_metrics.KINDS} | {
    f"{kind}_{_STAND_IN}": (kind, True) for kind in feature_metrics.KINDS
}
NAMES = (*image.NAMES, *_LPIPS, *_FEATURES, *text_image.NAMES)


def create(
    wanted: Sequence[str | Metric],
    keys: Keys = PLAIN_KEYS,
    weights_dir: str | Path | None = None,
    own: Mapping[str, Callable[[Keys], Metric]] | None = None,
) -> tuple[list[Metric], list[str]]:
    """Returns the metrics that are `wanted`, and a line for each that is absent.

    Figures on the same features come from one metric, so that features are computed once; a
    metric's `names` say which figures it yields.

    Args:
      wanted: names in `NAMES` or `own`, each once or more, and metrics that are made already.
      keys: where the metrics called by name find what they compare.
      weights_dir: the folder of converted weights, by default `weights.catalogue.default_dir()`.
      own: name -> maker, of the metrics that a paper brings along; they go before `NAMES`.

    Returns:
      (metrics in the order of their first names, lines "NAME: absent: why, and how to get it").

    Raises:
      UserError: an unknown name (the message names the nearest), two metrics that yield figures
        of one name, or a damaged weights file.
    """
    wanted, own = list(dict.fromkeys(wanted)), own or {}
    for name in wanted:
        if isinstance(name, str):
            _check_name(name, (*own, *NAMES))
    metrics, absent = [], []
    groups = {False: [], True: []}
    for name in wanted:
        try:
            if isinstance(name, Metric):
                metrics.append(name)
            elif name in own:
                metrics.append(own[name](keys))
            elif name in image.NAMES:
                metrics.append(image.ImageMetric(name, keys))
            elif name in _LPIPS:
                metrics.append(lpips.LPIPS(name, _LPIPS[name], weights_dir, keys))
            elif name in text_image.NAMES:
                metrics.append(text_image.TextImage(name, keys, weights_dir))
            elif name.startswith(("u_ids", "p_ids")) and not _has_scikit_learn():
                absent.append(
                    f"{name}: absent: it needs scikit-learn. Install it: pip install scikit-learn"
                )
            else:
                kind, is_stand_in = _FEATURES[name]
                if not groups[is_stand_in]:
                    metrics.append(_feature_metric(is_stand_in, weights_dir, keys))
                    groups[is_stand_in].append(metrics[-1])
                groups[is_stand_in][0].add_figure(name, kind)
        except PretrainedWeightsMissing as missing:
            absent.append(f"{name}: absent: {missing}")
    _check_different(metrics)
    return metrics, absent


def _feature_metric(
    is_stand_in: bool, weights_dir: str | Path | None, keys: Keys
) -> feature_metrics.FeatureMetric:
    if is_stand_in:
        return feature_metrics.FeatureMetric(
            features.random_extractor(), " (on random features, a stand-in)", keys
        )
    return feature_metrics.FeatureMetric(features.inception_extractor(weights_dir), keys=keys)


def _check_name(name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    raise UserError(
        f"There is no metric called {name!r}.{did_you_mean(name, known)} "
        f"Known: {', '.join(known)}."
    )


def _check_different(metrics: Sequence[Metric]) -> None:
    names = [name for metric in metrics for name in metric.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"Two metrics yield a figure called {twice[0]!r}; give one another name.")


def _has_scikit_learn() -> bool:
    return importlib.util.find_spec("sklearn") is not None
