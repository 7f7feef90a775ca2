"""Weights that come with the package: written, found, checked, and there after an installation."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.weights import catalogue, convert, manifest, shipped
from jaxedit.weights.get import get

ROOT = pathlib.Path(__file__).parent.parent.parent
CARD = {
    "what": "a tiny network",
    "licence": "Apache-2.0",
    "data": [{"name": "photos", "licence": "CC0"}],
    "recipe": "python -m jaxedit.main --config=configs/tiny.py",
    "figures": {"psnr": 30.5, "on": "32 photographs"},
    "config": {"width": 4},
}
VARIABLES = {
    "params": {"dense": {"kernel": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}},
    "batch_stats": {"variance": np.asarray([1e6, 1.0], np.float32), "count": np.asarray([3])},
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    return shipped.write(tmp_path, "tiny-small", VARIABLES, CARD)


def test_halves_on_disk_and_float32_when_loaded(tiny, tmp_path):
    stored = safetensors.numpy.load_file(tiny)
    assert stored["params/dense/kernel"].dtype == np.float16
    assert stored["batch_stats/variance"].dtype == np.float32  # beyond float16
    loaded = convert.load("tiny-small", tmp_path / "none")
    kernel = loaded["params"]["dense"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, VARIABLES["params"]["dense"]["kernel"], rtol=1e-3)
    np.testing.assert_array_equal(loaded["batch_stats"]["variance"], [1e6, 1])
    assert loaded["batch_stats"]["count"].dtype == np.int64
    assert manifest.get("tiny-small").card["config"] == {"width": 4}


def test_every_door_knows_them(tiny):
    row = catalogue.list_rows()[0]
    assert (row["name"], row["state"], row["path"]) == ("tiny-small", "shipped", str(tiny))
    assert row["licence"] == "Apache-2.0; trained on photos (CC0)"
    assert row["size"] == f"{tiny.stat().st_size:,} bytes"
    assert len(convert.load_all(["tiny-small"])) == 1
    told = []
    assert get("tiny-small", tell=told.append) == tiny and "come with jaxedit" in told[0]
    with pytest.raises(UserError, match="nothing to convert"):
        convert.convert("tiny-small", tiny)
    with pytest.raises(UserError, match="Did you mean 'tiny-small'"):
        manifest.get("tiny-smal")


def test_damage_is_found(tiny):
    data = bytearray(tiny.read_bytes())
    data[-1] ^= 1
    tiny.write_bytes(data)
    with pytest.raises(UserError, match="SHA-256.*Reinstall jaxedit"):
        convert.load("tiny-small")
    card = tiny.with_suffix(".json")
    card.write_text(json.dumps({key: value for key, value in CARD.items() if key != "licence"}))
    with pytest.raises(UserError, match="card lacks licence, sha256, bytes"):
        convert.load("tiny-small")
    card.write_text("{")
    with pytest.raises(UserError, match="card cannot be read"):
        convert.load("tiny-small")
    card.unlink()
    assert shipped.names() == []


def test_what_cannot_be_shipped(tmp_path):
    bad = {"params": {"scale": np.asarray([np.nan])}}
    for arguments, message in (
        (("a", bad, CARD), "params/scale holds numbers that are not finite"),
        (("a", VARIABLES, {"what": "x"}), "lacks licence, data, recipe, figures"),
        (("A b", VARIABLES, CARD), "lower-case letters"),
    ):
        with pytest.raises(UserError, match=message):
            shipped.write(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_comes_with_this_package_is_whole():
    for name in shipped.names():
        assert convert.load(name)


def test_an_installed_package_brings_its_weights(tmp_path):
    """What setup.py installs, in a place of its own, loads them."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "jaxedit", tree / "jaxedit",
                    ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    for name in ("setup.py", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    (tree / "jaxedit" / "shipped").mkdir()
    shipped.write(tree / "jaxedit" / "shipped", "tiny-small", VARIABLES, CARD)
    subprocess.run([sys.executable, "setup.py", "-q", "build", "--build-lib", tmp_path / "lib"],
                   cwd=tree, check=True, capture_output=True)
    program = (
        "import jaxedit; from jaxedit.weights import convert; print(jaxedit.__file__); "
        "print(convert.load('tiny-small')['batch_stats']['variance'][0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")},
    )
    assert done.stdout.split() == [
        str(tmp_path / "lib" / "jaxedit" / "__init__.py"), "1e+06"
    ]
