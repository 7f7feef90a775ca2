"""How mattes are measured: published padding, 8-bit alphas, the unknown region only (section 6, 7).

The network sees the picture reflected by `evaluate.margin` pixels on every side and up to multiples
of 32. Its alpha is cut to 8 bits and the known pixels are forced before anything is measured: all
of it by the task (`matte.py`), so the command does the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import ml_collections
import numpy as np

from jaxedit.data import sources
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.methods.matting import baselines, metrics

_THUMBNAIL = 256  # pictures of any size are shown at most this large


def create(config: ml_collections.ConfigDict) -> Evaluation:
    """Returns the evaluation that `config.evaluate` describes."""
    classical = config.evaluate.classical and config.evaluate.baselines
    return Evaluation(
        task="matte",
        prediction="alpha",
        target="alpha",
        metrics=tuple(config.evaluate.metrics),
        region="mask",  # where the trimap is unknown
        own=metrics.OWN,
        groups=KINDS if _shows_scenes(config.evaluate.source) else (),
        group=kinds,
        baselines=baselines.create(classical),
        best=("mse_x1000", "min"),
        picture=lambda alphas: _thumbnails(levels.of_opacity(alphas)),
        absent=baselines.absent() if classical else (),
    )


# The kinds of subjects of the source `scenes`, in the order of its tables.
KINDS = ("solid", "soft", "hair", "lace", "glass", "smoke")


def kinds(batch: Mapping[str, np.ndarray]) -> list[str | None]:
    """Returns what kind of subject each sample shows, None where the source does not say."""
    return [str(kind) or None for kind in batch["kind"]]


def _shows_scenes(source: str) -> bool:
    return any(part.name.partition(":")[0] == "scenes" for part in sources.parts(source))


def pictures(
    batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns photograph, trimap, alpha, truth and the subject before a plain colour."""
    alpha = np.asarray(outputs["alpha"], np.float32)
    green = np.asarray((-0.6, 0.4, -0.2), np.float32)
    columns = {
        "photograph": batch["image"],
        "trimap": batch["trimap"] - 1.0,
        "alpha": 2 * alpha - 1,
        "truth": 2 * batch["alpha"] - 1,
        # Without an estimate of the subject's own colour, so a rim of the old background is seen.
        "on green": batch["image"] * alpha + green * (1 - alpha),
    }
    return {name: _thumbnails(levels.of_picture(v)) for name, v in columns.items()}


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Returns uint8 images shrunk by a whole factor, if they are large."""
    factor = -(-max(images.shape[1:3]) // _THUMBNAIL)
    return images[:, factor // 2 :: factor, factor // 2 :: factor]
