"""What jaxedit has written itself, so that no command takes it for a photograph.

Sheets, maps, previews and trimaps say so in a text chunk of their PNG; results are photographs like
others, so a folder of them says so by a file in it, where it lies below the photographs that they
were made of.
"""

from __future__ import annotations

import os
import pathlib
import struct

from PIL.PngImagePlugin import PngInfo

from jaxedit.host import atomic

SHEET, MAP, PREVIEW, TRIMAP = "sheet", "map", "preview", "trimap"
FOLDER_MARK = ".jaxedit-results"
_KEYWORD = "jaxedit"  # of the text chunk
_LONGEST = 80  # bytes of such a chunk
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ABOUT = (
    "Results of jaxedit lie in this folder and below it. Commands on a folder above leave them out "
    "while this file is here;\nremove it to have them taken for photographs.\n"
)


def as_side_product(kind: str) -> PngInfo:
    """Returns what Pillow is to write into a PNG, as `pnginfo`, to tell it from photographs."""
    info = PngInfo()
    info.add_text(_KEYWORD, kind)
    return info


def kind_of(path: str | os.PathLike) -> str | None:
    """Returns what a file says that it is beside a result; None of photographs and other files."""
    if not os.fspath(path).lower().endswith(".png"):
        return None
    try:
        with open(path, "rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return None
            while len(head := file.read(8)) == 8:
                length, name = struct.unpack(">I4s", head)
                if name == b"IDAT":
                    return None
                if name == b"tEXt" and length <= _LONGEST:
                    keyword, _, text = file.read(length).partition(b"\0")
                    if keyword == _KEYWORD.encode():
                        return text.decode("latin-1")
                    length = 0
                file.seek(length + 4, os.SEEK_CUR)  # the checksum follows
    except OSError:
        pass  # whoever reads it as a photograph says what is wrong
    return None


def holds_results(folder: str | os.PathLike) -> bool:
    """Whether a folder says that results of jaxedit lie in it, below their photographs."""
    return os.path.isfile(os.path.join(folder, FOLDER_MARK))


def lies_below(output: str | os.PathLike, folder: str | os.PathLike) -> bool:
    """Whether a folder of results lies below a folder of photographs, so that it needs a mark."""
    return pathlib.Path(folder).resolve() in pathlib.Path(output).resolve().parents


def mark_results(folder: pathlib.Path) -> None:
    """Says of a folder, which is there, that results of jaxedit lie in it."""
    if not holds_results(folder):
        atomic.write_text(folder / FOLDER_MARK, _ABOUT)
