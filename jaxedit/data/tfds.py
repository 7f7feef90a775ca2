"""The source `tfds:NAME`: a dataset of TensorFlow Datasets, read without TensorFlow.

NAME is as in `tfds.data_source`: `places365_small`, `celeb_a:2.1.0`, ... The data must be prepared
as ArrayRecord; a dataset that is not on disk is downloaded and prepared first.

`train` reads the dataset's split `train`, and `eval` its `validation` or `test`. Where there is
neither, or where one split is named (`tfds:NAME:SPLIT`), a share of that one split, chosen by a
hash of the position, is kept for `eval`; split `all` reads the whole of it.

Features map to record keys: `image` -> `image`; `segmentation_mask` or an image-valued `label` ->
`label`; `alpha` -> `alpha`; `caption` or `text` -> `caption`; a class label -> `class_label`. Any
other declared key (`records.py`) that `keys` asks for is read from the feature of its own name, if
that holds its kind: images for kinds of image files, tensors for arrays and labels, and so on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxedit.data import images, records
from jaxedit.data.sources import EmptySplit, Record, Source, split_by_hash
from jaxedit.errors import UserError

OPTIONS = ("keys", "data_dir", "download", "holdout", "max_bad_share", "max_pixels")
_NAME = re.compile(r"(?P<name>[\w/.=,-]+(?::[\d.*]+)?)(?::(?P<split>.+))?")
_EVALUATION_SPLITS = ("validation", "eval", "val", "test")
# Record key -> feature names that may hold it, the first that is there wins.
_IMAGES = {"image": ("image",), "label": ("segmentation_mask", "label"), "alpha": ("alpha",)}
_CAPTIONS = ("caption", "captions", "text")


class TfdsSource(Source):
    """Records of a prepared dataset; see the module for splits and keys.

    Args:
      name: the dataset, and after a second colon the split, as in `tfds.data_source`.
      split: `train`, `eval` or `all`.
      keys: the record keys to read; None reads all that the dataset has.
      data_dir: where datasets lie; None is TFDS's own default.
      download: download and prepare what is not there.
      holdout: about the share kept for `eval` where one split serves both.
      max_bad_share: more bad records than this share are an error; a single one never is.
      max_pixels: larger images are bad records.

    Raises:
      UserError: no such dataset or split, it cannot be prepared, or it has no images.
    """

    def __init__(
        self,
        name: str,
        split: str,
        *,
        keys: tuple[str, ...] | None = None,
        data_dir: str | os.PathLike | None = None,
        download: bool = True,
        holdout: float = 0.1,
        max_bad_share: float = 0.1,
        max_pixels: int = images.MAX_PIXELS,
    ):
        super().__init__(f"tfds:{name}", max_bad_share)
        if not 0 < holdout < 1:
            raise UserError(f"holdout is {holdout}; it must lie between 0 and 1, such as 0.1.")
        matched = _NAME.fullmatch(name)
        if matched is None:
            raise UserError(f"tfds:{name} is not of the form tfds:NAME or tfds:NAME:SPLIT.")
        self.max_pixels = max_pixels
        builder = _builder(matched["name"], data_dir, download)
        features = builder.info.features
        self.keys = records.check_keys(keys)
        self._image_features = _find_images(features, self.description)
        self._other = _find_other(features, self.keys or ())
        self._image_features |= {
            key: key for key in self._other if isinstance(features[key], tfds.features.Image)
        }
        self._caption = next((key for key in _CAPTIONS if key in features), None)
        label = features["label"] if "label" in features else None
        is_class = isinstance(label, tfds.features.ClassLabel)
        self._class_names = tuple(label.names or ()) if is_class else None
        self._select_keys()
        self._part, shared = _choose_part(
            list(builder.info.splits), matched["split"], split, self.description
        )
        decoders = {name: tfds.decode.SkipDecoding() for name in self._image_features.values()}
        try:
            self._entries = builder.as_data_source(self._part, decoders=decoders)
        except (ValueError, KeyError, NotImplementedError, AssertionError, OSError) as error:
            raise UserError(
                f"{self.description}: cannot read split {self._part!r}: {_first_line(error)} "
                f"Its splits: {', '.join(builder.info.splits)}."
            ) from error
        self._positions: range | np.ndarray = range(len(self._entries))
        if shared:
            keys = [str(position) for position in self._positions]
            self._positions = np.asarray(split_by_hash(keys, split, holdout), np.int64)
        if not len(self._positions):
            raise EmptySplit(f"{self.description} holds no record for split {split!r}.")

    def _select_keys(self) -> None:
        """Leaves out the features that `keys` does not ask for."""
        if self.keys is None:
            return
        present = {"id", *self._image_features, *self._other}
        present |= {"caption"} if self._caption is not None else set()
        present |= {"class_label"} if self._class_names is not None else set()
        if self.keys - present:
            raise UserError(
                f"{self.description} has no feature for {min(self.keys - present)!r}, which was "
                f"asked for (keys). It has {', '.join(sorted(present))}."
            )
        self._image_features = {
            key: feature for key, feature in self._image_features.items() if key in self.keys
        }
        if "caption" not in self.keys:
            self._caption = None
        if "class_label" not in self.keys:
            self._class_names = None

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def classes(self) -> Any:
        return None if self._class_names is None else {"classes": list(self._class_names)}

    def name(self, index: int) -> str:
        return f"{self._part}/{self._positions[index]}"

    def _read(self, index: int) -> Record:
        name = f"{self.description} record {self.name(index)}"
        try:
            example = self._entries[int(self._positions[index])]
        except (ValueError, RuntimeError, IndexError) as error:
            raise UserError(f"{name} cannot be read: {_first_line(error)}") from error
        record: Record = {}
        for key, feature in self._image_features.items():
            encoded = bytes(example[feature])
            read = records.KINDS[records.find(key).kind].read
            record[key] = read(encoded, name=name, max_pixels=self.max_pixels)
        for key in self._other:
            if key not in record:
                record[key] = _value(records.find(key), example[key])
        if self._caption is not None:
            record["caption"] = _text(example[self._caption])
        if self._class_names is not None:
            record["class_label"] = int(example["label"])
        record["id"] = self.name(index)
        records.check({key: record[key] for key in ("image", *self._other)}, name)
        return record


def create(argument: str, split: str, **options: Any) -> TfdsSource:
    """Returns the source of the dataset `argument`, a name or NAME:SPLIT."""
    return TfdsSource(argument, split, **options)


def _builder(name: str, data_dir: str | os.PathLike | None, download: bool):
    where = "the default data_dir" if data_dir is None else f"data_dir {data_dir}"
    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise UserError(
            f"tfds:{name} is no dataset that TensorFlow Datasets knows or finds in {where}: "
            f"{_first_line(error)} Check the name, and data_dir if it is your own dataset."
        ) from error
    except ImportError as error:
        raise UserError(f"tfds:{name} needs a package that is not installed: {error}.") from error
    if download and not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:  # each dataset has its own script, which can raise anything
            raise UserError(
                f"tfds:{name} is not in {where} and could not be downloaded and prepared: "
                f"{_first_line(error)}"
            ) from error
    if not builder.is_prepared():
        raise UserError(f"tfds:{name} is not prepared in {where}. Set download, or the data_dir.")
    return builder


def _find_images(features: Any, description: str) -> dict[str, str]:
    """Returns record key -> name of the image feature that it is read from."""
    found = {}
    for key, names in _IMAGES.items():
        for name in names:
            if name in features and isinstance(features[name], tfds.features.Image):
                found.setdefault(key, name)
    if "image" not in found:
        raise UserError(
            f"{description} has no image feature 'image'. Its features: {', '.join(features)}."
        )
    return found


def _find_other(features: Any, keys: Iterable[str]) -> list[str]:
    """Returns those of `keys` that a feature of the same name and of a fitting type holds."""
    found = []
    for name in sorted(set(keys) - {"id", "image", "label", "alpha", "caption", "class_label"}):
        key = records.find(name)
        if name not in features or not isinstance(features[name], _features_of(key)):
            continue
        if key.kind == "text" or not isinstance(features[name], tfds.features.Text):
            found.append(name)
    return found


def _features_of(key: records.Key) -> tuple[type, ...]:
    """Returns the types of feature that can hold values of a key."""
    types = tfds.features
    if key.kind == "text":
        return (types.Text,)
    if key.kind == "number":
        return (types.Tensor,)
    if key.kind == "attributes":
        return (types.FeaturesDict,)
    return {"array": (types.Tensor,), "label": (types.Image, types.Tensor)}.get(
        key.kind, (types.Image,)
    )


def _value(key: records.Key, value: Any) -> Any:
    """Returns a feature's value, which is no image, as the value of a key."""
    if key.kind == "text":
        return _text(value)
    if key.kind == "attributes":
        return {name: _plain(one) for name, one in value.items()}
    if key.kind == "number":
        return _plain(value)
    array = np.asarray(value)
    return array.astype(np.int32) if key.kind == "label" else array


def _plain(value: Any) -> Any:
    """Returns a value as JSON can hold it."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return _text(value) if isinstance(value, bytes) else value


def _choose_part(
    known: list[str], asked: str | None, split: str, description: str
) -> tuple[str, bool]:
    """Returns the dataset's split to read, and whether it serves both train and eval."""
    if asked is not None:
        return asked, True
    evaluation = next((name for name in _EVALUATION_SPLITS if name in known), None)
    if "train" not in known:
        raise UserError(
            f"{description} has no split 'train'. Name one of its splits: "
            f"{description}:{known[0] if known else 'SPLIT'} (it has {', '.join(known)})."
        )
    if evaluation is None:
        return "train", True
    return {"train": "train", "eval": evaluation, "all": f"train+{evaluation}"}[split], False


def _text(value: Any) -> str:
    """Returns a caption; of several, the first."""
    while isinstance(value, (list, tuple, np.ndarray)) and len(value):
        value = value[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": .") + "."
