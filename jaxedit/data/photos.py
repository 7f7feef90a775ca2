"""The embedded source `photos`: real photographs that other packages already carry.

They are the photographs inside scikit-image's wheel and, where scikit-learn is installed, its two
sample images. Each is cut into square crops at several scales. Whole photographs are kept for
evaluation, so that no pixel of theirs is ever trained on; they are scikit-image's alone, so the
evaluation is the same with and without scikit-learn. Text, diagrams, logos and drawings in those
packages are left out. Nothing is fetched from a network.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import threading

import numpy as np

from jaxedit.data import images
from jaxedit.data.records import check_keys
from jaxedit.data.sources import Record, Source
from jaxedit.errors import UserError

OPTIONS = ("keys", "minimum_side")
# The side of a crop as a share of the photograph's shorter side, and the step between neighbours
# as a share of the side.
_EVERY_SCALE = ((1.0, 0.5), (2 / 3, 0.5), (1 / 2, 0.5), (1 / 3, 1.0))
# Textures and photographs of science fill fewer crops, or they would outweigh everyday scenes.
_FEW = ((1.0, 1.0), (1 / 2, 1.0))
_EVALUATION = ((1.0, 1.0), (1 / 2, 1.0), (1 / 3, 1.0))


@dataclasses.dataclass(frozen=True)
class Photo:
    """One photograph: where it is, which part it belongs to, how it is cut.

    Attributes:
      package: the package that ships it.
      file: path inside the package.
      split: `train` or `eval`.
      scales: (side, step) pairs, see above.
      inset: share of the width and height that is cut off on each side first.
    """

    package: str
    file: str
    split: str
    scales: tuple[tuple[float, float], ...]
    inset: float = 0.0

    @property
    def name(self) -> str:
        return pathlib.PurePosixPath(self.file).stem


PHOTOS = (
    Photo("skimage", "data/astronaut.png", "train", _EVERY_SCALE),
    Photo("skimage", "data/rocket.jpg", "train", _EVERY_SCALE),
    # A stereo pair: two photographs of one scene, which therefore stay on the same side.
    Photo("skimage", "data/motorcycle_left.png", "train", _EVERY_SCALE),
    Photo("skimage", "data/motorcycle_right.png", "train", _EVERY_SCALE),
    Photo("sklearn", "datasets/images/china.jpg", "train", _EVERY_SCALE),
    Photo("sklearn", "datasets/images/flower.jpg", "train", _EVERY_SCALE),
    Photo("skimage", "data/brick.png", "train", _FEW),
    Photo("skimage", "data/grass.png", "train", _FEW),
    Photo("skimage", "data/gravel.png", "train", _FEW),
    Photo("skimage", "data/moon.png", "train", _FEW),
    Photo("skimage", "data/hubble_deep_field.jpg", "train", _FEW),
    Photo("skimage", "data/ihc.png", "train", _FEW),
    # The round image of a fundus camera; the square inside the circle.
    Photo("skimage", "data/retina.jpg", "train", _FEW, inset=0.16),
    Photo("skimage", "data/chelsea.png", "eval", _EVALUATION),
    Photo("skimage", "data/coffee.png", "eval", _EVALUATION),
    Photo("skimage", "data/camera.png", "eval", _EVALUATION),
    Photo("skimage", "data/coins.png", "eval", _EVALUATION),
)


class PhotoSource(Source):
    """Square crops of the embedded photographs, taken in turn from one photograph after another.

    Decoded photographs are kept in memory (20 MB in all). Records have `image` and `id`
    (`name/left-top-side`).
    """

    def __init__(self, split: str, minimum_side: int = 96):
        super().__init__("photos")
        self.split = split
        crops = []
        for position, photo in enumerate(photographs(split)):
            path = _path(photo)
            boxes = _boxes(images.check_header(path), photo, minimum_side)
            crops += [(turn, position, photo, path, box) for turn, box in enumerate(boxes)]
        # One crop of each photograph in turn: every prefix shows them all.
        crops.sort(key=lambda crop: crop[:2])
        self._crops = [crop[2:] for crop in crops]
        self._decoded: dict[str, np.ndarray] = {}
        self._decoding = threading.Lock()

    def __len__(self) -> int:
        return len(self._crops)

    def name(self, index: int) -> str:
        photo, _, (left, top, side) = self._crops[index]
        return f"{photo.name}/{left}-{top}-{side}"

    def _read(self, index: int) -> Record:
        photo, path, (left, top, side) = self._crops[index]
        with self._decoding:
            if photo.name not in self._decoded:
                self._decoded[photo.name] = images.read_image(path)
        image = self._decoded[photo.name]
        return {
            "image": image[top : top + side, left : left + side].copy(),
            "id": self.name(index),
        }

    def __getstate__(self) -> dict:
        state = super().__getstate__()
        del state["_decoding"]
        return dict(state, _decoded={})

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._decoding = threading.Lock()


def create(
    argument: str, split: str, *, keys: tuple[str, ...] | None = None, minimum_side: int = 96
) -> PhotoSource:
    """Returns the source; no crop is smaller than `minimum_side` pixels.

    Raises:
      UserError: `keys` asks for more than `image` and `id`, or a photograph is missing.
    """
    del argument
    wanted = (check_keys(keys) or set()) - {"image", "id"}
    if wanted:
        raise UserError(
            f"photos has no {min(wanted)!r}, which was asked for (keys); it has image and id. "
            "Use a folder of your own: folder:PATH."
        )
    return PhotoSource(split, minimum_side)


def photographs(split: str) -> list[Photo]:
    """Returns the photographs of `train`, `eval` or `all`; scikit-learn's only where installed.

    Raises:
      UserError: one of scikit-image's is missing.
    """
    chosen = []
    for photo in PHOTOS:
        if split not in (photo.split, "all"):
            continue
        path = _path(photo)
        if path is not None and path.is_file():
            chosen.append(photo)
        elif photo.package == "skimage":
            raise UserError(
                f"scikit-image's photograph {photo.file} is missing from this installation. "
                "Install scikit-image again from its wheel, or use photographs of your own: "
                "folder:PATH."
            )
    return chosen


def _path(photo: Photo) -> pathlib.Path | None:
    """Returns where the photograph is, without importing the package; None if not installed."""
    package = importlib.util.find_spec(photo.package)
    if package is None or not package.submodule_search_locations:
        return None
    return pathlib.Path(package.submodule_search_locations[0], photo.file)


def _boxes(size: tuple[int, int], photo: Photo, minimum_side: int) -> list[tuple[int, int, int]]:
    """Returns (left, top, side) of every crop of a photo of (height, width), largest first."""
    above, beside = (round(photo.inset * length) for length in size)
    height, width = size[0] - 2 * above, size[1] - 2 * beside
    boxes = []
    for share, step in photo.scales:
        side = int(share * min(width, height))
        if side < minimum_side and share < 1:
            continue
        for top in _starts(height, side, step):
            boxes += [(beside + left, above + top, side) for left in _starts(width, side, step)]
    return boxes


def _starts(length: int, side: int, step: float) -> list[int]:
    """Returns evenly spread offsets that cover `length`, about `step * side` apart."""
    count = 1 + int(np.ceil((length - side) / (step * side) - 1e-6))
    return [round(start) for start in np.linspace(0, length - side, count)]
