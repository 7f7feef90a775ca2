"""Small banks for tests: random layouts with colours that tell where they come from."""

import numpy as np
import scipy.ndimage

from jaxedit.data import classes as classes_lib
from jaxedit.data.sources import Source
from jaxedit.host import manifests
from jaxedit.methods.sims import bank, bank_building

SIZE, CLASSES = (32, 64), classes_lib.of_names(["sky", "road", "car", "tree", "house"])


def layout(seed, size=SIZE, classes=CLASSES.count):
    """A layout of smooth regions with some unlabelled pixels."""
    noise = np.random.default_rng(seed).normal(size=(classes + 1, *size))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 3, 3))
    smooth[-1] -= 0.05
    label = smooth.argmax(0)
    return np.where(label == classes, 255, label).astype(np.int32)


class Layouts(Source):
    """Records `picture-N` of random layouts; the colours hold number, row and column."""

    def __init__(self, count=10, **more):
        super().__init__("layouts of a test")
        self._count, self.more = count, more

    def __len__(self):
        return self._count

    @property
    def classes(self):
        return CLASSES.describe()

    def name(self, index):
        return f"picture-{index}"

    def _read(self, index):
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        image = np.stack([np.full(SIZE, 10 + index), rows, columns], -1).astype(np.uint8)
        licence = ("CC0-1.0", "CC-BY-4.0")[index % 2]
        return {"id": self.name(index), "image": image, "label": layout(index),
                "licence": licence, "source": f"archive {index}", **self.more}


def make(folder, source=None, **options):
    """Builds and opens a bank."""
    settings = bank_building.Settings(SIZE, CLASSES, **options)
    folder.mkdir()
    list(bank_building.build(source or Layouts(), folder, settings))
    manifests.seal(folder, {"facts": bank_building.merge(folder, settings)})
    return bank.opened(folder)
