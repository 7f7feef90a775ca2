"""Lines about pictures as people's tools write them, and folders as people name them."""

import logging
import unicodedata

import pytest

from jaxedit.data import folder
from jaxedit.errors import UserError
from tests.data import folders


def captions(root, content):
    (root / "captions.jsonl").write_bytes(content)
    return [item.told.get("caption") for item in folder.FolderSource(root, "all").items]


def line(number, caption, end="\n"):
    return f'{{"id": {number}, "caption": {caption}}}{end}'


@pytest.mark.parametrize(("text", "first"), [
    ("\ufeff" + line('"000"', '"one"'), "one"),
    (line('"000"', '"one"', "\r\n") + "\r\n", "one"),
    *((line('"000"', f'"one{mark}line"'), f"one{mark}line") for mark in "\u2028\u2029\u0085"),
    (line('"000"', "null"), None),
    (line('"000.png"', "7"), "7"),
])
def test_captions_of_peoples_tools(tmp_path, text, first):
    root = folders.write(tmp_path, 2)
    rest = line('"001"', '"two"')
    assert set(captions(root, (text + rest).encode())) == {first, "two"}
    assert set(captions(root, (text + rest).encode("utf-16"))) == {first, "two"}


@pytest.mark.parametrize(("value", "words"), [
    ('["one", "uno"]', "text is expected"), ('"\\ud83d"', "lone surrogate"),
    ("[" * 100_000, "line 1"),
])
def test_what_is_no_text_is_named(tmp_path, value, words):
    with pytest.raises(UserError, match=words):
        captions(folders.write(tmp_path, 2), line('"000"', value).encode())


def test_what_was_not_paired_is_said(tmp_path, caplog):
    root = folders.write(tmp_path, 2)
    with caplog.at_level(logging.WARNING):
        text = line(0, '"of none"') + line('"001"', '"one"') + line('"001"', '"again"')
        assert set(captions(root, text.encode())) == {None, "again"}
        folders.write(root, 2, below="masks")
        folders.write(root, 1, below="masks", suffix="bmp")
        (root / "masks" / "001.png").rename(root / "masks" / "001_mask.png")
        folder.FolderSource(root, "all")
    said = " ".join(caplog.messages)
    assert "1 of 2 ids name no picture, the first is '0'" in said
    assert "'001' stands in an earlier line" in said and "000.bmp is not looked at" in said
    assert "masks: 1 of 2 files belong to no picture" in said and "001_mask.png" in said


def test_names_pair_as_a_person_would_pair_them(tmp_path):
    root = folders.write(tmp_path / "a", 2, below="Images")
    folders.write(root, 2, below="Masks")
    (root / "Images" / "000.png").rename(root / "Images" / unicodedata.normalize("NFD", "\xe9.png"))
    (root / "Masks" / "000.png").rename(root / "Masks" / unicodedata.normalize("NFC", "\xe9.png"))
    items = folder.FolderSource(root, "all").items
    assert len(items) == 2 and all("mask" in item.files for item in items)
    # Links are followed, but not in a circle.
    linked = folders.write(tmp_path / "b", 1)
    (linked / "images" / "more").symlink_to(root / "Images")
    (linked / "images" / "circle").symlink_to(linked)
    assert len(folder.FolderSource(linked, "all")) == 3
