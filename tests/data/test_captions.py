"""Captions in the forms of other tools: text files, metadata.jsonl, CSV."""

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import sources
from jaxedit.errors import UserError


def pictures(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)
    return folder


def told(folder):
    source = sources.create(f"folder:{folder}", "all")
    return {record["id"]: record.get("caption") for record in source}


def test_text_files_beside_the_pictures(tmp_path):
    pictures(tmp_path, "a.png", "b.jpg", "c.png")
    (tmp_path / "a.txt").write_text("A red\n mug. \n")
    (tmp_path / "c.txt").write_text(" \n")
    assert told(tmp_path) == {"a": "A red mug.", "b": None, "c": None}


def test_metadata_lines_and_tables_and_which_counts(tmp_path):
    pictures(tmp_path, "images/a.png", "images/in/b.png", "images/c.png", "images/d.png")
    (tmp_path / "metadata.csv").write_text('file_name,text\na.png,csv a\nin/b.png,"csv, b"\nd,\n')
    assert told(tmp_path) == {"a": "csv a", "in/b": "csv, b", "c": None, "d": None}
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "images/a.png", "text": "line a"}\n\n{"file_name": "c.png", "caption": "c"}'
    )
    assert told(tmp_path) == {"a": "line a", "in/b": "csv, b", "c": "c", "d": None}
    (tmp_path / "images" / "c.txt").write_text("text c")
    (tmp_path / "captions.jsonl").write_text('{"id": "a", "caption": "own a"}\n')
    assert told(tmp_path) == {"a": "own a", "in/b": "csv, b", "c": "text c", "d": None}


@pytest.mark.parametrize(("name", "text", "words"), [
    ("metadata.jsonl", '{"text": "x"}', "line 1: there is no file_name"),
    ("metadata.jsonl", '\n{"file_name"', "line 2"),
    ("metadata.jsonl", "[1]", "line 1"),
    ("captions.csv", "name,words\na,b\n", "has the columns name, words; it needs file_name"),
])
def test_what_cannot_be_read_is_named(tmp_path, name, text, words):
    pictures(tmp_path, "a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        told(tmp_path)


def test_lines_that_name_the_file_instead_of_an_id(tmp_path):
    pictures(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    (tmp_path / "captions.jsonl").write_text(
        '{"file": "images/a.png", "caption": "one"}\n{"file_name": "b.png", "caption": "two"}\n'
        '{"id": "c", "file": "x.png", "caption": "three"}\n'
    )
    assert told(tmp_path) == {"a": "one", "b": "two", "c": "three"}
