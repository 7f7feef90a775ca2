"""Files and folders that appear whole or not at all.

What is written goes to a temporary name beside the target, so that the last step is a rename
within one file system, and a run that is killed or a disk that is full leaves the target as it
was.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator

from jaxedit.errors import UserError


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; on leaving, it takes the place of `path`.

    An existing file at `path` is replaced. If the body raises, the temporary file is removed
    and `path` is untouched.

    Raises:
      UserError: the file cannot be written (no such folder, no permission, no space left).
    """
    path = pathlib.Path(path)
    temporary = _beside(path)
    try:
        yield temporary
        _synchronise(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a new temporary folder beside `path`; on leaving, it is renamed to `path`.

    Raises:
      UserError: `path` already exists and is not an empty folder, or cannot be written.
    """
    path = pathlib.Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(
            f"{path} already exists and is not an empty folder. Choose another output or "
            "remove it first; nothing was changed."
        )
    temporary = _beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            path.rmdir()
        os.rename(temporary, path)
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _synchronise(path: pathlib.Path) -> None:
    """Puts the bytes on disk before the rename, or a power cut could leave an empty target."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _cannot_write(path: pathlib.Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"Cannot write {path}: {reason}. Check that the folder exists, that you may write "
        "there and that there is space left; nothing half-written was kept."
    )
