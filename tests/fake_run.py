"""Writes the files that a run leaves behind, for tests of what reads them."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.report import pictures
from jaxedit.run import checkpoint, drawing, frozen
from jaxedit.state import StartingValue

GROUPS = ["(0.01,0.1]", "(0.1,0.2]", "all"]


def evaluation(psnr: float = 25.0, step: int = 120) -> dict:
    """Returns an evaluation of a model and one baseline; FID is for all samples only."""
    table = {
        system: {
            group: {"psnr": value - index, "l1": 0.1 + index / 100 - value / 1000,
                    "fid": 90 - value if group == "all" else None}
            for index, group in enumerate(GROUPS)
        }
        for system, value in (("model", psnr), ("mean fill", 20.0))
    }
    return {
        "source": "photos", "split": "eval", "best": ["psnr", "max"], "ceilings": [],
        "step": step, "count": 9,
        "groups": GROUPS,
        "counts": {"(0.01,0.1]": 4, "(0.1,0.2]": 5, "all": 9}, "systems": list(table),
        "metrics": ["psnr", "l1", "fid", "lpips_alex"],
        "higher_is_better": {"psnr": True, "l1": False, "fid": False, "lpips_alex": False},
        "titles": {"psnr": "PSNR (dB)", "l1": "mean absolute error"},
        "samples": {
            system: {group: {"psnr": 3, "l1": 3 if system == "model" else 2} for group in GROUPS}
            for system in table
        },
        "table": table, "absent": ["lpips_alex: absent: run jaxedit weights convert <lpips-alex>"],
    }


def untrained(run: pathlib.Path, config) -> pathlib.Path:
    """Makes the folder `run` a run of the real method before its first step, and returns it.

    Values are drawn here: nothing is compiled, and no initialiser is followed.
    """
    run.mkdir()
    (run / "config.json").write_text(config_lib.to_json(config))
    method = method_lib.create(config)
    state = drawn(jax.eval_shape(lambda rng: method.init(rng, method.spec(1)), jax.random.key(0)))
    frozen.save(run, "train", state.frozen)
    saver = checkpoint.Checkpointer(run, "train")
    saver.save(state, {}, None)
    saver.close()
    return run


def drawn(shapes):
    """Returns arrays of a pytree's shapes: vectors positive, so that variances are; integers 0."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype)
        values = rng.standard_normal(leaf.shape)
        if values.ndim < 2:
            return jnp.asarray(np.abs(values), leaf.dtype)
        return jnp.asarray(values / np.sqrt(np.prod(leaf.shape[:-1])), leaf.dtype)

    return jax.tree.map(draw, shapes)


def begun(method, start=()):
    """Returns a method's state before its first step, of drawn values where `start` has none.

    Initialisers are not compiled, which takes longer than a step of such small networks.
    """
    rng, spec = jax.random.key(0), method.spec(1)
    values = drawn(jax.eval_shape(lambda: method.variables(rng, spec)))
    known = {value.target for value in start}
    start = [*start, *(
        StartingValue(tree, "drawn", f"{field}/{name}")
        for field in ("params", "stats", "frozen", "extra")
        for name, tree in getattr(values, field).items() if f"{field}/{name}" not in known
    )]
    return drawing.drawn(lambda start: method.init(rng, spec, start), start)


def write(run: pathlib.Path, psnr: float = 25.0, seed: int = 0) -> pathlib.Path:
    """Fills the folder `run` and returns it."""
    run.mkdir(parents=True)
    files = {
        "config.json": {
            "method": "scat", "preset": "demo", "data": {"source": "folder:<a&b>"},
            "train": {"seed": seed, "steps": 120, "log_every": 1, "batch_size": 8},
        },
        "versions.json": {"python": "3.11", "packages": {"jax": "0.10.2"}},
        "summary.json": {
            "compile_seconds": {"train/step": 12.5}, "flops_per_step": {"train/step": 3e9},
            "peak_memory_bytes": 3 * 2**30, "parameters": {"train": 123_456},
            "networks": {"train": {"generator": 100_000, "discriminator": 23_456}},
            "records": {"train": 350},
            "stage_seconds": {"train": {"train": 100.0 + seed, "compile": 12.5}},
            "steps": {"train": 120}, "train_seconds": 100.0 + seed,
        },
        "evaluation.json": evaluation(psnr),
    }
    for name, content in files.items():
        (run / name).write_text(json.dumps(content))
    rows = []
    for step in range(1, 121):
        rows.append({"stage": "train", "step": step, "split": "train", "loss/l1": 1 / step,
                     "loss/odd": None if step == 7 else step % 5})
        if step % 40 == 0:
            rows.append({"stage": "train", "step": step, "split": "eval", "measured_on": "eval",
                         "samples": dict(zip(GROUPS, (1, 3, 4), strict=True)),
                         "psnr": 20 + step / 40,
                         "psnr/(0.01,0.1]": 24 + step / 40, "psnr/(0.1,0.2]": 19.5})
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    timing = {"stage": "train", "step": 10, "seconds_per_step": 0.25, "images_per_second": 32.0}
    (run / "timing.jsonl").write_text(json.dumps(timing) + "\n")
    pictures.write(run / "pictures" / "train-samples.png", np.full((20, 30, 3), 99, np.uint8))
    (run / "DONE").write_text("")
    return run


def write_sweep(folder: pathlib.Path, figures: dict[str, list[float]]) -> pathlib.Path:
    """Fills a sweep directory: variant -> PSNR of each seed."""
    for variant, values in figures.items():
        for seed, value in enumerate(values):
            write(folder / variant / f"seed-{seed}", value, seed)
    about = {"name": "an ablation", "table": "Mirrors Table 9.", "variants": list(figures)}
    (folder / "sweep.json").write_text(json.dumps(about))
    return folder
