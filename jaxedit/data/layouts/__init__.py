"""Published data sets, recognised by `folder:PATH` where they lie: one module for each family.

A module defines `find(root, split) -> Layout | None`, which costs no more than a look at the names
of the folders where there is nothing of its own.
"""

from __future__ import annotations

import importlib
import pathlib
import pkgutil

from jaxedit.data.layouts.base import Layout

_NO_FAMILY = ("base",)
# Folders of data sets whose photographs lie in images/, as those of the plain form do.
_BESIDE_IMAGES = ("annotations", "stuffthingmaps")


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set that `root` holds, or None where no module knows it.

    Args:
      root: the folder.
      split: train, eval or all.

    Raises:
      UserError: it nearly has the form of one; the message says what is missing.
    """
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        if module not in _NO_FAMILY:
            found = importlib.import_module(f"{__name__}.{module}").find(root, split)
            if found is not None:
                return found
    return None


def beside_images(root: pathlib.Path) -> bool:
    """Returns whether a folder with images/ may all the same be one that a module knows."""
    return not (root / "labels").is_dir() and any(
        (root / name).is_dir() for name in _BESIDE_IMAGES
    )
