"""Benchmark of `jaxedit matte` on a large photograph: time and peak memory, end to end.

    python -m experiments.benchmarks.matte_photo --megapixels=12
    python -m experiments.benchmarks.matte_photo --megapixels=12 --tile=512

The network has MatteFormer's published size and random weights: the figures do not depend on them.
The photograph is one of the embedded ones, enlarged; its unknown region is a ring around the
middle, of a twelfth of the shorter side. One JSON line per run is appended to `--output`.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time

import cv2
import jax
import numpy as np

from experiments.benchmarks import timing
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.apply import applier
from jaxedit.commands import matte
from jaxedit.data import images, sources
from jaxedit.host import large_pages
from jaxedit.run import writer


def photograph_and_trimap(megapixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 (H, W, 3) and (H, W), of 4:3 shape and about so many million pixels."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    image = cv2.resize(sources.create("photos", "eval")[0]["image"], (width, height))
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2) - height / 3
    trimap = np.where(np.abs(distance) < height / 24, 128, np.where(distance < 0, 255, 0))
    return image, trimap.astype(np.uint8)


def measure(megapixels: float, tile: int | None) -> dict:
    """Returns the figures of matting one photograph, reading and writing included."""
    method = method_lib.create(config_lib.load("configs/matting.py:scratch_paper"))
    state = jax.jit(lambda: method.init(jax.random.key(0), method.spec(1)))().replace(opt={})
    tool = applier.Applier(
        lambda state, inputs, rng: method.predict(state, inputs, rng, task="matte"),
        state, method.tasks["matte"], say=print,
    )
    image, trimap = photograph_and_trimap(megapixels)
    options = matte.Options(tile=tile)
    with tempfile.TemporaryDirectory() as folder:
        photo, companion, result = (
            pathlib.Path(folder) / f"{name}.png" for name in ("photo", "trimap", "cutout")
        )
        images.write_image(photo, image)
        images.write_image(companion, trimap)
        jobs = matte.collect(photo, companion, result, options)
        seconds = []
        for _ in range(2):  # the first run compiles
            started = time.perf_counter()
            matte.run(jobs, lambda: tool, options)
            seconds.append(time.perf_counter() - started)
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "unknown_share": round(float((trimap == 128).mean()), 3),
        "seconds_first": round(seconds[0], 1),
        "seconds": round(seconds[1], 1),
        "peak_memory_mib": round((writer.peak_memory_bytes() or 0) / 2**20, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--tile", type=int, default=None, help="default: as the command chooses")
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    # A cached program would make the first run look as if it had compiled nothing.
    timing.report(flags.output, {
        "megapixels": flags.megapixels,
        "tile": flags.tile or matte.TILE,
        **measure(flags.megapixels, flags.tile),
    })


if __name__ == "__main__":
    large_pages.restart()
    main()
