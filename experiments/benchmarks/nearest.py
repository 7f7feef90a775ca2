"""Benchmark of the blocked nearest-neighbour search against its limit, the matrix product alone.

    python -m experiments.benchmarks.nearest

The same queries meet the same embeddings in blocks twice, in turns: once in `layers/top_k_search`,
once in a program that multiplies the block and keeps only the largest of each row, so that the
product cannot be left out. Times are of the processor, which suffers less from whatever else is
running, and of the wall. The search's answers are compared with NumPy's on some queries. With
`--approximate` the search is `lax.approx_max_k`, exact on CPU, and the recall is measured. One JSON
line is appended to `--output`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import timing
from jaxedit.layers import top_k_search
from jaxedit.run import writer

_CHECKED = 16  # queries compared with NumPy's answers


def made(count: int, width: int, seed: int) -> np.ndarray:
    """Returns random embeddings of length 1, float32 (count, width), block by block."""
    rng = np.random.default_rng(seed)
    result = np.empty((count, width), np.float32)
    for start in range(0, count, 65536):
        part = rng.standard_normal((min(65536, count - start), width), np.float32)
        result[start : start + 65536] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return result


@jax.jit
def _product(best: jax.Array, queries: jax.Array, block: jax.Array) -> jax.Array:
    return jnp.maximum(best, top_k_search.inner_product(queries, block).max(1))


def products(queries: np.ndarray, collection: np.ndarray, rows: int) -> np.ndarray:
    """Returns the largest inner product of each query, by the matrix products of all blocks."""
    best = jnp.full(len(queries), -jnp.inf)
    for start in range(0, len(collection), rows):
        begin = max(0, min(start, len(collection) - rows))
        best = _product(best, queries, collection[begin : begin + rows])
    return np.asarray(best)


def timed(run: Callable[[], object]) -> tuple[object, float, float]:
    """Returns (result, processor seconds, wall seconds)."""
    used, started = time.process_time(), time.perf_counter()
    result = run()
    return result, time.process_time() - used, time.perf_counter() - started


def measure(flags: argparse.Namespace) -> dict:
    """Returns the figures."""
    collection, queries = made(flags.rows, flags.width, 0), made(flags.queries, flags.width, 1)
    on_device = jnp.asarray(queries)
    search = lambda approximate=flags.approximate: top_k_search.search(
        on_device, collection, flags.k, rows=flags.block, approximate=approximate
    )
    plain = lambda: products(on_device, collection, flags.block)
    small = collection[: flags.block]
    top_k_search.search(on_device, small, flags.k, rows=flags.block, approximate=flags.approximate)
    products(on_device, small, flags.block)  # both are compiled now
    seconds: dict[str, list[tuple[float, float]]] = {"search": [], "products": []}
    for _ in range(flags.repeats):
        (values, found), *spent = timed(search)
        seconds["search"].append(tuple(spent))
        largest, *spent = timed(plain)
        seconds["products"].append(tuple(spent))
    np.testing.assert_allclose(values[:, 0], largest, rtol=1e-5)
    exact = np.argsort(-(queries[:_CHECKED] @ collection.T), axis=1)[:, : flags.k]
    hits = [len(set(a) & set(b)) for a, b in zip(exact, found[:_CHECKED], strict=True)]
    best = {name: np.min(times, axis=0) for name, times in seconds.items()}
    ratio = best["search"] / best["products"]
    return {
        "rows": flags.rows, "width": flags.width, "queries": flags.queries, "k": flags.k,
        "block": flags.block, "approximate": flags.approximate,
        **{f"{name}_{kind}_seconds": round(float(best[name][place]), 2)
           for name in best for place, kind in enumerate(("processor", "wall"))},
        "processor_ratio": round(float(ratio[0]), 3), "wall_ratio": round(float(ratio[1]), 3),
        "recall": sum(hits) / (flags.k * _CHECKED),
        "load": round(os.getloadavg()[0], 1),
        "peak_memory_mib": round((writer.peak_memory_bytes() or 0) / 2**20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--rows", type=int, default=1_000_000, help="embeddings that are searched")
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--width", type=int, default=768, help="of an embedding; CLIP L/14's")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--block", type=int, default=4096, help="rows that are scored at a time")
    parser.add_argument("--repeats", type=int, default=2, help="the fastest one counts")
    parser.add_argument("--approximate", action="store_true")
    parser.add_argument("--output", type=pathlib.Path, default=None)
    flags = parser.parse_args()
    timing.report(flags.output, measure(flags))


if __name__ == "__main__":
    main()
