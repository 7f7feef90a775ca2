"""One process at a time in a folder: a lock that the operating system drops when its owner dies.

Two processes in one run directory would write one another's rows. The lock is a file of the folder,
`.run.lock`, with the owner's host and process number beside it, `.run.owner.json`, for the message.
The owner of a lock may take it again. Readers take none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import warnings
from collections.abc import Iterator

import filelock

from jaxedit.errors import UserError
from jaxedit.host import atomic, json_text

# What `hold` leaves in a folder; a folder with nothing else in it counts as empty.
FILES = (".run.lock", ".run.owner.json")


@dataclasses.dataclass
class Held:
    """A lock that this process holds.

    Attributes:
      folder: what is locked.
      created: whether the folder was not there before.
    """

    folder: pathlib.Path
    created: bool


_held: dict[pathlib.Path, Held] = {}


@contextlib.contextmanager
def hold(
    folder: pathlib.Path, instead: str = "another --workdir", fleeting: bool = False
) -> Iterator[Held]:
    """Holds the lock of `folder`, which is created if need be; within an outer `hold`, that one.

    Args:
      folder: what is locked.
      instead: what somebody may choose who finds it locked, for the message.
      fleeting: nothing of the lock stays in the end, nor the folder where that is all it holds.

    Raises:
      UserError: another process holds it; the message names host and process. Or the folder cannot
        be written to.
    """
    key = folder.resolve()
    if key in _held:
        yield _held[key]
        return
    created = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write to the folder {folder}: {error}.") from error
    lock = filelock.FileLock(folder / FILES[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of file systems without locks, on which files stand in
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"{folder} is in use by {owner(folder)}. Two processes would mix their results: "
                f"wait for that one to end, stop it, or choose {instead}."
            ) from None
        except OSError as error:
            raise UserError(f"Cannot lock the folder {folder}: {error}.") from error
    locked = _identity(folder / FILES[0])
    try:
        facts = {"process": os.getpid(), "host": socket.gethostname()}
        try:
            (folder / FILES[1]).write_text(json.dumps(facts))
        except OSError as error:
            raise UserError(
                f"Cannot write {folder / FILES[1]}: {error.strerror or error}. Remove what stands "
                "there, see to it that you may write there, and start the same command again."
            ) from error
        _held[key] = Held(folder, created)
        yield _held[key]
    finally:
        _held.pop(key, None)
        kept_open = False
        # Before the lock is let go: who takes it next is not robbed of its folder. And where the
        # folder was removed meanwhile, what stands there now may be another owner's.
        if locked is not None and _identity(folder / FILES[0]) == locked:
            with contextlib.suppress(OSError):
                (folder / FILES[1]).unlink(missing_ok=True)
            try:
                if fleeting:
                    shutil.rmtree(folder) if is_empty(folder) else (folder / FILES[0]).unlink()
            except OSError:  # NFS and Windows keep an open file, and with it the folder
                kept_open = True
        lock.release()
        if kept_open:
            with contextlib.suppress(OSError):
                folder.rmdir()


def owner(folder: pathlib.Path) -> str:
    """Returns `process 123 on host NAME`, or what is known of the owner of a lock."""
    try:
        facts = json_text.loads((folder / FILES[1]).read_bytes())
        return f"process {int(facts['process'])} on host {facts['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_empty(folder: pathlib.Path) -> bool:
    """Whether a folder holds nothing but what `hold` leaves there and what is being written.

    Another process of the same run may be about to write the first file.
    """
    return all(path.name in FILES or atomic.is_temporary(path) for path in folder.iterdir())


def clear(folder: pathlib.Path) -> None:
    """Removes what a folder holds, which this process has locked, but the lock itself.

    Without it another process would take the folder while this one still believes to hold it.
    """
    for path in folder.iterdir():
        if path.name not in FILES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
    """Returns what tells a file from another one in its place; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
