"""Benchmark of looking up donors: the searches of SIMS against a plain NumPy loop.

    python -m experiments.benchmarks.retrieval --source=folder:LAYOUTS

The bank holds segments of the source's label maps, resampled (cropped, scaled, flipped at random)
until there are enough. Queries are the large segments of label maps that the bank has not seen. The
loop compares whole frames, masks and one-hot contexts, as the formula stands; it has them ready in
memory, reading and unpacking are not counted. It is timed on `--pairs` pairs drawn from those it
would have to compare, and extrapolated to all of them. Answers are compared with those of scoring
every segment of the class. Ratios are of processor time, which suffers less from whatever else is
running; of matrix products, which use all cores, too. One JSON line is appended to `--output`.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from experiments.benchmarks import timing
from jaxedit.data import classes as classes_lib
from jaxedit.data import sources
from jaxedit.host import manifests
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims import bank_building, retrieval, segments
from jaxedit.methods.sims.bank import Bank
from jaxedit.methods.sims.retrieval import Query, Searcher
from jaxedit.run import writer

_QUERY_SHARE = 0.1  # of the label maps, the last ones


class Resampled(sources.Source):
    """Label maps cropped, scaled and flipped at random; the picture is grey."""

    def __init__(self, layouts: Sequence[np.ndarray], count: int, size: tuple[int, int]):
        super().__init__("resampled layouts")
        self.layouts, self.count, self.size = layouts, count, size

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return str(index)

    def _read(self, index: int) -> dict:
        rng = np.random.default_rng(index)
        layout = self.layouts[index % len(self.layouts)]
        height, width = (int(side * rng.uniform(0.6, 1)) for side in layout.shape)
        top = rng.integers(layout.shape[0] - height + 1)
        left = rng.integers(layout.shape[1] - width + 1)
        label = layout[top : top + height, left : left + width]
        label = bank_building.nearest(label[:, :: rng.choice([-1, 1])], self.size)
        return {"id": str(index), "label": label, "image": np.full((*self.size, 3), 128, np.uint8)}


def make_bank(
    layouts: Sequence[np.ndarray], count: int, settings: bank_building.Settings,
    folder: pathlib.Path,
) -> Bank:
    """Returns a bank of at least `count` segments; whole label maps, so a few more."""
    source = Resampled(layouts, 0, settings.size)
    found = 0
    while found < count:
        label = bank_building.layout_of(
            source._read(source.count), settings.size, settings.classes, "layouts"
        )
        above = segments.smallest_area(settings.size, settings.above_share)
        found += len(segments.find(label, settings.classes.count, above=above))
        source.count += 1
    folder.mkdir()
    list(bank_building.build(source, folder, settings))
    manifests.seal(folder, {"facts": bank_building.merge(folder, settings)})
    return bank_lib.opened(folder)


def make_queries(layouts: Sequence[np.ndarray], count: int, settings) -> list[Query]:
    """Returns the large segments of unseen label maps."""
    wanted: list[Query] = []
    above = segments.smallest_area(settings.size)
    for layout in Resampled(layouts, 1000 * len(layouts), settings.size):
        label = layout["label"]
        found = segments.find(label, settings.classes.count, above=above)
        wanted += [retrieval.query(one, label, settings.classes.count) for one in found]
        if len(wanted) >= count:
            return wanted[:count]
    raise SystemExit("The label maps have no large segments to look for.")


def frames(bank: Bank, segment, box, layout) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mask (H, W) and the one-hot context (classes, H, W) of a segment, bool."""
    context = np.full(bank.size, 255, np.uint8)
    place = segments.inside(box)
    context[place] = layout[place]
    hot = context == np.arange(bank.classes.count, dtype=np.uint8)[:, None, None]
    return segment.placed(bank.size), hot


def seconds_of_loop(
    bank: Bank, wanted: Sequence[Query], pairs: int
) -> tuple[float, float, int, float]:
    """Returns (processor seconds a pair, wall seconds, pairs in all, largest difference of scores).
    """
    rng = np.random.default_rng(0)
    counts = np.array([len(bank.of_class(one.segment.label)) for one in wanted])
    spent, wall, worst = 0.0, 0.0, 0.0
    for _ in range(pairs):
        one = wanted[rng.choice(len(wanted), p=counts / counts.sum())]
        number = int(rng.choice(bank.of_class(one.segment.label)))
        mine = frames(bank, one.segment, one.context_box, one.context)
        theirs = frames(bank, bank.segment(number), bank.context_box[number],
                        bank.layout(int(bank.image[number])))
        started, used = time.perf_counter(), time.process_time()
        score = sum(
            np.logical_and(a, b).sum() / max(np.logical_or(a, b).sum(), 1)
            for a, b in zip(mine, theirs, strict=True)
        )
        spent += time.process_time() - used
        wall += time.perf_counter() - started
        worst = max(worst, abs(score - Searcher(bank).score(one, number)))
    return spent / pairs, wall / pairs, int(counts.sum()), worst


def measure(flags: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Returns the figures."""
    source = sources.create(flags.source, "all")
    classes = classes_lib.of_source(source)
    every = [source[i]["label"] for i in range(min(len(source), flags.maps))]
    kept = len(every) - max(1, int(_QUERY_SHARE * len(every)))
    size = (flags.height, 2 * flags.height)
    settings = bank_building.Settings(size, classes, above_share=flags.area_share)
    bank = make_bank(every[:kept], flags.segments, settings, folder / "bank")
    wanted = make_queries(every[kept:], flags.queries, settings)
    pair, wall, pairs, difference = seconds_of_loop(bank, wanted, flags.pairs)
    figures = {
        "segments": len(bank), "pictures": len(bank.images), "classes": classes.count,
        "frame": list(size), "area_share": flags.area_share, "queries": len(wanted),
        "loop_timed_pairs": flags.pairs, "loop_milliseconds_a_pair": round(1e3 * pair, 4),
        "loop_wall_milliseconds_a_pair": round(1e3 * wall, 4),
        "loop_pairs": pairs, "loop_seconds_extrapolated": round(pair * pairs, 1),
        "loop_score_difference": difference,
    }
    answers = {}
    for how in ("pruned", "brute", "matrix"):
        asked = wanted[: flags.matrix_queries] if how == "matrix" else wanted
        if not asked:
            continue
        searcher = Searcher(bank, how=how)
        if how == "matrix":
            searcher.top(asked, flags.k)  # compiles
        started, used = time.perf_counter(), time.process_time()
        answers[how] = searcher.top(asked, flags.k)
        spent, wall = time.process_time() - used, time.perf_counter() - started
        share = sum(len(bank.of_class(one.segment.label)) for one in asked) / pairs
        figures |= {
            f"{how}_queries": len(asked),
            f"{how}_seconds": round(spent, 3),
            f"{how}_wall_seconds": round(wall, 3),
            f"{how}_times_faster": round(pair * pairs * share / spent, 1),
        }
    for how, found in answers.items():
        figures[f"{how}_equal"] = found == answers["brute"][: len(found)]
    files = {name: 0 for name in ("masks", "layouts", "mask_tiles", "context_tiles", "colours",
                                  "segments")}
    for path in bank.folder.rglob("*.np[yz]"):
        files[path.stem] += path.stat().st_size
    return figures | {
        "megabytes_on_disk": {name: round(size / 1e6, 1) for name, size in files.items()},
        "megabytes_of_whole_frames": round(
            len(bank) * size[0] * size[1] * (1 + classes.count) / 1e6
        ),
        "peak_memory_mib": round((writer.peak_memory_bytes() or 0) / 2**20, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--source", default="scenes:several", help="has label maps")
    parser.add_argument("--maps", type=int, default=400, help="label maps that are read")
    parser.add_argument("--segments", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--height", type=int, default=256, help="of the frame; twice as wide")
    parser.add_argument("--area_share", type=float, default=0.0,
                        help="segments of the bank cover more than this share of the frame")
    parser.add_argument("--pairs", type=int, default=200, help="on which the loop is timed")
    parser.add_argument("--matrix_queries", type=int, default=0,
                        help="so many are searched by matrix products, which are for accelerators")
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(flags, pathlib.Path(folder))
    timing.report(flags.output, {"source": flags.source.partition(":")[0], **figures})


if __name__ == "__main__":
    main()
