"""Downloads published files: with progress, going on where an earlier attempt broke off, checked.

Pooch checks the digest and puts the file in its place in one step; what comes over the line is
written to `FILE.part` beside it, which outlives a broken connection and a killed process. It is
gone on with only where the server says that the file is still the same one, or where a digest will
tell.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.weights.entry import File

WAITS = (1, 2, 4, 8)  # seconds before each new attempt; those that brought something do not count
TIMEOUT = (15, 60)  # seconds: to connect, and between two pieces
_PIECE = 1 << 18  # bytes
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # status codes of servers that may recover


class _Broken(Exception):
    """An attempt ended in a way that another one may not."""


def fetch(file: File, folder: Path, tell: Callable[[str], None]) -> Path:
    """Returns the path of `file` below `folder`, downloaded unless it is there already.

    Args:
      file: of the manifest.
      folder: made where it does not exist.
      tell: is told about new attempts.

    Raises:
      UserError: it cannot be had; says why, and what to do. Nothing stands under the file's own
        name then.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # it would advise to note the digest
    target = folder / file.path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            file.address,
            file.sha256 and f"sha256:{file.sha256}",
            fname=file.path,
            path=folder,
            downloader=lambda address, output, _: _Download(file, target, tell).into(Path(output)),
        )
    except ValueError as error:  # Pooch's, of a digest
        raise UserError(
            f"{file.address}: what came is not the published file: its SHA-256 is not "
            f"{file.sha256}. It was removed. If that happens again, the publisher has replaced the "
            "file or something on the way changes it."
        ) from error
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written: {error}. Free some space or choose another folder with "
            "$JAXEDIT_WEIGHTS."
        ) from error
    return target


class _Download:
    """One file on its way."""

    def __init__(self, file: File, target: Path, tell: Callable[[str], None]):
        self._file = file
        self._tell = tell
        self._part = target.with_name(f"{target.name}.part")
        self._facts = target.with_name(f"{target.name}.part.json")

    def into(self, output: Path) -> None:
        """Downloads all and moves it to `output`."""
        import requests

        failures = best = 0
        with requests.Session() as session:
            while True:
                try:
                    self._attempt(session)
                    break
                except requests.exceptions.SSLError as error:
                    raise self._unreachable(error) from error
                except (_Broken, requests.RequestException) as error:
                    failures = 0 if self._size() > best else failures + 1
                    best = max(best, self._size())
                    if failures > len(WAITS):
                        raise self._unreachable(error) from error
                    wait = WAITS[max(failures - 1, 0)]
                    self._tell(f"{self._file.path}: {_reason(error)}; trying again in {wait} s")
                    time.sleep(wait)
        os.replace(self._part, output)
        self._facts.unlink(missing_ok=True)

    def _attempt(self, session) -> None:
        start, validator = self._resumable()
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if validator:
                headers["If-Range"] = validator
        address = self._file.address
        with session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # what is here is longer than what is there
                self._discard()
                raise _Broken("the file there has changed")
            self._check_status(response)
            if response.status_code == 206:
                total = _total(response, start)
                if total is None:
                    self._discard()
                    raise _Broken("the server sent another part than it was asked for")
            else:
                start, total = 0, _length(response)
            self._check_size(total, start)
            if start == 0:
                self._note(response)
            self._receive(response, start, total)

    def _receive(self, response, start: int, total: int | None) -> None:
        from tqdm import tqdm

        limit = total or self._file.bytes
        with (
            open(self._part, "ab" if start else "wb") as stream,
            tqdm(
                desc=Path(self._file.path).name, initial=start, total=limit, unit="B",
                unit_scale=True, mininterval=0.5 if sys.stderr.isatty() else 60,
            ) as progress,
        ):
            for piece in response.iter_content(_PIECE):
                stream.write(piece)
                progress.update(len(piece))
                if limit is not None and stream.tell() > limit:
                    stream.close()
                    self._discard()
                    raise UserError(
                        f"{self._file.address}: sent more than the {limit:,} bytes that the file "
                        "has, so it is not the published file. It was removed."
                    )
            if limit is not None and stream.tell() < limit:
                raise _Broken(f"the connection ended after {stream.tell():,} of {limit:,} bytes")

    def _resumable(self) -> tuple[int, str]:
        """Returns how many bytes are here to go on from, and what tells that they still hold."""
        size = self._size()
        try:
            facts = json_text.loads(self._facts.read_bytes())
            validator = facts["validator"]
            same = facts["address"] == self._file.address
        except (OSError, ValueError, KeyError, TypeError):
            same, validator = False, ""
        if size and same and (validator or self._file.sha256):
            return size, validator
        self._discard()
        return 0, ""

    def _note(self, response) -> None:
        tag = response.headers.get("ETag", "")
        # A weak tag does not promise the same bytes.
        validator = response.headers.get("Last-Modified", "") if tag[:2] in ("", "W/") else tag
        self._part.unlink(missing_ok=True)
        self._facts.write_text(json.dumps({"address": self._file.address, "validator": validator}))

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)

    def _size(self) -> int:
        with contextlib.suppress(OSError):
            return self._part.stat().st_size
        return 0

    def _check_status(self, response) -> None:
        code = response.status_code
        if code in _PASSING:
            raise _Broken(f"the server answered {code} ({response.reason})")
        if code in (401, 403):
            raise UserError(
                f"{self._file.address}: the server answered {code} ({response.reason}): a person "
                "has to sign in or to accept a licence there. Download the file with a browser."
            )
        if code not in (200, 206):
            raise UserError(
                f"{self._file.address}: the server answered {code} ({response.reason}). The file "
                "may have moved: look for it on the publisher's page."
            )
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise UserError(
                f"{self._file.address}: the server sent a web page in place of the file: it wants "
                "a person to sign in or to confirm. Download the file with a browser."
            )

    def _check_size(self, total: int | None, start: int) -> None:
        expected = self._file.bytes
        if total is not None and expected is not None and total != expected:
            self._discard()
            raise UserError(
                f"{self._file.address}: not the published file: it has {total:,} bytes, the "
                f"published one {expected:,}. Nothing was kept."
            )
        free = shutil.disk_usage(self._part.parent).free
        if total is not None and total - start > free:
            raise UserError(
                f"{self._part.parent}: {total - start:,} more bytes are needed and {free:,} are "
                "free. Free some space or choose another folder with $JAXEDIT_WEIGHTS."
            )

    def _unreachable(self, error: Exception) -> UserError:
        kept = self._size()
        return UserError(
            f"{self._file.address} cannot be downloaded: {_reason(error)}. Check the connection "
            "(behind a proxy: $HTTPS_PROXY) and run the same command again"
            + (f"; it goes on from the {kept:,} bytes that are here." if kept else ".")
        )


def _length(response) -> int | None:
    """Returns how many bytes the whole file has, where the server says so."""
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and not encoded else None


def _total(response, start: int) -> int | None:
    """Returns how many bytes the whole file has, or None where the part is not the wanted one."""
    what, _, total = response.headers.get("Content-Range", "").partition("/")
    fits = what.startswith(f"bytes {start}-") and total.isdigit()
    return int(total) if fits else None


def _reason(error: Exception) -> str:
    """Returns what went wrong in a line, without the layers of libraries around it."""
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    text = str(error)
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        if any(word in text for word in ("resolve", "resolution", "getaddrinfo")):
            return "the server's name cannot be resolved: this machine seems to be offline"
        if "refused" in text:
            return "the server refused the connection"
        if "proxy" in text.lower():
            return f"the proxy cannot be used ({text[:200]})"
        if "IncompleteRead" in text or "aborted" in text or "reset" in text:
            return "the connection broke off"
    return text[:200]
