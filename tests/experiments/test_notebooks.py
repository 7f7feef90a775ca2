"""Every notebook is executed on the CPU, by a kernel of its own, with a shrunk configuration."""

import ast
import os
import pathlib
import re

import nbclient
import nbformat
import pytest

from tests import shrink

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("experiments/colab/*.ipynb"))
# Notebook -> the overrides of its demo, and the picture that its last cell makes.
SHRUNK = {
    "scat": (shrink._TINY | {"train.steps": "2"}, "filled.png"),
    "matting": (shrink._TINY_MATTING | {"evaluate.compare": "()"}, "cut.png"),
    "sims": (shrink._TINY_SIMS | {"train.batch_size": "2", "data.source": f"{4 * 'half:first:'}"
                                  "scenes:several:64"}, "made-1.png"),
}


def words(notebook):
    """Returns the overrides as a notebook's person writes them, those of its stages too."""
    changes, _ = SHRUNK[notebook]
    config = shrink.config_lib.load(str(ROOT / "configs" / f"{notebook}.py"))
    steps = {
        f"stages.{stage['name']}.train.steps": changes["train.steps"]
        for stage in config.get("stages", ()) if "steps" in stage["overrides"].get("train", {})
    }
    return [f"--config.{key}={value}" for key, value in {**changes, **steps}.items()]


def test_every_notebook_is_tried():
    assert {path.stem for path in NOTEBOOKS} == set(SHRUNK)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_proposes_can_be_done(path):
    """The presets that it names exist; overrides that it shows use what its cell has imported."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells)
    for config, preset in re.findall(r"configs/(\w+)\.py:(\w+)", text):
        assert preset in shrink.config_lib.load_module(ROOT / "configs" / f"{config}.py").PRESETS
    (place,) = (cell.source for cell in cells if "OVERRIDES = []" in cell.source)
    for shown in re.findall(r"`(OVERRIDES = .*)`", text):
        used = {node.id for node in ast.walk(ast.parse(shown)) if isinstance(node, ast.Name)}
        assert all(f"import {name}\n" in place for name in used - {"OVERRIDES"}), shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    place = "OVERRIDES = []"
    (cell,) = (cell for cell in notebook.cells if place in cell.source)
    cell.source = cell.source.replace(place, f"OVERRIDES = {words(path.stem)!r}")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"].replace("count=8", "count=1"))
    client = nbclient.NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert (tmp_path / SHRUNK[path.stem][1]).is_file()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert not any(output.output_type == "error" for output in shown)
