"""Consoles that know few letters, and paths that no shell has expanded."""

import io
import sys

from jaxedit import cli, main
from jaxedit.data import sources
from jaxedit.host import console
from tests.data import folders


def test_letters_that_the_console_lacks_are_escaped(monkeypatch):
    bytes_of = [io.BytesIO(), io.BytesIO()]
    for name, stream in zip(("stdout", "stderr"), bytes_of, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, "ascii"))
    assert main.main(["--mode=evaluate", "--workdir=runs/\u00b1"]) == 2
    print("1.3 \u00b1 0.1")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    assert bytes_of[0].getvalue() == rb"1.3 \xb1 0.1" + b"\n"
    assert rb"runs/\xb1" in bytes_of[1].getvalue()


def test_the_home_folder_is_found(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    root = folders.write(tmp_path / "a+photos", 12)
    assert console.path("~/a+photos") == root
    source = sources.create("folder:~/a+photos", "train")
    assert source.root == root and len(sources.parts("folder:~/a+photos")) == 1
    flags, _ = main.parse(["--config=x.py", "--workdir=~/run"])
    assert flags.workdir == tmp_path / "run"
    assert cli.main(["inpaint", "~/a.png", "m.png", "--run=r", "--output=~/b.png"]) == 2
    assert f"{tmp_path / 'a.png'} does not exist" in capsys.readouterr().err
