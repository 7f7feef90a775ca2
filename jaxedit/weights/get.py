"""From a name to weights that can be loaded: downloads, checks and converts."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from jaxedit.errors import UserError
from jaxedit.weights import catalogue, convert, download, manifest, shipped
from jaxedit.weights.entry import Bundle, Published


def get(
    name: str,
    output: str | Path | None = None,
    *,
    weights_dir: str | Path | None = None,
    tell: Callable[[str], None] = print,
) -> Path:
    """Returns the path of our file of the weights `name`, downloaded and converted if need be.

    Args:
      name: as `jaxedit weights list` shows it.
      output: where to write; by default where `convert.load` looks, and then weights that are
        there already are left as they are.
      weights_dir: the weights folder, by default `catalogue.default_dir()`. Files on their way
        stand in its folder `downloads/NAME` and are removed when they are converted.
      tell: is told, in lines, what happens.

    Raises:
      UserError: unknown name, a file that needs a person, or one that cannot be had or converted.
        Nothing stands at the result's place then, unless it stood there before.
    """
    import filelock

    entry = manifest.get(name)
    if isinstance(entry, shipped.Shipped):
        tell(f"The weights {name!r} come with jaxedit: there is nothing to download.")
        return Path(str(entry.file))
    if output is None and _is_ready(name, weights_dir):
        tell(f"The weights {name!r} are here already.")
        return catalogue.path_of(name, weights_dir)
    if entry.by_hand:
        raise UserError(
            f"The weights {name!r} cannot be fetched by a program. {catalogue.by_hand(entry)}"
        )
    folder = catalogue.path_of(name, weights_dir).parent / "downloads" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock"), timeout=0):
            return _get(entry, folder, output, weights_dir, tell)
    except filelock.Timeout as error:
        raise UserError(
            f"Another process is downloading the weights {name!r}. Wait until it has finished."
        ) from error
    except OSError as error:
        raise UserError(
            f"{folder}: this folder cannot be made or used: {error}. Choose another one with "
            "$JAXEDIT_WEIGHTS."
        ) from error


def _is_ready(name: str, weights_dir: str | Path | None) -> bool:
    if not catalogue.path_of(name, weights_dir).is_file():
        return False
    try:
        convert.load(name, weights_dir)
    except UserError:  # damaged, or of an earlier version
        return False
    return True


def _get(
    entry: Published | Bundle,
    folder: Path,
    output: str | Path | None,
    weights_dir: str | Path | None,
    tell: Callable[[str], None],
) -> Path:
    tell(f"{entry.name}: {entry.what}. Licence: {entry.licence}.")
    try:
        paths = [download.fetch(file, folder, tell) for file in entry.files]
    except UserError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing has come that could be gone on with
        raise UserError(f"{error}\nTo do it by hand: {catalogue.by_hand(entry)}") from error
    file = folder if isinstance(entry, Bundle) else paths[0]
    try:
        result = convert.convert(entry.name, file, output, weights_dir=weights_dir)
    except UserError:
        # A file that is known to be the published one is kept: the disk may just be full.
        if not all(file.sha256 for file in entry.files):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return result
