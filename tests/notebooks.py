"""Executes the notebooks on the CPU, each by a kernel of its own, with a shrunk configuration.

A notebook trains its paper's demo. What the demo's own tests look at is that run: training such a
network once more would take a minute of compiling and show nothing new.
"""

import os
import pathlib

import nbclient
import nbformat
import pytest

from tests import shrink

ROOT = pathlib.Path(__file__).parents[1]
ALL = {path.stem: path for path in sorted(ROOT.glob("experiments/colab/*.ipynb"))}
# Notebook -> the overrides of its demo, and the picture that its last cell makes.
SHRUNK = {
    "scat": (shrink._TINY, "filled.png"),
    "matting": (shrink._TINY_MATTING, "cut.png"),
    "sims": (shrink._TINY_SIMS, "made-1.png"),
}


def words(name: str, **overrides: str) -> list[str]:
    """Returns the overrides as a notebook's person writes them, those of its stages too."""
    changes = SHRUNK[name][0] | overrides
    config = shrink.config_lib.load(str(ROOT / "configs" / f"{name}.py"))
    steps = {
        f"stages.{stage['name']}.train.steps": changes["train.steps"]
        for stage in config.get("stages", ()) if "steps" in stage["overrides"].get("train", {})
    }
    return [f"--config.{key}={value}" for key, value in {**changes, **steps}.items()]


def run_to_its_end(name: str, folder: pathlib.Path, **overrides: str) -> pathlib.Path:
    """Executes a notebook in an empty folder, looks at what it shows, and returns its run."""
    notebook = nbformat.read(ALL[name], as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    place = "OVERRIDES = []"
    (cell,) = (cell for cell in notebook.cells if place in cell.source)
    cell.source = cell.source.replace(place, f"OVERRIDES = {words(name, **overrides)!r}")
    (folder / "configs").symlink_to(ROOT / "configs")
    client = nbclient.NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    with pytest.MonkeyPatch.context() as patch:
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"].replace("count=8", "count=1"))
        client.execute()
    assert (folder / SHRUNK[name][1]).is_file()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert not any(output.output_type == "error" for output in shown)
    return folder / "runs" / f"{name}-notebook"
