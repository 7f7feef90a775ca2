"""Every notebook is executed where the run that it makes is looked at; what it proposes holds."""

import ast
import re

import nbformat
import pytest

from tests import notebooks, shrink


def test_every_notebook_is_executed():
    assert set(notebooks.ALL) == set(notebooks.SHRUNK)
    for name in notebooks.ALL:
        tests = notebooks.ROOT / "tests" / "methods" / name / "test_method.py"
        assert f'notebooks.run_to_its_end("{name}"' in tests.read_text()


@pytest.mark.parametrize("name", notebooks.ALL)
def test_what_a_notebook_proposes_can_be_done(name):
    """The presets that it names exist; overrides that it shows use what its cell has imported."""
    cells = nbformat.read(notebooks.ALL[name], as_version=4).cells
    text = "\n".join(cell.source for cell in cells)
    configs = notebooks.ROOT / "configs"
    for config, preset in re.findall(r"configs/(\w+)\.py:(\w+)", text):
        assert preset in shrink.config_lib.load_module(configs / f"{config}.py").PRESETS
    (place,) = (cell.source for cell in cells if "OVERRIDES = []" in cell.source)
    for shown in re.findall(r"`(OVERRIDES = .*)`", text):
        used = {node.id for node in ast.walk(ast.parse(shown)) if isinstance(node, ast.Name)}
        assert all(f"import {name}\n" in place for name in used - {"OVERRIDES"}), shown
