"""Whether a file was written by this user here, or has come from somebody else.

A run directory names the module that computes with it, and loading that module runs its code. What
this user has written is told by a keyed digest beside the file, whose key never leaves the user's
own configuration folder: nobody else can write a file that passes for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import pathlib
import secrets

from jaxedit.errors import UserError
from jaxedit.host import atomic

_SUFFIX = ".signature"
_BYTES = 32


def sign(path: pathlib.Path) -> None:
    """Marks a file as this user's; nothing happens where there is no place to keep the key."""
    with contextlib.suppress(OSError, RuntimeError, UserError):
        atomic.write_text(_signature(path), _digest(path, _key(make=True)))


def is_own(path: pathlib.Path) -> bool:
    """Whether this user has signed the file, and it is as it was then."""
    try:
        kept = _signature(path).read_bytes()
        return hmac.compare_digest(kept, _digest(path, _key(make=False)).encode())
    except (OSError, RuntimeError):
        return False


def _signature(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + _SUFFIX)


def _digest(path: pathlib.Path, key: bytes) -> str:
    return hmac.new(key, path.read_bytes(), hashlib.sha256).hexdigest()


def _key(make: bool) -> bytes:
    """Returns the user's key; raises OSError where there is none, RuntimeError without a home."""
    folder = os.environ.get("XDG_CONFIG_HOME")
    folder = pathlib.Path(folder) if folder else pathlib.Path.home() / ".config"
    place = folder / "jaxedit" / "key"
    if make and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was first
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(file, "wb") as stream:
                stream.write(secrets.token_bytes(_BYTES))
    key = place.read_bytes()
    if len(key) != _BYTES:
        raise FileNotFoundError(place)
    return key
