"""FID, KID, U-IDS and P-IDS as streaming metrics on one extractor, whose features they share.

The extractor's name is part of every figure's name: none for the published Inception ("fid"),
`random_features` for the stand-in ("fid_random_features"). Sample counts must match to compare.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxedit.metrics import base, distribution
from jaxedit.metrics.features import Extractor

# kind -> (title, higher is better)
KINDS = {
    "fid": ("FID, covariance over N - 1", False),
    "fid_population": ("FID, covariance over N", False),
    "kid": ("KID, unbiased, over all pairs", False),
    "u_ids": ("U-IDS", True),
    "p_ids": ("P-IDS", True),
}
# FID needs two sums of the features; the others need every feature vector at the end.
_KINDS_OF_ROWS = ("kid", "u_ids", "p_ids")


class FeatureMetric(base.Metric):
    """Distances between the features of predictions and targets.

    Attributes:
      kinds: figure name -> its kind, a key of `KINDS`.
      extractor: images -> features.
      keys: where predictions and targets are found.
    """

    def __init__(self, extractor: Extractor, suffix: str = "", keys: base.Keys = base.PLAIN_KEYS):
        """`suffix` is what the extractor adds to titles, empty for the published one."""
        self.extractor = extractor
        self.keys = keys
        self.kinds: dict[str, str] = {}
        self._suffix = suffix

    def add_figure(self, name: str, kind: str) -> None:
        """Adds the figure of `kind` under `name`; before any accumulator is made."""
        self.kinds[name] = kind

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.kinds)

    @property
    def titles(self) -> dict[str, str]:
        return {name: KINDS[kind][0] + self._suffix for name, kind in self.kinds.items()}

    @property
    def higher_is_better(self) -> dict[str, bool]:
        return {name: KINDS[kind][1] for name, kind in self.kinds.items()}

    def prepare(self, batch: base.Batch) -> base.Rows:
        return {"target": self.extractor(batch[self.keys.target])}

    def measure(
        self, outputs: base.Outputs, batch: base.Batch, prepared: base.Rows | None = None
    ) -> base.Rows:
        prediction, target, _ = self.keys.read(outputs, batch)
        base.check(prediction, target, None)
        return {"prediction": self.extractor(prediction), **(prepared or self.prepare(batch))}

    def new(self) -> FeatureAccumulator:
        return FeatureAccumulator(self)


class FeatureSet:
    """Feature vectors of one set of images: kept as rows, or folded into sums once that is smaller.

    Attributes:
      count: the number of vectors.
      keep_rows: never fold, because a figure needs the vectors themselves.
    """

    def __init__(self, features: int, keep_rows: bool):
        self.features = features
        self.keep_rows = keep_rows
        self.count = 0
        self._rows: list[np.ndarray] = []
        self._held = 0
        self._folded = 0
        self._sum: np.ndarray | None = None
        self._outer: np.ndarray | None = None

    def add(self, rows: np.ndarray) -> None:
        """Adds vectors (n, features)."""
        if len(rows) == 0:
            return
        self._rows.append(np.asarray(rows, np.float32))
        self.count += len(rows)
        self._held += len(rows)
        if not self.keep_rows and self._held >= self.features:
            self._fold()

    def rows(self) -> np.ndarray:
        """Returns the vectors that were not folded (n, features) float32."""
        if len(self._rows) != 1:
            empty = np.zeros((0, self.features), np.float32)
            self._rows = [np.concatenate([empty, *self._rows])]
        return self._rows[0]

    def gaussian(self, ddof: int) -> distribution.Gaussian:
        """Returns the fitted Gaussian; needs more than `ddof` vectors."""
        if not self._folded:
            return distribution.gaussian_of_rows(self.rows(), ddof)
        self._fold()
        return distribution.gaussian_of_moments(self.count, self._sum, self._outer, ddof)

    def state(self, prefix: str) -> base.AccumulatorState:
        """Returns the arrays that `load` takes."""
        nothing = np.zeros(0, np.float64)
        return {
            f"{prefix}/rows": self.rows(),
            f"{prefix}/folded": np.array(self._folded, np.int64),
            f"{prefix}/sum": nothing if self._sum is None else self._sum,
            f"{prefix}/outer": nothing if self._outer is None else self._outer,
        }

    def load(self, state: base.AccumulatorState, prefix: str) -> None:
        """Adds what another set held."""
        folded = int(state[f"{prefix}/folded"])
        if folded:
            self._add_moments(folded, state[f"{prefix}/sum"], state[f"{prefix}/outer"])
            self.count += folded
        self.add(state[f"{prefix}/rows"])

    def _fold(self) -> None:
        rows = self.rows().astype(np.float64)
        self._add_moments(len(rows), rows.sum(axis=0), rows.T @ rows)
        self._rows, self._held = [], 0

    def _add_moments(self, count: int, total: np.ndarray, outer: np.ndarray) -> None:
        self._folded += count
        self._sum = total if self._sum is None else self._sum + total
        self._outer = outer if self._outer is None else self._outer + outer


class FeatureAccumulator(base.Accumulator):
    """The features of predictions and of their targets, in the same order."""

    def __init__(self, metric: FeatureMetric):
        super().__init__(metric)
        keep_rows = any(kind in _KINDS_OF_ROWS for kind in metric.kinds.values())
        features = metric.extractor.features
        self._sets = {key: FeatureSet(features, keep_rows) for key in ("prediction", "target")}

    def add(self, rows: base.Rows) -> None:
        for key, features in self._sets.items():
            features.add(rows[key])
        self.count = self._sets["prediction"].count

    def state(self) -> base.AccumulatorState:
        return self._sets["prediction"].state("prediction") | self._sets["target"].state("target")

    def merge(self, states: Sequence[base.AccumulatorState]) -> FeatureAccumulator:
        merged = FeatureAccumulator(self.metric)
        for state in states:
            for key, features in merged._sets.items():
                features.load(state, key)
        merged.count = merged._sets["prediction"].count
        return merged

    def result(self) -> dict[str, float]:
        return self._compute()[0]

    def notes(self) -> dict[str, str]:
        return self._compute()[1]

    def _compute(self) -> tuple[dict[str, float], dict[str, str]]:
        """Returns (figures, notes); recomputed only after samples were added."""
        if getattr(self, "_computed_at", None) != self.count:
            self._computed = self._figures()
            self._computed_at = self.count
        return self._computed

    def _figures(self) -> tuple[dict[str, float], dict[str, str]]:
        kinds = self.metric.kinds
        reason = self._reason_for_none()
        if reason:
            return (
                dict.fromkeys(kinds, float("nan")),
                {name: f"{name}: absent: {reason}" for name in kinds},
            )
        x, y = self._sets["prediction"], self._sets["target"]
        score = None
        figures, notes = {}, {}
        for name, kind in kinds.items():
            if kind.startswith("fid"):
                ddof = 1 if kind == "fid" else 0
                figures[name] = distribution.frechet_distance(x.gaussian(ddof), y.gaussian(ddof))
                if self.count <= x.features:
                    notes[name] = (
                        f"{name}: {self.count} samples for {x.features} features: the covariances "
                        "are singular and the distance is biased; compare it only with figures "
                        "over the same samples"
                    )
            elif kind == "kid":
                figures[name] = distribution.kernel_distance(x.rows(), y.rows())
            else:
                score = score or distribution.inception_discriminative_score(x.rows(), y.rows())
                figures[name] = score.unpaired if kind == "u_ids" else score.paired
                if 2 * self.count <= x.features + 1:
                    notes[name] = (
                        f"{name}: {2 * self.count} images in {x.features} dimensions can always "
                        "be separated; a figure near 0 says nothing about the images"
                    )
                elif not score.converged:
                    notes[name] = f"{name}: the classifier had not converged after 1000 iterations"
        return figures, notes

    def _reason_for_none(self) -> str:
        if self.count < 2:
            return f"needs at least 2 samples, has {self.count}"
        for key, features in self._sets.items():
            held = features.rows()
            folded = 0.0 if features._sum is None else features._sum
            if not (np.all(np.isfinite(held)) and np.all(np.isfinite(folded))):
                return f"some {key}s are not finite"
        return ""
