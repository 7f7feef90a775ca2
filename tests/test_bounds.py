"""Every configuration key has a rule, is read somewhere, and its value is held to the rule."""

import ast
import pathlib

import pytest

from jaxedit import bounds, method
from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.run import stages, train

ROOT = pathlib.Path(__file__).parents[1]
TOY = ROOT / "tests" / "toy_method.py"
PAPERS = {*(ROOT / "configs").glob("*.py")} - {ROOT / "configs" / "common.py"}
FILES = [*sorted(path for path in PAPERS if path.stem != "__init__"), TOY]
SCAT, MATTING = ROOT / "configs" / "scat.py", ROOT / "configs" / "matting.py"


def presets(path):
    return getattr(config_lib.load_module(path), "PRESETS", ("demo",))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_has_a_rule_that_every_preset_keeps(path):
    for preset in presets(path):
        config = config_lib.load(f"{path}:{preset}")
        rules = method.bounds(config)
        assert config_lib.flatten(config).keys() - {"stages"} <= rules.keys()
        assert all(rule.holds(rule.example) for rule in rules.values())
        stages.check(config_lib.from_json(config_lib.to_json(config)))


def read_in(path):
    """Returns (owner, name) of every attribute and every quoted key that a file reads."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            found.add((getattr(owner, "attr", getattr(owner, "id", None)), node.attr))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and node.args:
            found.add((None, getattr(node.args[0], "value", None)))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_is_read(path):
    """By the core or by the paper itself; a key that it cannot use, its rule holds to one value."""
    config = config_lib.load(str(path))
    package = ROOT / "jaxedit"
    own = [TOY] if path == TOY else (package / "methods" / config.method).glob("*.py")
    core = (p for p in package.rglob("*.py") if package / "methods" not in p.parents)
    read = set().union(*map(read_in, [*own, *core]))
    owners = {"checkpoint": {"keep"}}  # what a group is called where it is read
    unread = []
    for key, rule in method.bounds(config).items():
        group, _, name = f"config.{key}".rpartition(".")
        group = group.rpartition(".")[2]
        names = {(owner, name) for owner in {group, None, *owners.get(group, ())}}
        if bounds.lookup(config, key)[0] and not names & read and len(rule.known) != 1:
            unread.append(key)
    assert not unread


CORE = [
    ("train.steps", -1, "whole number of at least 0, for example 1000"),
    ("train.steps", 2**40, "whole number of at least 0"),
    ("train.steps", "6", "train.steps='6'"),
    ("train.batch_size", 0, "at least 1 and at most"),
    ("train.seed", -1, "at least 0"),
    ("train.accumulate", 0, "at least 1"),
    ("train.log_every", 0, "train.log_every=0: expected a whole number of at least 1, for example"),
    ("train.log_every", True, "train.log_every=True"),
    ("train.evaluate_every", -1, "at least 0"),
    ("train.checkpoint_every", 0, "at least 1"),
    ("checkpoint.keep_last", -1, "at least 0"),
    ("checkpoint.keep_best", -1, "at least 0"),
    ("evaluate.split", "evl", "Did you mean 'eval'"),
    ("evaluate.compare", "scratch", "a sequence, each a text, for example"),
    ("evaluate.stages", (1,), "a sequence, each a text"),
    ("evaluate.batch_size", 0, "at least 1"),
    ("evaluate.limit", -1, "at least 0"),
    ("evaluate.limit_in_training", -1, "at least 0"),
    ("evaluate.seed", 2**32, "at most 4294967295"),
    ("evaluate.baselines", 1, "true or false"),
    ("evaluate.pictures", -1, "at least 0"),
    ("data.threads", -1, "at least 0"),
    ("data.workers", -1, "at least 0"),
    ("data.prefetch", -1, "at least 0"),
    ("image_size", 0, "at least 1 and at most 8192, for example 256"),
    ("image_size", 100_000, "at most 8192"),
    ("precision.compute", "int8", "use one of 'float32'"),
    ("layers.convolution", "fast", "use one of 'auto', 'xla'"),
    ("sharding.mode", "jitt", "Did you mean 'jit'"),
    ("remat", "yes", "remat='yes'"),
]
OWN = [
    (TOY, "optim.lr", float("nan"), "a finite number at least 0"),
    (TOY, "build_pause", float("inf"), "a finite number"),
    (TOY, "precision.compute", "bfloat16", "use one of 'float32'"),
    (SCAT, "data.hole_range", (0.7, 0.2), "none smaller than the one before"),
    (SCAT, "data.brush_width", (3.0,), "a sequence of 2, each a finite number above 0"),
    (SCAT, "loss.l1", -1.0, "at least 0"),
    (SCAT, "loss.l1", 1e39, "a finite number"),
    (SCAT, "loss.global_adversarial", 1e20, "at most 1e+06"),
    (SCAT, "optim.eps", 1e8, "at least 0 and at most 1"),
    (SCAT, "optim.lr", 1e20, "at most 100, for example 0.0001"),
    (SCAT, "loss.semantic_temperature", 0.0, "above 0"),
    (SCAT, "loss.semantic_negatives", "many", "use one of 'batch', 'own'"),
    (SCAT, "optim.betas", (0.5, 1.0), "below 1"),
    (SCAT, "loss.textural_levels", (1, 6), "at most 5"),
    (MATTING, "data.known", 1.5, "at most 1"),
    (MATTING, "data.trimap_width", (0, 5), "at least 1"),
    (MATTING, "data.resize_size", 0, "at least 1"),
    (MATTING, "data.foreground_limit", -1, "at least 0"),
    (MATTING, "evaluate.trimap_width", -1, "at least 0"),
    (MATTING, "loss.band", (30, 1), "a sequence of 2, each a whole number of at least 2"),
    (MATTING, "loss.regions", "everywhere", "use one of 'pretrain', 'self_guided', 'whole'"),
    (MATTING, "network.depths", (2, 2, 6), "a sequence of 4"),
    (MATTING, "optim.lr", float("inf"), "a finite number"),
    (MATTING, "optim.weight_decay", 50.0, "at least 0 and at most 1"),
]


@pytest.mark.parametrize(
    ("path", "key", "value", "words"), [*((TOY, *case) for case in CORE), *OWN]
)
def test_what_breaks_its_rule_is_named(tmp_path, path, key, value, words):
    """At the top and in a stage, before the run directory is made."""
    config = config_lib.load(str(path))
    before = config_lib.from_json(config_lib.to_json(config))
    *groups, last = key.split(".")
    with config.unlocked(), config.ignore_type():
        node = config
        for group in groups:
            node = node[group]
        node[last] = value
    with pytest.raises(UserError) as error:
        train.train(config, tmp_path / "run")
    assert str(error.value).startswith(f"{key}={value!r}") or config.stages
    assert words in str(error.value) and not (tmp_path / "run").exists()
    overrides = {last: value}
    for group in reversed(groups):
        overrides = {group: overrides}
    with before.unlocked():
        before.stages = ({"name": "first", "overrides": overrides},)
    with pytest.raises(UserError) as error:
        stages.check(before)
    assert str(error.value).startswith(f"Stage 'first': {key}={value!r}")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("first", "config.stages='first': expected a sequence"),
        (3, "config.stages=3"),
        (None, "config.stages=None"),
        ({"name": "first"}, "expected a sequence"),
        (("first",), r"config.stages\[0\]='first': expected an entry as in"),
        (({},), r"config.stages\[0\]: name=None: expected a text"),
        (({"name": 3},), "name=3: expected a text"),
        (({"name": ""},), "name='': expected a text"),
        (({"name": "a", "steps": 3},), r"config.stages\[0\]: key='steps' is unknown"),
        (({"name": "a", "overrides": "train"},), "Stage 'a': overrides='train'"),
        (({"name": "a", "overrides": {"train": {1: 2}}},), "Stage 'a': overrides="),
        (({"name": "a", "overrides": {"train": 3}},), "the unknown key 'train'"),
        (({"name": "a", "overrides": {"method": "no"}},), "config.method is 'no'"),
        (({"name": "a", "overrides": {"method": 3}},), "method=3: expected a text"),
        (({"name": "a", "overrides": {"evaluate": {"compare": ("b",)}}}, {"name": "bb"}),
         "A stage in evaluate.compare 'b' is unknown: use one of 'a', 'bb'"),
        (({"name": "a", "overrides": {"evaluate": {"stages": ("c",)}}},),
         "A stage in evaluate.stages 'c' is unknown"),
        (({"name": "a", "build": "yes"},), "build='yes': expected True or False"),
        (({"name": "a", "start": 3},), "Stage 'a': start holds 3"),
    ],
)
def test_malformed_stages_are_named(tmp_path, table, words):
    config = config_lib.load(str(TOY))
    with config.unlocked(), config.ignore_type():
        config.stages = table
    with pytest.raises(UserError, match=words):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_all_that_breaks_its_rule_is_named_at_once():
    config = config_lib.load(str(TOY), [("optim.lr", "-1"), ("train.log_every", "0")])
    with pytest.raises(UserError) as caught:
        stages.check(config)
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 values will not do:" and len(lines) == 3
    assert any("train.log_every=0" in line for line in lines)
    assert any("optim.lr=-1" in line for line in lines)
