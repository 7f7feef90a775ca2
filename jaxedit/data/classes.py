"""What the numbers of label maps mean: names and colours of classes, and which pixels have none.

Sources describe their classes as JSON can hold it, in any of these forms (a folder in its
`classes.json`):

    ["sky", "road", ...]
    {"0": "sky", "1": "road", ...}
    [{"number": 0, "name": "sky", "colour": [70, 130, 180]}, ...]
    {"classes": [...], "ignore_index": 255}

`id` and `color` are understood too, colours may be left out, and `ignore_index` may be a list.
Whatever numbers a file uses, a record's `label` holds places in that list, 0 to count - 1, and
`UNLABELLED` where a pixel has no class.
"""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from jaxedit.data import annotations, images, records
from jaxedit.data.images import MAX_PIXELS, File
from jaxedit.errors import UserError

UNLABELLED = 255
# An 8-bit number each, of which one is taken.
MOST = 255
_EXAMPLE = (
    '{"classes": [{"id": 0, "name": "sky", "color": [70, 130, 180]}, ...], "ignore_index": 255}'
)


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of label maps.

    Attributes:
      names: of each.
      colours: in which each is shown, and by which it is known in colour maps.
      numbers: of each in files.
      ignored: further numbers in files that stand for no class; UNLABELLED always does, unless it
        is one of `numbers`.
      lenient: every other number or colour stands for no class too, instead of being an error.
      other_colours: further colours in colour maps, each with the place of its class.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    numbers: tuple[int, ...]
    ignored: tuple[int, ...] = ()
    lenient: bool = False
    other_colours: tuple[tuple[tuple[int, int, int], int], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MOST:
            raise UserError(f"There are {len(self.names)} classes; it must be 1 to {MOST}.")
        for what, values in (("name", self.names), ("number", self.numbers)):
            repeated = [value for value in values if values.count(value) > 1]
            if repeated:
                raise UserError(f"Two classes have the {what} {repeated[0]!r}.")

    @property
    def count(self) -> int:
        """Returns how many classes there are."""
        return len(self.names)

    def normalise(self, label: np.ndarray, where: str) -> np.ndarray:
        """Returns int32 (H, W) of places in `names`, and UNLABELLED where there is no class.

        Args:
          label: whole numbers (H, W), as they stand in a file.
          where: what messages call it.

        Raises:
          UserError: there are numbers that stand for nothing.
        """
        if label.size == 0:
            raise UserError(f"{where} is a label map without pixels.")
        low, high = int(label.min()), int(label.max())
        known = {UNLABELLED, *self.ignored, *self.numbers}
        if low < 0 or high > 65_535:
            bad = low if low < 0 else high
            raise UserError(f"{where} holds the class number {bad}, which is none.")
        table = np.full(max(high, *known) + 1, UNLABELLED if self.lenient else -1, np.int32)
        table[[UNLABELLED, *self.ignored]] = UNLABELLED
        table[list(self.numbers)] = np.arange(self.count)
        result = table[label]
        if result.min() < 0:
            others = sorted(set(np.unique(label).tolist()) - known)
            shown = ", ".join(map(str, others[:5])) + (", .." if len(others) > 5 else "")
            share = float((result < 0).mean())
            raise UserError(
                f"{where} holds the class numbers {shown} ({share:.1%} of its pixels), but the "
                f"{self.count} classes have the numbers {_ranges(self.numbers)}, and "
                f"{_ranges(sorted({UNLABELLED, *self.ignored} - set(self.numbers)))} mean "
                "unlabelled. Correct it, or describe the classes in classes.json."
            )
        return result

    def read(
        self, file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
    ) -> np.ndarray:
        """Returns the label map in a file, normalised: an index map, or a map of the colours.

        Raises:
          UserError: it cannot be read, or has numbers or colours that stand for nothing.
        """
        where = name or ("a label map in memory" if isinstance(file, bytes) else str(file))
        if records.is_npy(file, name):
            numbers = records.KINDS["label"].read(file, name=name, max_pixels=max_pixels)
            return self.normalise(numbers, where)
        image = images.open_image(file, name=name, max_pixels=max_pixels)
        if image.mode in ("RGB", "RGBA"):
            return self.of_colours(np.asarray(image)[..., :3], where)
        return self.normalise(annotations.label_of(image, where), where)

    def of_colours(self, picture: np.ndarray, where: str) -> np.ndarray:
        """Returns the normalised label map of a colour map, uint8 (H, W, 3); black is no class.

        Raises:
          UserError: there are colours of no class; a picture saved with losses has many.
        """
        code = lambda rgb: (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
        seen, places = np.unique(code(picture.astype(np.int32)), return_inverse=True)
        named = [(rgb, place) for place, rgb in enumerate(self.colours)]
        table = {int(code(np.int32(rgb))): place for rgb, place in (*named, *self.other_colours)}
        table.setdefault(0, UNLABELLED)
        unknown = [value for value in seen.tolist() if value not in table]
        if unknown and not self.lenient:
            rgb = tuple(unknown[0] >> shift & 255 for shift in (16, 8, 0))
            raise UserError(
                f"{where} is not a label map: it holds the colour {rgb} ({len(unknown)} such "
                "colours), which is that of no class. Save it losslessly, as PNG, and give the "
                "classes of classes.json the colours that it uses."
            )
        values = np.int32([table.get(value, UNLABELLED) for value in seen.tolist()])
        return values[places].reshape(picture.shape[:2])

    def paint(self, label: np.ndarray) -> np.ndarray:
        """Returns a normalised label map (..., H, W) in colours, uint8; UNLABELLED is black."""
        table = np.zeros((UNLABELLED + 1, 3), np.uint8)
        table[: self.count] = self.colours
        return table[label]

    def to_png(self, label: np.ndarray) -> Image.Image:
        """Returns a normalised label map (H, W) as a palette image whose indices are classes."""
        image = Image.fromarray(label.astype(np.uint8))  # greyscale, until it has a palette
        table = np.zeros((256, 3), np.uint8)
        table[: self.count] = self.colours
        image.putpalette(table.tobytes())
        return image

    def describe(self) -> dict[str, Any]:
        """Returns what `parse` reads as these classes, as JSON can hold it."""
        rows = zip(self.numbers, self.names, self.colours, strict=True)
        described = {
            "classes": [
                {"number": number, "name": name, "colour": list(colour)}
                for number, name, colour in rows
            ],
            "ignore_index": list(self.ignored),
        }
        if self.lenient:
            described["ignore_others"] = True
        if self.other_colours:
            described["other_colours"] = [[list(rgb), place] for rgb, place in self.other_colours]
        return described


def of_names(names: tuple[str, ...] | list[str], **fields: Any) -> Classes:
    """Returns classes numbered in their order; see `Classes` for the fields."""
    fields.setdefault("colours", tuple(colour(place) for place in range(len(names))))
    fields.setdefault("numbers", tuple(range(len(names))))
    return Classes(tuple(names), **fields)


def colour(place: int) -> tuple[int, int, int]:
    """Returns a colour for the class in that place, unlike those of its neighbours."""
    turn = (place * 0.618034 + 0.05) % 1  # the golden ratio spreads any number of hues
    value, saturation = (0.95, 0.75, 0.55)[place % 3], (0.55, 0.8)[place // 3 % 2]
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(turn, saturation, value))


def parse(description: Any, where: str) -> Classes:
    """Returns the classes that a source describes; `where` is what messages call it.

    Raises:
      UserError: it has none of the forms above.
    """
    ignored, lenient, others = (), False, ()
    try:
        if isinstance(description, Mapping) and "classes" in description:
            ignore = description.get("ignore_index", ())
            ignored = tuple(ignore) if isinstance(ignore, list | tuple) else (ignore,)
            lenient = bool(description.get("ignore_others", False))
            given = description.get("other_colours", ())
            others = tuple((tuple(rgb), place) for rgb, place in given)
            description = description["classes"]
        rows = [_row(number, row) for number, row in _numbered(description)]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{where} describes no classes ({error!r}). Write it as {_EXAMPLE}.") from (
            error
        )
    if not rows or not all(isinstance(number, int) for number in ignored):
        raise UserError(f"{where} describes no classes. Write it as {_EXAMPLE}.")
    rows = sorted(row for row in rows if row[0] not in ignored)
    numbers, names, colours = zip(*rows, strict=True) if rows else ((), (), ())
    try:
        return Classes(
            names,
            tuple(given or colour(place) for place, given in enumerate(colours)),
            numbers,
            ignored,
            lenient,
            others,
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def of_source(source: Any, look: int = 64) -> Classes:
    """Returns the classes of a source; where it describes none, the numbers that it uses.

    Args:
      source: a `Source` of records with `label`.
      look: how many label maps are looked at where nothing is described.

    Raises:
      UserError: it has no label maps, or they are masks.
    """
    if source.classes is not None:
        return parse(source.classes, f"{source.description} (classes)")
    seen: set[int] = set()
    for index in range(min(look, len(source))):
        record = source[index]
        if "label" not in record:
            raise UserError(f"{source.description}: {record['id']} has no label map.")
        seen |= set(np.unique(record["label"]).tolist())
    if seen <= {0, UNLABELLED}:
        raise UserError(
            f"{source.description}: its label maps hold {' and '.join(map(str, sorted(seen)))} "
            "alone, as masks do. If 255 is a class, say so in classes.json: "
            '{"classes": [{"id": 0, "name": "background"}, {"id": 255, "name": "object"}]}.'
        )
    count = max(seen - {UNLABELLED}) + 1
    if count > MOST:
        raise UserError(
            f"{source.description}: its label maps hold numbers up to {count - 1}, and no "
            f"classes.json says which are classes. At most {MOST} can be."
        )
    return of_names([f"class {number}" for number in range(count)])


def _numbered(description: Any) -> list[tuple[Any, Any]]:
    if isinstance(description, Mapping):
        return [(int(number), row) for number, row in description.items()]
    if isinstance(description, str):
        raise TypeError("a text")
    return list(enumerate(description))


def _row(number: int, row: Any) -> tuple[int, str, tuple[int, int, int] | None]:
    """Returns number, name and colour of one class; a colour that is absent is None."""
    if isinstance(row, str):
        return number, row, None
    number = row.get("number", row.get("id", number))
    given = row.get("colour", row.get("color"))
    if given is not None:
        given = tuple(int(part) for part in given)
        if len(given) != 3 or not all(0 <= part <= 255 for part in given):
            raise ValueError(f"the colour {given} of {row['name']!r}")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 65_535:
        raise ValueError(f"the number {number!r} of {row['name']!r}")
    return number, str(row["name"]), given


def _ranges(numbers: Any) -> str:
    """Returns numbers in words: "0 to 10, 12"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts) or "none"
