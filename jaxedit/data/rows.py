"""Lines of JSON about pictures (`captions.jsonl`, `manifest.jsonl`), as people's tools write them.

One object per line, such as {"id": "stem of the image", "caption": "..."}. A byte-order mark is no
fault, nor are line ends of Windows, separators of lines inside of a text, an id that is a number or
has the picture's suffix, or null where nothing is known.
"""

from __future__ import annotations

import codecs
import logging
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from jaxedit.data import records
from jaxedit.data.items import same
from jaxedit.errors import UserError
from jaxedit.host import json_text

Rows = dict[str, dict[str, Any]]
_log = logging.getLogger(__name__)


def read(path: pathlib.Path, keys: list[records.Key], needed: str | None) -> Rows:
    """Returns id (see `items.same`) -> values of `keys`; empty where there is no such file.

    Every line must have the key `needed`, where it is among `keys`.

    Raises:
      UserError: the file or a line cannot be read; the message names the line.
    """
    rows: Rows = {}
    # Not splitlines: U+2028, U+2029 and U+0085 may stand in a text.
    for number, line in enumerate(read_text(path).split("\n") if keys else (), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json_text.loads(line)
            name = same(_name(row))
            if any(key.name == needed for key in keys):
                row[needed]
            found = {key: row[key.name] for key in keys if row.get(key.name) is not None}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            example = needed or "kind"
            raise UserError(
                f"{where}: {error!r}. Each line must be a JSON object like "
                f'{{"id": "stem of the image", "{example}": ...}}.'
            ) from error
        values = {k.name: records.check_told(k, value, where) for k, value in found.items()}
        if rows.get(name, values) != values:
            _log.warning("%s: %r stands in an earlier line already; this one counts.", where, name)
        rows[name] = values
    return rows


def _name(row: dict[str, Any]) -> str:
    """Returns which picture a line is about: its id, or the file that other tools name instead."""
    for key in ("file_name", "file"):
        if "id" not in row and isinstance(row.get(key), str):
            return row[key].replace(os.sep, "/").removeprefix("images/")
    return str(row["id"])


def find(rows: Rows, stem: str, name: str, identity: str) -> dict[str, Any]:
    """Returns the row of a picture, by its stem, its id or its name with the suffix; or {}."""
    for key in (stem, identity, name):
        if (row := rows.get(same(key.replace(os.sep, "/")))) is not None:
            return row
    return {}


def tell_unused(rows: Rows, path: pathlib.Path, pictures: Iterable[tuple[str, ...]]) -> None:
    """Logs how many rows name none of the pictures, each of which has several names."""
    known = {same(name.replace(os.sep, "/")) for names in pictures for name in names}
    unused = [name for name in rows if name not in known]
    if unused:
        _log.warning(
            "%s: %d of %d ids name no picture, the first is %r.",
            path, len(unused), len(rows), unused[0],
        )


def read_text(path: pathlib.Path) -> str:
    """Returns a text file in UTF-8, or in UTF-16 with its mark; "" where there is none.

    Raises:
      UserError: it cannot be read.
    """
    try:
        if not path.exists():
            return ""
        content = path.read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if wide else "utf-8").lstrip("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}.") from error
