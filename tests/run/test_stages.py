"""Stages as data: what a name may be."""

import pytest

from jaxedit.errors import UserError
from jaxedit.run import directory, stages
from tests.run.test_train import toy


@pytest.mark.parametrize(
    "name", ["../../esc", "..", ".", "a/b", "a\\b", "a[x]", "a*", "a:b", "a\nb", "\x00", " a",
             "bank.partial", "n" * 101, "é" * 51]
)
def test_names_that_are_no_folders_are_refused_with_the_rule(name):
    config = toy()
    with config.unlocked():
        config.stages = ({"name": name},)
    with pytest.raises(UserError, match="cannot be that of a folder.*1 to 100 bytes, none of"):
        stages.check(config)


@pytest.mark.parametrize("name", ["train", "first stage", "pré-2.0", "n" * 100])
def test_other_names_are_not(name):
    config = toy()
    with config.unlocked():
        config.stages = ({"name": name},)
    stages.check(config)


@pytest.mark.parametrize("name", ["a[x]", "a*b", "a?"])
def test_run_directories_that_cannot_be_read_back_are_refused(name, tmp_path):
    with pytest.raises(UserError, match="takes for a pattern"):
        directory.check(toy(), tmp_path / name / "run")
    directory.check(toy(), tmp_path / "a]{b}" / "run")
