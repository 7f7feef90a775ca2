"""Picture grids: one titled column per kind of image, one row per sample.

Host side only. Images are uint8 arrays (N, H, W, 3) or (N, H, W, 1); nothing is resampled except by
whole factors, so a pixel of the grid is a pixel of an image.
"""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxedit.host.atomic import atomic_file

_GAP = 6
_PAPER = (255, 255, 255)
_INK = (40, 44, 52)
_SMALLEST = 192  # images with a shorter side are enlarged by a whole factor
_MOST_STEPS = 16  # pictures of the course of a run that are kept


def grid(
    columns: Mapping[str, Sequence[np.ndarray]],
    labels: Sequence[str] = (),
    limit: int = 8,
) -> np.ndarray:
    """Returns one uint8 picture (H, W, 3) that shows the columns side by side.

    Args:
      columns: column title -> N uint8 images (H, W, 3) or (H, W, 1), a list or an array; sizes may
        differ, N may not.
      labels: one line of text per row, written under it; may be empty.
      limit: at most this many rows are shown.

    Raises:
      ValueError: there is no column, or the columns have different numbers of images.
    """
    counts = {title: len(images) for title, images in columns.items()}
    if not counts or min(counts.values()) == 0:
        raise ValueError("A picture grid needs at least one column with at least one image")
    if len(set(counts.values())) > 1:
        raise ValueError(f"The columns of a picture grid differ in length: {counts}")
    rows = min(limit, next(iter(counts.values())))
    cells = {
        title: [_cell(image, title) for image in images[:rows]]
        for title, images in columns.items()
    }
    font = _font(14)
    heights = [max(column[row].height for column in cells.values()) for row in range(rows)]
    widths = [
        max(*(image.width for image in column), _text_width(title, font))
        for title, column in cells.items()
    ]
    line = 20
    foot = line if labels else 0
    width = sum(widths) + _GAP * (len(widths) + 1)
    height = _GAP + line + sum(heights) + (foot + _GAP) * rows
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    x = _GAP
    for (title, column), column_width in zip(cells.items(), widths, strict=True):
        draw.text((x, _GAP), title, fill=_INK, font=font)
        y = _GAP + line
        for image, row_height in zip(column, heights, strict=True):
            sheet.paste(image, (x, y))
            y += row_height + foot + _GAP
        x += column_width + _GAP
    y = _GAP + line
    for label, row_height in zip(labels, heights, strict=False):
        draw.text((_GAP, y + row_height + 1), label, fill=_INK, font=font)
        y += row_height + foot + _GAP
    return np.asarray(sheet)


def write(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a uint8 picture (H, W, 3) as PNG, whole or not at all; folders are made as needed."""
    _write_bytes(pathlib.Path(path), _png(picture))


def record(folder: pathlib.Path, name: str, step: int, picture: np.ndarray) -> None:
    """Writes a picture as the newest of its name, and keeps some of the earlier ones beside it.

    `<name>.png` is always the newest; `<name>/<step>.png` are pictures of the course of a run, the
    newest among them, at most `_MOST_STEPS` + 1. Which ones stay depends on the steps alone, so a
    run that was killed and resumed ends with the same files as one that never stopped.

    Args:
      folder: where the pictures of a run lie.
      name: file name without suffix.
      step: the training step.
      picture: uint8 (H, W, 3).
    """
    data = _png(picture)
    _write_bytes(folder / f"{name}.png", data)
    _write_bytes(folder / name / f"{step:08d}.png", data)
    found = history(folder, name)
    # Later steps than this one are of a part of the run that a resumption does again.
    stay = kept([other for other in found if other <= step])
    for other, path in found.items():
        if other not in stay:
            path.unlink(missing_ok=True)


def history(folder: pathlib.Path, name: str) -> dict[int, pathlib.Path]:
    """Returns step -> file of the pictures of a name that `record` kept, by step."""
    files = {int(f.stem): f for f in (folder / name).glob("*.png") if f.stem.isdecimal()}
    return dict(sorted(files.items()))


def kept(steps: Sequence[int], limit: int = _MOST_STEPS) -> set[int]:
    """Returns which of `steps` stay: the newest, and the first of each of `limit` equal spans.

    A span is a power of two, doubled as the run goes on. Two spans make the next larger one, and
    its first step is the first of one of them: what was given up earlier would not stay later.
    """
    newest, span = max(steps), 1
    while newest // span >= limit:
        span *= 2
    first: dict[int, int] = {}
    for step in sorted(steps):
        first.setdefault(step // span, step)
    return {newest, *first.values()}


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture, np.uint8)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _write_bytes(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def _cell(image: np.ndarray, title: str) -> Image.Image:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(
            f"Column {title!r} of a picture grid holds {image.dtype} {image.shape}; "
            "expected uint8 (H, W, 3) or (H, W, 1)"
        )
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    factor = max(1, -(-_SMALLEST // min(image.shape[:2])))
    return Image.fromarray(np.ascontiguousarray(image.repeat(factor, 0).repeat(factor, 1)))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _text_width(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    left, _, right, _ = font.getbbox(text)
    return int(np.ceil(right - left)) + 2
