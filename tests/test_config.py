"""Presets, overrides and their errors."""

import pathlib
import textwrap

import pytest

from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.run import stages

CONFIG = textwrap.dedent("""
    from ml_collections import ConfigDict
    from jaxedit.config import choose_preset

    def demo():
        return ConfigDict({
            "method": "toy", "stages": (), "flag": False, "count": 3, "size": None,
            "optim": {"lr": 1e-4, "betas": (0.0, 0.99)}, "data": {"source": "photos"},
        })

    def get_config(preset="demo"):
        return choose_preset({"demo": demo, "paper": demo}, preset)()
""")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    (tmp_path / "toy.py").write_text(CONFIG)
    return str(tmp_path / "toy.py")


def test_overrides_keep_their_types(path):
    config = config_lib.load(
        f"{path}:paper,data.source=folder:/x",
        [("optim.lr", "2"), ("optim.betas", "(0.5, 0.9)"), ("flag", "true"), ("size", "64")],
    )
    assert config.data.source == "folder:/x"
    assert config.optim.lr == 2.0 and isinstance(config.optim.lr, float)
    assert config.optim.betas == (0.5, 0.9)
    assert config.flag is True and config.size == 64


@pytest.mark.parametrize(
    ("argument", "overrides", "words"),
    [
        ("{}:papr", [], ["Unknown preset 'papr'", "demo, paper", "Did you mean 'paper'"]),
        ("{}", [("optim.lrr", "1")], ["optim.lrr", "Did you mean 'optim.lr'"]),
        ("{}", [("data.lr", "1")], ["data.lr", "Did you mean 'optim.lr'"]),
        ("{}", [("optim.lr", "fast")], ["optim.lr=fast", "float"]),
        ("{}", [("count", "1.5")], ["count=1.5", "int"]),
        ("{}", [("flag", "maybe")], ["flag=maybe", "true or false"]),
        ("{}", [("optim", "3")], ["group of keys", "optim.lr"]),
        ("{}:paper,demo", [], ["'demo'", "KEY=VALUE"]),
        ("{}x", [], ["names no configuration file"]),
        ("missing/toy.py", [], ["No configuration file"]),
    ],
)
def test_mistakes_are_named(path, argument, overrides, words):
    with pytest.raises(UserError) as error:
        config_lib.load(argument.format(path), overrides)
    for word in words:
        assert word in str(error.value)


def test_json_round_trip_and_differences(path):
    one = config_lib.load(path)
    again = config_lib.from_json(config_lib.to_json(one))
    assert config_lib.differences(one, again) == []
    other = config_lib.load(path, [("optim.lr", "3e-4")])
    assert config_lib.differences(one, other) == ["optim.lr: 0.0001 there, 0.0003 here"]


def test_stages_lay_overrides_over_the_base(path):
    config = config_lib.load(path)
    with config.unlocked():
        config.stages = (
            {"name": "a", "overrides": {"optim": {"lr": 1.0}}},
            {"name": "b", "overrides": {}, "carry": (("a:params/x", "params/x"),)},
        )
    a, b = stages.read(config_lib.from_json(config_lib.to_json(config)))
    assert (a.config.optim.lr, b.config.optim.lr) == (1.0, 1e-4)
    assert b.start == (("a:params/x", "params/x"),)
    with config.unlocked():
        config.stages = ({"name": "a", "overrides": {"optim": {"lrr": 1.0}}},)
    with pytest.raises(UserError, match=r"optim\.lrr.*optim\.lr"):
        stages.read(config)


@pytest.mark.parametrize(
    "start", ["sketch:params", ("sketch:params", "params"), (("a:b", "c", "d"),), ((1, 2),)]
)
def test_what_a_stage_starts_from_is_pairs_of_texts(start):
    config = config_lib.load(str(pathlib.Path(__file__).parent / "toy_method.py"))
    with config.unlocked():
        config.stages = ({"name": "finish", "start": start},)
    with pytest.raises(UserError, match="Stage 'finish': start holds .*expected pairs of texts"):
        stages.read(config)
