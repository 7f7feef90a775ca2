"""A run directory belongs to one run at a time; reading it is always allowed."""

import pytest

from jaxedit import main
from jaxedit.errors import UserError
from jaxedit.run import directory, readers
from tests.host.test_locks import holder
from tests.run.test_train import TOY, toy


def test_a_second_start_names_the_first_and_changes_nothing(tmp_path, capsys):
    run = tmp_path / "run"
    process = holder(run)
    try:
        before = {path: path.read_bytes() for path in run.iterdir()}
        assert main.main([f"--config={TOY}", f"--workdir={run}"]) == 2
        message = capsys.readouterr().err
        assert f"in use by process {process.pid} on host" in message
        assert {path: path.read_bytes() for path in run.iterdir()} == before
        with pytest.raises(UserError, match="no run directory"):  # no word of the lock
            readers.load_run(run)
    finally:
        process.kill()
        process.wait()
    directory.prepare(toy(), run)  # what the lock has left there is no other file
