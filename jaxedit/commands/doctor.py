"""`jaxedit doctor`: what a bug report needs to say about software, machine and caches."""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import metadata

import jaxedit
from jaxedit.commands import command
from jaxedit.host import large_pages, machine

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scipy",
    "scikit-image", "pillow", "safetensors", "pooch", "ml_collections", "tensorboardX",
    "array_record", "tensorflow-datasets", "scikit-learn", "matplotlib",
)  # fmt: skip
_VARIABLES = ("JAX_", "JAXEDIT_", "XLA_", "CUDA_VISIBLE_DEVICES", "TPU_", "OMP_NUM_THREADS")


def add(commands) -> None:
    """Adds the parser of `jaxedit doctor`."""
    command.add(
        commands, "doctor", main, "print what a bug report needs",
        "Versions, machine, devices, caches, weights, and whether a small program runs right.",
    )


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit doctor`."""
    del arguments
    print(report())
    return 0


def report() -> str:
    """Returns the whole report as text, one `name: value` per line under headings."""
    lines: list[str] = []
    for heading, facts in sections():
        lines += [heading]
        width = max((len(name) for name, _ in facts), default=0)
        lines += [f"  {name.ljust(width)}  {value}" for name, value in facts]
    return "\n".join(lines)


def sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields (heading, [(name, value)])."""
    yield "software", software()
    yield "machine", hardware()
    yield "jax", computation()
    yield "weights", weights()


def software() -> list[tuple[str, str]]:
    """Returns the versions of Python and of every package that a run can use."""
    from jaxedit.run import writer

    facts = [
        ("jaxedit", f"{jaxedit.__version__} ({pathlib.Path(jaxedit.__file__).parent})"),
        ("python", f"{platform.python_version()} ({sys.executable})"),
    ]
    for name in PACKAGES:
        try:
            facts.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            facts.append((name, "not installed"))
    facts.append(("git revision", writer.git_revision() or "not a checkout"))
    return facts


def hardware() -> list[tuple[str, str]]:
    """Returns operating system, processors, memory and free disk."""
    here = pathlib.Path.cwd()
    return [
        ("platform", platform.platform()),
        ("processor", machine.processor_name() or "unknown"),
        ("processors", str(machine.processor_count())),
        ("memory", f"{_size(machine.total_memory_bytes())}, "
                   f"{_size(machine.available_memory_bytes())} available"),
        ("large pages", large_pages.obstacle(os.environ) or "off; programs turn them on"),
        ("free disk", f"{_size(shutil.disk_usage(here).free)} at {here}"),
    ]


def computation() -> list[tuple[str, str]]:
    """Returns JAX's devices, settings and cache, and whether a small program runs."""
    from jaxedit.run import sharding

    cache = sharding.enable_compilation_cache()
    facts = [
        (name, value) for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)
    ]
    try:
        import jax

        facts += [
            ("backend", jax.default_backend()),
            ("devices", ", ".join(f"{d.id}: {d.device_kind}" for d in jax.devices())),
        ]
        for device in jax.local_devices():
            statistics = device.memory_stats() or {}
            if "bytes_limit" in statistics:
                facts.append((f"memory of device {device.id}", _size(statistics["bytes_limit"])))
        facts.append(("small program", small_program()))
    except Exception as error:  # whatever is broken here is what the report is for
        facts.append(("small program", f"FAILED: {type(error).__name__}: {error}"))
    if cache is None:
        facts.append(("compilation cache", "off (JAXEDIT_COMPILATION_CACHE=0)"))
    else:
        count, size = machine.folder_size_bytes(cache)
        facts.append(("compilation cache", f"{cache}: {count} files, {_size(size)}"))
    return facts


def small_program() -> str:
    """Compiles and runs a small program with a gradient; returns `right` or what is wrong."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    started = time.perf_counter()
    x = jnp.asarray(np.linspace(-1, 1, 48, dtype=np.float32).reshape(6, 8))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.tanh(x @ x.T))))(x)
    host = np.asarray(x, np.float64)
    slope = 1 - np.tanh(host @ host.T) ** 2
    expected = (slope + slope.T) @ host
    seconds = time.perf_counter() - started
    # Tensor cores round float32 products to about three decimals unless told otherwise.
    error = float(np.abs(np.asarray(gradient) - expected).max())
    if error > 5e-2:
        return f"WRONG: off by {error:.3g} from NumPy"
    return f"right (largest difference from NumPy {error:.1e}), {seconds:.2f} s with compilation"


def weights() -> list[tuple[str, str]]:
    """Returns which published weights are on this machine."""
    from jaxedit.weights import catalogue

    return [("folder", str(catalogue.default_dir()))] + [
        (row["name"], row["state"]) for row in catalogue.list_rows()
    ]


def _size(count: int | None) -> str:
    from jaxedit.report.wording import bytes_of

    return "unknown" if count is None else bytes_of(count)
