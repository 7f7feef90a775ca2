"""How much of the old background a cut-out carries to a new one: the composite's error.

    python -m experiments.benchmarks.fringe --count 48

Scenes say the subject's own colours and opacity exactly, so the true composite over another
background is known. The mean absolute error of a cut-out's composite against it, in grey levels of
255, is taken over the trimap's unknown pixels: with the photograph's colours (`--keep-colours`) and
with those that are estimated, as `jaxedit matte` does it; with the true opacity, which leaves the
colours' error alone, and with closed-form matting's. The opacity itself errs by as much as a
composite of the subject's true colours does.
"""

from __future__ import annotations

import argparse

import numpy as np

from jaxedit.apply import cutout
from jaxedit.apply.photograph import Photograph
from jaxedit.data import alpha_matting, sources, trimaps


def errors(record: dict, background: np.ndarray) -> dict[str, float]:
    """Returns what of it -> mean absolute error in the unknown pixels, of 255.

    Args:
      record: of `scenes`.
      background: uint8 (H, W, 3), what the subject is put before.
    """
    unknown = trimaps.from_levels(record["trimap"]) == trimaps.UNKNOWN
    photo, truth = Photograph(record["image"]), record["alpha"].astype(np.float32) / 255
    labels = np.where(unknown, 0.5, record["trimap"] / 255.0)
    solved = np.clip(alpha_matting.closed_form(record["image"] / 255.0, labels), 0, 1)

    def over(alpha: np.ndarray, colours: np.ndarray) -> np.ndarray:
        return cutout.composite(photo, alpha, colours, background).pixels.astype(np.float32)

    wanted = over(truth, record["foreground"])
    found = {}
    for name, alpha in (("true opacity", truth), ("closed-form", solved)):
        for how, colours in (
            ("the photograph's colours", photo.pixels),
            ("estimated colours", cutout.own_colours(photo, alpha)),
            ("true colours", record["foreground"]),
        ):
            error = np.abs(over(alpha, colours) - wanted).mean(axis=-1)
            found[f"{name}, {how}"] = float(error[unknown].mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=48, help="scenes")
    parser.add_argument("--source", default="scenes:256")
    given = parser.parse_args()
    source = sources.create(given.source, "eval")
    rows: dict[str, list[float]] = {}
    kinds: list[str] = []
    for index in range(given.count):
        record, other = source.read(index), source.read((index + 1) % len(source))
        if not {0, 128, 255} <= set(np.unique(record["trimap"])):  # closed form has no beginning
            continue
        kinds.append(record["kind"])
        for name, value in errors(record, other["background"]).items():
            rows.setdefault(name, []).append(value)
    known = sorted(set(kinds))
    print("| |", " | ".join(["all", *known]), "|")
    print("|---" * (len(known) + 2) + "|")
    for name, values in rows.items():
        array, of = np.asarray(values), np.asarray(kinds)
        cells = [array.mean(), *(array[of == kind].mean() for kind in known)]
        print(f"| {name} |", " | ".join(f"{cell:.2f}" for cell in cells), "|")
    print(f"{len(kinds)} scenes of {given.source}; " + ", ".join(
        f"{kind} {kinds.count(kind)}" for kind in known))


if __name__ == "__main__":
    main()
