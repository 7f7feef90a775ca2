"""From a record to what matting trains and is measured on (host side).

Training samples are those of `pretraining.py` or `finetuning.py`: float32 `image`, `foreground`
and `background` (H, W, 3) in [-1, 1], `alpha` (H, W, 1) in [0, 1], `trimap` (H, W, 1) with labels
0, 1, 2. In fine-tuning the records of `data.source` are the backgrounds.

Evaluation is the same in both tasks: whole pictures, `image`, `trimap` and `alpha` as above, `mask`
(H, W, 1) float32, 1 where the trimap is unknown, and `kind` (str), empty where the record has none.
"""

from __future__ import annotations

from typing import Any

import ml_collections
import numpy as np

from jaxedit.data import compose, sources, transforms, trimaps
from jaxedit.data.sources import Opened
from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.methods.matting import pretraining
from jaxedit.methods.matting.finetuning import Finetuning
from jaxedit.methods.matting.pretraining import Pretraining


class Transform:
    """Turns a record and a generator into a sample; picklable for worker processes.

    Besides the record it is given, it draws others: second pictures from `data.source` or
    subjects from `data.foregrounds`. Each source is opened when it is first needed.
    """

    def __init__(self, config: ml_collections.ConfigDict, train: bool):
        data, evaluate = config.data, config.evaluate
        self.train = train
        self.task = data.task
        self.second_image = data.second_image
        self.pretraining = Pretraining(
            size=config.image_size,
            cell=data.cell,
            known=data.known,
            foreground_share=data.foreground_share,
            noise=data.alpha_noise,
            affine=data.affine,
            jitter=data.jitter,
        )
        self.finetuning = Finetuning(
            size=config.image_size,
            merge=data.merge,
            resize_probability=data.resize_probability,
            resize_size=data.resize_size,
            affine=data.affine,
            trimap_width=tuple(data.trimap_width),
            trimap_size=data.trimap_size,
            jitter=data.jitter,
            real_world=data.real_world,
        )
        self.compose = evaluate.compose
        self.trimap = evaluate.trimap
        self.trimap_width = evaluate.trimap_width
        _check(config)
        self.pictures = Opened(data.source, "train" if train else "eval", keys=("image",))
        self.subjects = Subjects(data.foregrounds, data.foreground_limit)

    @property
    def sources(self) -> dict[str, Opened]:
        """Returns what samples are made of besides the record they begin with."""
        if not self.train:
            return {"data.source": self.pictures} if self.compose else {}
        if self.task == "finetune":
            return {"data.foregrounds": self.subjects.opened}
        return {} if self.second_image == "colour" else {"data.source": self.pictures}

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        """Returns the sample; see the module. In fine-tuning the record needs its `index`."""
        if not self.train:
            return self._evaluation(record)
        if self.task == "pretrain":
            return self.pretraining(record["image"], self._second(rng), rng)
        return self.finetuning(
            self.subjects, len(self.subjects), record["index"], record["image"], rng
        )

    def _second(self, rng: np.random.Generator) -> np.ndarray:
        if self.second_image == "colour":
            return pretraining.flat_colour(self.pretraining.size, rng)
        pictures = self.pictures.source
        return pictures[int(rng.integers(len(pictures)))]["image"]

    def _evaluation(self, record: Record) -> dict[str, Any]:
        if "alpha" not in record:
            raise UserError(
                "it has no alpha, which matting is measured against. Set evaluate.source to a "
                "source with alphas, such as scenes or folder:PATH with images/ and alphas/."
            )
        alpha = record["alpha"]
        if self.compose:
            pictures = self.pictures.source
            behind = pictures[record["index"] % len(pictures)]["image"]
            image = compose.over(_foreground(record), alpha, behind)
        else:
            image = record["image"]
        labels = self._labels(record)[..., None]
        return {
            "image": transforms.to_unit_range(image),
            "trimap": labels.astype(np.float32),
            "alpha": np.divide(alpha, np.float32(255), dtype=np.float32)[..., None],
            "mask": (labels == trimaps.UNKNOWN).astype(np.float32),
            "kind": record.get("kind", ""),
        }

    def _labels(self, record: Record) -> np.ndarray:
        if self.trimap == "made":
            return trimaps.of_width(record["alpha"], self.trimap_width)
        if "trimap" not in record:
            raise UserError(
                "it has no trimap. Add trimaps/ to the folder, or have one made of the alpha: "
                "--config.evaluate.trimap=made."
            )
        return trimaps.from_levels(record["trimap"])


class Subjects:
    """The labelled subjects of a source: index -> (colours uint8 (H, W, 3), opacity uint8 (H, W)).

    A subject's colours are the record's `foreground`, or, where it has none, its `image`: right
    where the image shows the subject alone or where the colours of the old background that shine
    through soft edges do no harm.

    Args:
      name: of the source; `train` is the part that is used.
      limit: take the first so many subjects only; 0 takes all.
    """

    def __init__(self, name: str, limit: int = 0):
        self.limit = limit
        self.opened = Opened(name, "train", keys=_subject_keys)

    def __len__(self) -> int:
        count = len(self.opened.source)
        return min(count, self.limit) if self.limit else count

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        record = self.opened.source[index]
        return _foreground(record), record["alpha"]


def _subject_keys(name: str, split: str) -> tuple[str, ...]:
    """Returns the keys to ask a source of subjects for: its first record tells what there is."""
    first = sources.create(name, split)[0]
    return ("alpha", "foreground") if "foreground" in first else ("alpha",)


def _foreground(record: Record) -> np.ndarray:
    return record.get("foreground", record["image"])


def _check(config: ml_collections.ConfigDict) -> None:
    """Raises UserError where numbers do not fit together; the message names key and remedy."""
    data = config.data
    if data.cell > config.image_size:
        raise UserError(
            f"data.cell={data.cell} must lie between 1 and image_size={config.image_size} pixels."
        )
