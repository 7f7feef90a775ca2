"""Files and folders that appear whole or not at all.

What is written goes to a temporary name beside the target, so that the last step is a rename
within one file system, and a run that is killed or a disk that is full leaves the target as it
was.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator

import psutil

from jaxedit.errors import UserError

_TEMPORARY = re.compile(r"\..+\.(?P<process>\d+)-(?P<host>[0-9a-f]{4})[0-9a-f]{4}\.tmp")
_A_DAY = 24 * 3600.0
_LONGEST = 200  # bytes of a name that a temporary one keeps; file systems end at 255
_CLOCK = 1.5  # seconds by which the start of a process may be told wrong


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


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` to `path` in UTF-8, whole or not at all; raises like `atomic_file`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all; raises like `atomic_file`."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def check_writable(path: pathlib.Path) -> None:
    """Raises UserError unless a file can be appended to, or a folder take a new file.

    What is not there passes. Nothing is changed.
    """
    try:
        if path.is_dir():
            temporary = _beside(path / "try")
            temporary.touch()
            temporary.unlink()
        elif path.exists():
            path.open("ab").close()
    except OSError as error:
        raise UserError(
            f"Cannot write to {path}: {error.strerror or error}. See to it that you may write "
            "there (owner, permissions, attributes, a disk mounted for reading only), and start "
            "the same command again; nothing was changed."
        ) from error


def check_place(folder: str | os.PathLike) -> None:
    """Raises UserError where results could not be written into a folder, before they are computed.

    Of one that is not there yet, the nearest above it that is decides. Nothing is changed.
    """
    existing = pathlib.Path(folder)
    while not existing.exists() and existing != existing.parent:
        if existing.is_symlink():
            raise UserError(f"Output {existing} is a link that leads nowhere. Choose another.")
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"Output {existing} is a file, not a folder. Choose another place.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"The output folder {existing} may not be written to. Choose another.")


def check_new(path: pathlib.Path) -> None:
    """Raises UserError where what is to be made is there already."""
    if path.exists():
        raise UserError(f"{path} already exists. Choose another name or remove it.")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a new temporary folder beside `path`; on leaving, it is renamed to `path`.

    What killed writers of the same folder have left is removed.

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
    remove_leftovers_of(path)
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


def is_temporary(path: pathlib.Path) -> bool:
    """Whether a file or folder has the name of one that is being written here."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: str | os.PathLike, alone: bool = False) -> list[pathlib.Path]:
    """Removes the temporary files and folders of writers that were killed; returns their paths.

    Looks through `folder` with its sub-folders. What a living process of this machine has written
    since it began stays, and so does what another machine has written, unless it is more than a day
    old.

    Args:
      folder: where to look.
      alone: nobody writes in `folder` now, so that everything temporary there is left over.
    """
    return _remove(pathlib.Path(folder).rglob(".*.tmp"), alone)


def remove_leftovers_of(path: pathlib.Path) -> None:
    """Removes what killed writers of `path` itself have left beside it.

    `atomic_folder` does so; for a file it is worth the look at the folder where files are large.
    """
    _remove(path.parent.glob(f".{glob.escape(_short(path))}.*.tmp"))


def _remove(candidates: Iterable[pathlib.Path], alone: bool = False) -> list[pathlib.Path]:
    removed = []
    for path in list(candidates):
        found = _TEMPORARY.fullmatch(path.name)
        if not found or not (alone or _is_left(path, int(found["process"]), found["host"])):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            removed.append(path)
    return removed


def _is_left(path: pathlib.Path, process: int, host: str) -> bool:
    try:
        facts = path.stat()
    except OSError:
        return False
    if host != _host() or os.name != "posix":
        return time.time() - facts.st_mtime > _A_DAY
    try:
        started = psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    # Numbers are given again, in a container the same at every start. Unlike the time of
    # modification, that of the last change cannot be set back by who copies a file.
    return facts.st_ctime < started - _CLOCK


def _host() -> str:
    """Returns four digits that tell this machine from the others on a shared disk."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:4]


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{_short(path)}.{os.getpid()}-{_host()}{secrets.token_hex(2)}.tmp")


def _short(path: pathlib.Path) -> str:
    """Returns the name of `path`, cut so that a temporary name's additions fit beside it."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= _LONGEST else name[:_LONGEST].decode("utf-8", "ignore")


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
