"""A person's own before/after pairs, as a list of files: JSON lines or CSV.

    {"source": "a.jpg", "target": "b.jpg", "edit_prompt": "a blue mug", "caption": "a red mug"}

Paths count from the list's folder. Optional are `caption`, `id`, `removed` and `added` (the changed
words; by default what caption and prompt differ in), `mask_source` and `mask_target` (pictures,
white where something changed; by default the segmenter's).
"""

from __future__ import annotations

import csv
import io
import json
import pathlib
from typing import Any

from jaxedit.data import images, rows
from jaxedit.data.sources import Record, Source, combined
from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.names import did_you_mean

_NEEDED = ("source", "target", "edit_prompt")
_KEYS = (*_NEEDED, "caption", "id", "removed", "added", "mask_source", "mask_target")


class GivenPairs(Source):
    """Records with `image`, `target`, `edit_prompt` and what else the list says.

    Args:
      path: of the list, .jsonl or .csv.

    Raises:
      UserError: there is no such list, or a line of it cannot be used.
    """

    def __init__(self, path: pathlib.Path):
        super().__init__(f"pairs of {path}")
        if not path.is_file():
            raise UserError(f"The list of pairs {path} does not exist. {_advice()}")
        self._path, text = path, rows.read_text(path)
        read = _csv if path.suffix.lower() == ".csv" else _json_lines
        self._rows = [_checked(row, f"{path}, line {number}") for number, row in read(path, text)]
        if not self._rows:
            raise UserError(f"The list of pairs {path} is empty. {_advice()}")
        names = [self.name(index) for index in range(len(self))]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{path}: two pairs have the id {twice!r}. Give each its own.")

    def fingerprint(self) -> str:
        return combined(super().fingerprint(), json.dumps(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, index: int) -> str:
        row = self._rows[index]
        return row.get("id") or f"{pathlib.Path(row['source']).stem}-{index:06}"

    def _read(self, index: int) -> Record:
        row, folder = self._rows[index], self._path.parent
        record: Record = {"id": self.name(index)}
        record["image"] = images.read_image(folder / row["source"])
        record["target"] = images.read_image(folder / row["target"])
        for key, image in (("mask_source", "image"), ("mask_target", "target")):
            if row.get(key):
                record[key] = images.read_mask(folder / row[key])
                if record[key].shape != record[image].shape[:2]:
                    raise UserError(f"{folder / row[key]} has another size than its picture.")
        told = ("edit_prompt", "caption", "removed", "added")
        return record | {key: row[key] for key in told if row.get(key) is not None}


def _json_lines(path: pathlib.Path, text: str):
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json_text.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error}). {_advice()}") from error
        yield number, row


def _csv(path: pathlib.Path, text: str):
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        yield from _csv_rows(path, reader)
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num + 1}: no CSV ({error}). {_advice()}"
        ) from error


def _csv_rows(path: pathlib.Path, reader: csv.DictReader):
    names = [(name or "").strip() for name in reader.fieldnames or ()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path}, line 1: names {twice[0]!r} twice. {_advice()}")
    for row in reader:
        if None in row:
            raise UserError(
                f"{path}, line {reader.line_num}: has more cells than the first line has names; a "
                f"text with a comma stands in double quotes. {_advice()}"
            )
        yield reader.line_num, {
            (key or "").strip(): value.strip() for key, value in row.items()
            if isinstance(value, str) and value.strip()
        }


def _checked(row: Any, where: str) -> dict[str, str]:
    if not isinstance(row, dict):
        raise UserError(f"{where}: is no object. {_advice()}")
    row = {key: value for key, value in row.items() if value is not None}
    for key, value in row.items():
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key {key!r}.{did_you_mean(key, _KEYS)} {_advice()}")
        if not isinstance(value, str):
            raise UserError(f"{where}: {key!r} is {value!r}, no text. {_advice()}")
    for key in _NEEDED:
        if not row.get(key, "").strip():
            raise UserError(f"{where}: has no {key!r}. {_advice()}")
    return row


def _advice() -> str:
    return ('Each line is like {"source": "a.jpg", "target": "b.jpg", "edit_prompt": "a blue mug", '
            '"caption": "a red mug"}; in CSV the first line holds those names.')
