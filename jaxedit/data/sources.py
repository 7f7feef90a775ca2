"""Sources of records, each named by one string.

`photos`, `scenes`, `portraits`, `folder:PATH`, `array_record:PATH`, `tfds:NAME`: the module of
that name has the details. A plus joins several, `photos+3*folder:PATH`, see `joined.py`;
`held_out:PREFIX:SOURCE` and `half:first:SOURCE` divide another one in their own way, see
`parts.py`.

A record is a dict whose keys are declared, each with a kind (see `records.py`). A source yields
those it has; the usual ones:

| key | value |
|---|---|
| `image` | uint8 (H, W, 3) RGB |
| `mask` | bool (H, W), True = hole |
| `alpha` | uint8 (H, W), 255 = opaque |
| `trimap` | uint8 (H, W) in {0, 128, 255} |
| `foreground` | uint8 (H, W, 3), colours of the subject, also where it is transparent |
| `background` | uint8 (H, W, 3), what is behind the subject |
| `label` | int32 (H, W), class numbers |
| `instance` | int32 (H, W), numbers of single objects |
| `depth` | numbers (H, W), small = near; the source says in what unit; NaN = unknown |
| `caption` | str |
| `class_label` | int, the class of the whole image |
| `attributes` | dict of what is known about the picture, as JSON can hold it |
| `kind` | str, what kind of subject it shows, to group results by |
| `id` | str, unique within the source |
| `index` | int, the record's number; the pipeline adds it |

A source is a random-access sequence, picklable, and the same for the same string, split and
options on every machine. What it yields for `train` and for `eval` never overlaps.
"""

from __future__ import annotations

import abc
import hashlib
import importlib
import json
import logging
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from jaxedit.data import skipped
from jaxedit.errors import UserError
from jaxedit.host.names import check_choice, did_you_mean

Record = dict[str, Any]

SPLITS = ("train", "eval", "all")
# Source name -> the module whose `create(argument, split, **options)` makes it.
_MODULES = {
    "photos": "jaxedit.data.photos",
    "scenes": "jaxedit.scenes.source",
    "portraits": "jaxedit.scenes.portraits",
    "folder": "jaxedit.data.folder",
    "array_record": "jaxedit.data.array_record",
    "tfds": "jaxedit.data.tfds",
    "half": "jaxedit.data.parts",
    "held_out": "jaxedit.data.parts",
}
_NEEDS_ARGUMENT = {
    "folder": "folder:PATH",
    "array_record": "array_record:PATH",
    "tfds": "tfds:NAME",
    "half": "half:first:SOURCE",
    "held_out": "held_out:PREFIX:SOURCE",
}
# These hand their options on to the source that they divide.
_DIVIDES = ("half", "held_out")
_TAKES_ARGUMENT = {"scenes": "scenes:SIZE", "portraits": "portraits:SIZE", **_NEEDS_ARGUMENT}
# Begins a source too; a run turns it into what the artefact is before anything is opened.
ARTIFACT = "artifact"
_FORMS = (
    "photos", "scenes", "scenes:SIZE", "scenes:several:SIZE", "scenes:world:SIZE",
    "scenes:edits:SIZE", "folder:PATH", "array_record:PATH", "tfds:NAME", "half:first:SOURCE",
    "half:second:SOURCE",
    "held_out:PREFIX:SOURCE", f"in a run {ARTIFACT}:STAGE",
    "and several joined by plus signs, such as photos+2*folder:PATH",
)
_log = logging.getLogger(__name__)


class BadRecord(UserError):
    """One record cannot be read; the others may be fine."""


class EmptySplit(UserError):
    """The source has records, but none for this split."""


def combined(*words: str) -> str:
    """Returns a digest of words in their order."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


class Source(abc.ABC):
    """A random-access sequence of records that survives single bad ones.

    A record that cannot be read is named once in the log, counted, and replaced by the next one
    that can: always the same one, so that training stays reproducible. Evaluation calls `read`
    and leaves the record out instead.

    Attributes:
      description: the source in words, for messages.
      max_bad_share: the largest share of bad records that is put up with; one always is.
    """

    def __init__(self, description: str, max_bad_share: float = 0.1):
        self.description = description
        self.max_bad_share = max_bad_share
        self._bad: dict[str, str] = {}
        self._lock = threading.Lock()

    def fingerprint(self) -> str:
        """Returns what tells apart sources whose records differ, without reading the records."""
        return combined(self.description, str(len(self)))

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of records, including those that turn out bad."""

    @abc.abstractmethod
    def _read(self, index: int) -> Record:
        """Returns record `index`; any failure that is the record's own is a `UserError`."""

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """Returns what to call record `index` in messages and reports."""

    @property
    def classes(self) -> Any:
        """Returns the description of the classes that `label` numbers, or None."""
        return None

    def read(self, index: int) -> Record:
        """Returns record `index`.

        Raises:
          BadRecord: it cannot be read; it has been counted.
          UserError: too many records are bad.
        """
        index = range(len(self))[index]
        try:
            return self._read(index)
        except UserError as error:
            skipped.note(self.description, self.name(index), str(error))
            self.count_bad(self.name(index), str(error))
            raise BadRecord(str(error)) from error

    def __getitem__(self, index: int) -> Record:
        index = range(len(self))[index]
        for step in range(len(self)):
            try:
                return self.read((index + step) % len(self))
            except BadRecord:
                continue
        raise UserError(f"{self.description}: not one record can be read.")

    @property
    def skipped(self) -> dict[str, str]:
        """Returns name -> reason for the records found bad so far in this process."""
        return dict(self._bad)

    def count_bad(self, name: str, reason: str, quiet: bool = False) -> None:
        """Notes one bad record; raises UserError where there are more than `max_bad_share`."""
        with self._lock:
            if name in self._bad:
                return
            self._bad[name] = reason
            count = len(self._bad)
        if not quiet:
            _log.warning("skipped: %s", reason)
        if count > max(1, self.max_bad_share * self.listed):
            first = "; ".join(list(self._bad.values())[:3])
            raise UserError(
                f"{self.description}: {count} of {self.listed} records cannot be read, more than "
                f"the {self.max_bad_share:.0%} put up with (max_bad_share). Repair or remove them. "
                f"The first: {first}"
            )

    @property
    def listed(self) -> int:
        """Returns the number of records that `max_bad_share` is a share of."""
        return len(self)

    def report(self, bad: Mapping[str, str] | None = None) -> str | None:
        """Returns a line on the records skipped, for the end of a run; None where there are none.

        Args:
          bad: name -> reason; by default those found in this process.
        """
        bad = self.skipped if bad is None else bad
        if not bad:
            return None
        names = ", ".join(list(bad)[:10]) + (", ..." if len(bad) > 10 else "")
        return f"{self.description}: skipped {len(bad)} of {self.listed} records: {names}"

    def __getstate__(self) -> dict:
        state = dict(self.__dict__, _bad=self.skipped)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def create(source: str, split: str | Callable[[str], str], **options: Any) -> Source:
    """Returns the source that `source` names.

    Args:
      source: `photos`, `scenes`, `scenes:SIZE`, `scenes:several:SIZE`, `scenes:world:SIZE`,
        `scenes:edits:SIZE`, `portraits:SIZE`, `folder:PATH`, `array_record:PATH`, `tfds:NAME`,
        `tfds:NAME:SPLIT`, `half:first:SOURCE`, `half:second:SOURCE` or `held_out:PREFIX:SOURCE`,
        or several joined, see `joined.py`.
      split: `train`, `eval` (never seen in training), or `all` for both; or a function from the
        name of a source to its split. Of joined sources, those without records for `eval` are
        left out.
      **options: of that source; see its module. A callable (name, split) -> value is asked when a
        source is opened.

    Raises:
      UserError: unknown name, split or option; nothing to read there.
    """
    from jaxedit.data import joined

    found = parts(source)
    if len(found) == 1 and found[0].times == 1:
        name = found[0].name
        return _create(name, split(name) if callable(split) else split, **options)
    opened = {}
    for part in found:
        own = split(part.name) if callable(split) else split
        try:
            opened[part.name] = _create(part.name, own, **options), part.times
        except EmptySplit as error:
            if own != "eval":
                raise
            nothing = error
            _log.warning("%s is left out: %s", part.name, error)
    if not opened:
        raise nothing
    # What is repeated is repeated for training; figures are of every record once.
    if split != "train":
        opened = {name: (one, 1) for name, (one, _) in opened.items()}
    return joined.JoinedSource(opened)


def parts(source: str) -> list:
    """Returns the `joined.Part`s that `source` joins; a single one where it joins none."""
    from jaxedit.data import joined

    return joined.parts(source, (*_MODULES, ARTIFACT))


def place(source: str) -> str:
    """Returns what `source` names with all its paths absolute: the same wherever it is asked."""
    from jaxedit.data import joined

    return "+".join(
        str(joined.Part(joined.place(part.name), part.times)) for part in parts(source)
    )


def _create(source: str, split: str, **options: Any) -> Source:
    name, separator, argument = source.partition(":")
    if name == ARTIFACT:
        raise UserError(
            f"{source} is what an earlier stage of a run has built, and is known in that run only. "
            "Elsewhere name the folder that it lies in, RUN/artifacts/STAGE, as folder:PATH or "
            "array_record:PATH."
        )
    if name not in _MODULES:
        name = name.rpartition("+")[2]
        raise UserError(
            f"Unknown data source {name + separator + argument!r}. Known: {', '.join(_FORMS)}."
            + did_you_mean(name, (*_MODULES, ARTIFACT))
        )
    check_choice(f"{source}: split", split, SPLITS)
    if not argument and (separator or name in _NEEDS_ARGUMENT) and name in _TAKES_ARGUMENT:
        raise UserError(f"Data source {source!r} is incomplete; write {_TAKES_ARGUMENT[name]}.")
    if name not in _TAKES_ARGUMENT and separator:
        raise UserError(f"Data source {name!r} takes no argument, but got {source!r}.")
    module = importlib.import_module(_MODULES[name])
    if name in _DIVIDES:
        return getattr(module, name)(argument, split, **options)
    unknown = sorted(set(options) - set(module.OPTIONS))
    if unknown:
        known = ", ".join(module.OPTIONS) or "none"
        raise UserError(f"Data source {name} has no option {unknown[0]!r}. Its options: {known}.")
    options = {
        key: value(source, split) if callable(value) else value for key, value in options.items()
    }
    return module.create(argument, split, **options)


class Opened:
    """A source that is opened when it is first used, in whichever process that is.

    For a transform that draws from further sources than the one whose records it is given: its
    attribute `sources`, a dict of these by configuration key, has the loop open them at the start
    and report at the end what was skipped in them.

    Args:
      name: what the source is called, as for `create`.
      split: `train`, `eval` or `all`.
      **options: of that source, as for `create`.
    """

    def __init__(self, name: str, split: str, **options: Any):
        self.name, self.split, self.options = name, split, options
        self._source: Source | None = None
        self._lock = threading.Lock()

    @property
    def source(self) -> Source:
        """Returns the source. Raises UserError where it cannot be opened."""
        with self._lock:
            if self._source is None:
                self._source = create(self.name, self.split, **self.options)
            return self._source

    def __getstate__(self) -> dict:
        return {"name": self.name, "split": self.split, "options": self.options}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["name"], state["split"], **state["options"])


def open_all(owner: Any) -> list[Source]:
    """Returns the further sources of a transform or a method, opened; see `Opened`.

    Raises:
      UserError: one cannot be opened; the message begins with its configuration key.
    """
    found = []
    for key, opened in getattr(owner, "sources", {}).items():
        try:
            found.append(opened.source)
        except UserError as error:
            raise UserError(f"{key}={opened.name}: {error}") from error
    return found


def hashed_share(key: str) -> float:
    """Returns a number in [0, 1) that depends on `key` alone, the same on every machine."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def split_by_hash(keys: list[str], split: str, holdout: float) -> list[int]:
    """Returns the positions of `keys` that belong to `split`, ordered by hash.

    About a share `holdout` of the keys is kept for `eval`. The same key always falls on the same
    side (keys that are equal stay together), and with two or more different keys neither side is
    empty. The order by hash makes every prefix a random sample.

    Raises:
      ValueError: `holdout` is not between 0 and 1 (both excluded), or `split` is unknown.
    """
    if not 0 < holdout < 1:
        raise ValueError(f"holdout must lie between 0 and 1, got {holdout}")
    shares = [hashed_share(key) for key in keys]
    order = sorted(range(len(keys)), key=lambda position: (shares[position], keys[position]))
    if split == "all" or not keys:
        return order
    lowest, highest = shares[order[0]], shares[order[-1]]
    # At least the lowest is held out, and at least the highest is not.
    limit = min(max(holdout, math.nextafter(lowest, 1)), highest)
    if split == "eval":
        return [position for position in order if shares[position] < limit]
    if split == "train":
        return [position for position in order if shares[position] >= limit]
    raise ValueError(f"unknown split {split!r}")
