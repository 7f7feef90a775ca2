"""Presets, overrides and their errors."""

import pathlib
import textwrap

import pytest

from jaxedit import config as config_lib
from jaxedit import main
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


@pytest.mark.parametrize("text", [
    "-" * 5000 + "1", "9" * 400, "[1," * 3000, "(" * 300, "1," * 100_000,
], ids=["signs", "digits", "brackets", "parentheses", "length"])
def test_values_that_python_cannot_read_are_no_tracebacks(path, text):
    with pytest.raises(UserError, match="optim.lr="):
        config_lib.load(path, [("optim.lr", text)])


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


def staged(path, *overrides):
    """Three stages: `a` and `a.b` have rates of their own, `c` has none."""
    pathlib.Path(path).write_text(CONFIG.replace('"stages": ()', """"stages": (
        {"name": "a", "overrides": {"optim": {"lr": 1.0}}},
        {"name": "a.b", "overrides": {"optim": {"lr": 2.0, "betas": (0.0, 0.0)}, "count": 1}},
        {"name": "c", "overrides": {"count": 5}, "start": (("a:params", "params"),)})"""))
    config = config_lib.load(path, overrides)
    return config, {stage.name: stage.config for stage in stages.read(config)}


def test_a_key_of_one_stage(path):
    config, each = staged(
        path, ("optim.lr", "4"), ("stages.a.optim.lr", "3"), ("stages.a.b.optim.betas", "(0.5, 1)"),
        ("stages.c.flag", "true"),
    )
    assert {name: one.optim.lr for name, one in each.items()} == {"a": 3.0, "a.b": 2.0, "c": 4.0}
    assert {name: one.flag for name, one in each.items()} == {"a": False, "a.b": False, "c": True}
    assert each["a.b"].optim.betas == (0.5, 1) and each["a.b"].count == 1
    assert config.stages[2]["start"] == (("a:params", "params"),)
    assert config_lib.differences(
        config, config_lib.from_json(config_lib.to_json(config))
    ) == []


def test_stages_that_do_not_heed_an_override_are_named(path):
    config, _ = staged(path, ("optim.lr", "4"))
    line, = config_lib.unheeded(config, [("optim.lr", "4"), ("flag", "true")])
    assert "optim.lr=4.0 does not hold" in line and "a (1.0), a.b (2.0)" in line
    assert "--config.stages.a.optim.lr=4.0 --config.stages.a.b.optim.lr=4.0" in line
    said = [("optim.lr", "4"), ("stages.a.optim.lr", "4"), ("stages.a.b.optim.lr", "5")]
    assert config_lib.unheeded(staged(path, *said)[0], said) == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([("stages.d.count", "1")], "names no stage.* Stages: a, a.b, c"),
        ([("stages.c", "1")], "names no stage"),
        ([("stages.c.optim.lrr", "1")], r"Unknown configuration key 'optim.lrr'.*optim.lr"),
        ([("stages.c.count", "1.5")], "type int"),
        ([("stages.c.optim", "1")], "group of keys"),
        ([("stages.c.stages", "()")], "no stages of its own"),
        ([("stages.c.stages.a.count", "1")], "no stages of its own"),
        ([("count", "2"), ("stages.a.count", "1")], None),
        ([("stages.a.count", "7"), ("count", "2")], None),
    ],
)
def test_mistakes_in_keys_of_stages(path, overrides, words):
    if words is None:
        assert staged(path, *overrides)
        return
    with pytest.raises(UserError, match=words):
        staged(path, *overrides)


def test_what_no_stage_heeds_is_refused(path):
    with pytest.raises(UserError, match="count=2 changes nothing.*a.b .1., c .5..*stages.a.b"):
        staged(path, ("stages", str((
            {"name": "a.b", "overrides": {"count": 1}}, {"name": "c", "overrides": {"count": 5}}
        ))), ("count", "2"))
    with pytest.raises(UserError, match="Stages: none"):
        config_lib.load(str(pathlib.Path(__file__).parent / "toy_method.py"),
                        [("stages.train.train.steps", "1")])


def test_a_run_says_which_stages_keep_their_own_value(tmp_path, capsys):
    toy = pathlib.Path(__file__).parent / "toy_method.py"
    (tmp_path / "run").write_text("a file, so that nothing starts")
    code = main.main([f"--config={toy}:told,train.steps=2", f"--workdir={tmp_path / 'run'}"])
    said = capsys.readouterr().err
    assert code == 2 and "note: train.steps=2 does not hold" in said and "sketch (6)" in said
