"""Blind pairwise comparison by people: a page to judge on, and the tally of the answers.

`write_sheet` makes one self-contained page that shows two systems' pictures for the same input side
by side, in an order and on sides that a seed decides, and asks which is better (a two-alternative
forced choice, the protocol of most user studies in image synthesis). The page does not know the
systems' names: they are in a key file beside it, which the judges are not given. Answers are saved
by the page as a file, and `tally` turns them into each pair's share of preferences with a
confidence interval.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import pathlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from scipy import stats

from jaxedit.apply import photo_folders
from jaxedit.data import images
from jaxedit.errors import UserError
from jaxedit.host import atomic, json_text
from jaxedit.report.filling import address_of, filled

_RESAMPLINGS = 10_000
_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Preference:
    """How often judges preferred one system to another.

    Attributes:
      first: a system.
      second: the other one.
      wins: judgements in favour of `first`.
      judgements: in all.
      pictures: different inputs that were judged.
      interval: of the share `wins / judgements`, at 95 %, from resampling the inputs: several
        judgements of one input are not independent of one another. Where all judgements agree,
        resampling says nothing, and it is Clopper and Pearson's over the inputs.
      p_value: of the share's being a half: the exact two-sided binomial test over the inputs on
        which a majority decided for one of the two.
    """

    first: str
    second: str
    wins: int
    judgements: int
    pictures: int
    interval: tuple[float, float]
    p_value: float

    @property
    def share(self) -> float:
        """The share of judgements in favour of `first`, in [0, 1]."""
        return self.wins / self.judgements


def write_sheet(
    systems: Mapping[str, pathlib.Path],
    output: pathlib.Path,
    *,
    reference: pathlib.Path | None = None,
    question: str = "Which picture looks more realistic?",
    count: int = 0,
    seed: int = 0,
) -> tuple[pathlib.Path, int]:
    """Writes the page and, beside it, its key; returns the key's path and the number of questions.

    Args:
      systems: two or more names -> folder of pictures. Pictures of the same file name (without
        suffix) belong together; every two systems are compared on each.
      output: the page, `.html`. The key is `<its name>.key.json`.
      reference: a folder with what both were made from (a label map, a photograph with its hole),
        shown above each pair; None shows nothing.
      question: what the judges are asked.
      count: questions in all, drawn at random; 0 takes every pair of every picture.
      seed: of the order and the sides.

    Raises:
      UserError: fewer than two systems, pictures without a counterpart, or unreadable files.
    """
    if len(systems) < 2:
        raise UserError("A comparison needs two systems or more, each as NAME=FOLDER.")
    files = {name: _pictures(folder) for name, folder in systems.items()}
    stems = _common(files)
    shown = _pictures(reference) if reference else {}
    if lacking := [stem for stem in stems if reference and stem not in shown]:
        raise UserError(f"{reference} has no picture {lacking[0]!r}, which the systems have.")
    generator = random.Random(seed)
    questions = [
        generator.sample(pair, 2) + [stem]
        for pair in itertools.combinations(systems, 2)
        for stem in stems
    ]
    generator.shuffle(questions)
    questions = questions[: count or None]
    key, pairs, pictures = {}, [], {}
    for left, right, stem in questions:
        name = f"{generator.getrandbits(48):012x}"
        key[name] = {"left": left, "right": right, "picture": stem}
        paths = {
            "left": files[left][stem], "right": files[right][stem], "reference": shown.get(stem)
        }
        numbers = {
            role: pictures.setdefault(path, len(pictures)) for role, path in paths.items() if path
        }
        pairs.append({"id": name, **numbers})
    embedded = [_embedded(path) for path in pictures]
    shown_digest = hashlib.sha256("".join(embedded).encode()).hexdigest()
    sheet = _digest(key, shown_digest)
    page = filled(
        "preference.html", title=question, sheet=sheet, pairs=pairs, pictures=embedded
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    where = key_of(output)
    content = {
        "sheet": sheet, "pictures": shown_digest, "question": question, "seed": seed,
        "questions": key,
    }
    # A page without its key is made again; a key without its page could replace another's.
    atomic.write_text(output, page)
    atomic.write_text(where, json.dumps(content, indent=1) + "\n")
    return where, len(questions)


def key_of(page: pathlib.Path) -> pathlib.Path:
    """Returns where the key of a page stands."""
    return page.with_name(page.stem + ".key.json")


def tally(key: pathlib.Path, answers: Sequence[pathlib.Path]) -> list[Preference]:
    """Returns what the answers say of each pair of systems.

    Args:
      key: the key file that `write_sheet` wrote.
      answers: files that the page saved, one per judge.

    Raises:
      UserError: a file cannot be read, is of another sheet or was given twice, or there is no
        answer in them.
    """
    known = _read(key, ("sheet", "pictures", "questions"))
    if known["sheet"] != _digest(known["questions"], known["pictures"]):
        raise UserError(
            f"{key} is not the key as it was written: its questions do not have the digest of its "
            "sheet. Put it back from a copy; votes counted by it would go to the wrong systems."
        )
    votes: dict[tuple[str, str], dict[str, list[bool]]] = {}
    seen: dict[str, pathlib.Path] = {}
    for path in answers:
        given = _read(path, ("sheet", "session", "answers"))
        if given["sheet"] != known["sheet"]:
            raise UserError(f"{path} answers another sheet than that of {key}.")
        if given["session"] in seen:
            raise UserError(f"{path} holds the same answers as {seen[given['session']]}. Give "
                            "each judge's last file once.")
        seen[given["session"]] = path
        for name, side in given["answers"].items():
            question = known["questions"].get(name)
            if question is None or side not in ("left", "right"):
                raise UserError(f"{path}: the answer {name!r}: {side!r} is none of this sheet.")
            first, second = sorted((question["left"], question["right"]))
            of_pair = votes.setdefault((first, second), {})
            of_pair.setdefault(question["picture"], []).append(question[side] == first)
    if not votes:
        raise UserError("No question has been answered in these files.")
    return [_preference(*pair, by_picture) for pair, by_picture in sorted(votes.items())]


def as_text(preferences: Sequence[Preference]) -> str:
    """Returns the tally as a Markdown table."""
    lines = [
        "| preferred | over | share | 95 % interval | judgements | pictures | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for found in preferences:
        low, high = found.interval
        lines.append(
            f"| {found.first} | {found.second} | {found.share:.1%} | {low:.1%} to {high:.1%} "
            f"| {found.judgements} | {found.pictures} | {found.p_value:.3g} |"
        )
    return "\n".join(lines)


def _digest(questions: Mapping[str, Mapping[str, str]], pictures: str) -> str:
    """Returns what tells a sheet's questions and pictures from those of any other."""
    text = json.dumps([questions, pictures], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _preference(first: str, second: str, by_picture: Mapping[str, list[bool]]) -> Preference:
    wins = np.array([sum(votes) for votes in by_picture.values()])
    counts = np.array([len(votes) for votes in by_picture.values()])
    majorities = Counter(np.sign(2 * wins - counts).tolist())
    decided = majorities[1] + majorities[-1]
    if wins.sum() in (0, counts.sum()):
        exact = stats.binomtest(len(counts) if wins.sum() else 0, len(counts))
        interval = tuple(exact.proportion_ci(_LEVEL))
    else:
        drawn = np.random.default_rng(0).integers(len(counts), size=(_RESAMPLINGS, len(counts)))
        shares = wins[drawn].sum(1) / counts[drawn].sum(1)
        interval = tuple(np.quantile(shares, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)).tolist())
    return Preference(
        first, second, int(wins.sum()), int(counts.sum()), len(counts), interval,
        float(stats.binomtest(majorities[1], decided).pvalue) if decided else 1.0,
    )


def _pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of pictures.")
    return photo_folders.pictures_by_stem(folder)


def _common(files: Mapping[str, Mapping[str, pathlib.Path]]) -> list[str]:
    everything = set().union(*files.values())
    for name, found in files.items():
        if lacking := sorted(everything - set(found)):
            raise UserError(
                f"{name} lacks {len(lacking)} picture(s) that another system has, {lacking[0]!r} "
                "first. Systems are compared on the same pictures: give the others of these away "
                "or make the missing ones."
            )
    return sorted(everything)


def _embedded(path: pathlib.Path) -> str:
    """Returns a picture as a PNG in a data address: no metadata that could name its system."""
    return address_of(Image.fromarray(images.read_image(path)))


def _read(path: pathlib.Path, fields: Sequence[str]) -> dict[str, Any]:
    try:
        content = json_text.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON file: {error}.") from error
    types = {"pictures": str, "sheet": str, "session": str, "answers": dict, "questions": dict}
    if not isinstance(content, dict) or not all(
        isinstance(content.get(field), types[field]) for field in fields
    ):
        raise UserError(f"{path} is not of a comparison sheet: it lacks {', '.join(fields)}.")
    return content
