"""From a name to weights, over a real connection."""

import dataclasses
import hashlib
import re

import filelock
import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.weights import convert, download, manifest
from jaxedit.weights.get import get
from tests.weights import examples
from tests.weights.server import serving


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves small files in place of lpips-alex's and of a bundle's."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "WAITS", (0,))
    with serving() as running:
        data = examples.published(tmp_path / "there", examples.heads()).read_bytes()
        running.files["alex.pth"] = data
        entry = dataclasses.replace(
            manifest.get("lpips-alex"), address=running.address("alex.pth"),
            sha256=hashlib.sha256(data).hexdigest(), bytes=len(data),
        )
        monkeypatch.setitem(manifest.entries(), "lpips-alex", entry)
        folder = examples.pipeline(tmp_path / "pipeline")
        for file in examples.FOLDER.files:
            running.files[file.path] = (folder / file.path).read_bytes()
        files = tuple(
            dataclasses.replace(file, address=running.address(file.path))
            for file in examples.FOLDER.files
        )
        bundle = dataclasses.replace(examples.FOLDER, files=files)
        monkeypatch.setitem(manifest.entries(), "pipeline", bundle)
        yield running


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
                  and p.suffix != ".lock")


def test_one_file(server, tmp_path):
    folder, told = tmp_path / "weights", []
    server.plans = [{"stop": 1000}]
    path = get("lpips-alex", weights_dir=folder, tell=told.append)
    assert path == folder / "lpips-alex.safetensors" and names(folder) == [path.name]
    assert told[0].startswith("lpips-alex: LPIPS v0.1") and "Licence: BSD-2-Clause" in told[0]
    ours = convert.load("lpips-alex", folder)["params"]["linear_0"]
    np.testing.assert_array_equal(
        ours.ravel(), examples.heads()["lin0.model.1.weight"].ravel()
    )
    before = len(server.requests)
    assert get("lpips-alex", weights_dir=folder, tell=told.append) == path
    assert "are here already" in told[-1] and len(server.requests) == before
    path.write_bytes(path.read_bytes()[:-1])  # damaged: fetched again
    get("lpips-alex", weights_dir=folder, tell=told.append)
    assert convert.load("lpips-alex", folder)
    other = tmp_path / "other.safetensors"
    assert get("lpips-alex", other, weights_dir=folder, tell=told.append) == other
    assert safetensors.numpy.load_file(other).keys() == safetensors.numpy.load_file(path).keys()


def test_several_files(server, tmp_path):
    folder = tmp_path / "weights"
    get("pipeline", weights_dir=folder)
    assert set(convert.load("pipeline", folder)) == {"unet", "vae"}
    assert convert.load_file("pipeline", "tokenizer/vocab.json", folder) == b'{"a": 0}'
    assert names(folder) == ["pipeline.safetensors"]


def test_what_fails_leaves_nothing_under_the_name(server, tmp_path):
    folder = tmp_path / "weights"
    server.files["unet/config.json"] = b'{"in": 3, "out": 6}'
    with pytest.raises(UserError, match=r"has shape \(5, 3\).* network has \(3, 6\)"):
        get("pipeline", weights_dir=folder)
    assert names(folder) == []
    del server.files["vae/config.json"]
    with pytest.raises(UserError, match="answered 404(.|\n)*To do it by hand: Download https://exa"):
        get("pipeline", weights_dir=folder)
    assert "pipeline.safetensors" not in names(folder)


def test_files_that_need_a_person(tmp_path):
    with pytest.raises(UserError, match="'scat-places2' cannot be fetched by a program. Download "
                                        "https://drive.google.com/.*press Download.*then run: "
                                        "jaxedit weights convert scat-places2 FILE"):
        get("scat-places2", weights_dir=tmp_path)
    assert names(tmp_path) == []


def test_two_at_once(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    with filelock.FileLock(tmp_path / "downloads" / "lpips-alex.lock"):
        with pytest.raises(UserError, match="Another process is downloading"):
            get("lpips-alex", weights_dir=tmp_path)


def test_every_entry_can_be_fetched_or_says_that_a_person_has_to():
    for entry in manifest.entries().values():
        is_drive = any(host in entry.address for host in ("drive.google.com", "1drv.ms"))
        # A repository's page is no file either: a person has to read where that is.
        is_page = bool(re.fullmatch(r"https://github\.com/[^/]+/[^/]+", entry.address))
        assert bool(entry.by_hand) == (is_drive or is_page), entry.name
        assert entry.by_hand or all("*" not in file.path for file in entry.files)
