"""Captions beside pictures, in the forms that people's tools write besides `captions.jsonl`.

    name.txt beside name.jpg       the whole text is the caption
    metadata.jsonl                 {"file_name": "name.jpg", "text": "..."} or "caption"
    captions.csv, metadata.csv     columns file_name (or file, id, image) and text (or caption)
"""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from jaxedit.data import rows as rows_of
from jaxedit.data.items import same
from jaxedit.data.rows import Rows
from jaxedit.errors import UserError
from jaxedit.host import json_text

_LINES, _TABLES = "metadata.jsonl", ("captions.csv", "metadata.csv")
_NAMES = ("file_name", "file", "image", "id", "filename")
_TEXTS = ("text", "caption")


def read(root: pathlib.Path, pictures: Sequence[pathlib.Path], names: Sequence[str]) -> Rows:
    """Returns id (see `items.same`) -> {"caption": text}; of several forms, the first above counts.

    Args:
      root: of the folder, where the tables are.
      pictures: the files.
      names: of each what its row is called: its path below the folder of pictures.

    Raises:
      UserError: a file cannot be read; the message names the line.
    """
    found: Rows = {}
    for table in _TABLES:
        found |= _of_csv(root / table)
    found |= _of_lines(root / _LINES)
    for path, name in zip(pictures, names, strict=True):
        text = rows_of.read_text(path.with_suffix(".txt"))
        if " ".join(text.split()):
            found[same(name.replace(os.sep, "/"))] = {"caption": " ".join(text.split())}
    return found


def _of_lines(path: pathlib.Path) -> Rows:
    found: Rows = {}
    for number, line in enumerate(rows_of.read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json_text.loads(line)
            found |= _row(row)
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(f'{path}, line {number}: {error}. Each line must be like {{"file_name":'
                            ' "name.jpg", "text": "..."}.') from error
    return found


def _of_csv(path: pathlib.Path) -> Rows:
    text = rows_of.read_text(path)
    if not text:
        return {}
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = [(name or "").strip() for name in reader.fieldnames or ()]
    if not set(columns) & set(_NAMES) or not set(columns) & set(_TEXTS):
        raise UserError(f"{path} has the columns {', '.join(columns) or 'none'}; it needs "
                        "file_name and text (or caption) in its first line.")
    found: Rows = {}
    for row in reader:
        found |= _row({(key or "").strip(): value for key, value in row.items()})
    return found


def _row(row: dict[str, Any]) -> Rows:
    """Returns {name: {"caption": text}}; {} of a row without a text."""
    name = next((row[key] for key in _NAMES if row.get(key)), None)
    text = next((row[key] for key in _TEXTS if row.get(key)), None)
    if name is None:
        raise ValueError("there is no file_name")
    if text is None:
        return {}
    return {same(str(name).replace(os.sep, "/").removeprefix("images/")): {"caption":
            " ".join(str(text).split())}}
