"""A run as a reader gets it: one that somebody else has made runs no code that it names."""

import sys

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli, main
from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.run import directory, readers
from tests.run.test_train import toy


@pytest.fixture(params=["run", "stage"])
def received(request, tmp_path, monkeypatch):
    """A run directory whose configuration, or that of a stage, names a module of its maker's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "received_code.py").write_text("raise SystemExit('it ran')")
    config = toy()
    with config.unlocked():
        if request.param == "run":
            config.method = "received_code.method"
        else:
            config.method = "scat"
            foreign = {"name": "second", "overrides": {"method": "received_code.method"}}
            config.stages = ({"name": "first"}, foreign)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(config_lib.to_json(config))
    return run


def test_the_code_of_a_received_run_is_not_imported(received, tmp_path, capsys):
    with pytest.raises(UserError, match="computes with 'received_code.* add --trust-run-code"):
        readers.load_run(received)
    evaluate = ["--mode=evaluate", f"--workdir={received}"]
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "photo.png")
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(tmp_path / "hole.png")
    photo, hole, output = (str(tmp_path / f"{name}.png") for name in ("photo", "hole", "output"))
    inpaint = ["inpaint", photo, hole, "--output", output, "--run", str(received)]
    for command, arguments in ((main.main, evaluate), (cli.main, inpaint)):
        assert command(arguments) == 2
        assert "received_code" in capsys.readouterr().err
        assert command([*arguments, "--trust-run-code"]) == 2
        assert "holds no checkpoint yet" in capsys.readouterr().err
    assert "received_code" not in sys.modules


def test_a_run_that_one_trains_oneself_is_free(received):
    config = config_lib.from_json((received / "config.json").read_text())
    directory.prepare(config, received)  # from a configuration that the user has named
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        readers.load_run(received)
