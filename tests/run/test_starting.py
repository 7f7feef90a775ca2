"""What a stage starts from: earlier stages, files, published weights; and what follows from it."""

import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from jaxedit import method as method_lib
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.run import readers, rehearsal, sharding, stages, starting, train
from jaxedit.state import StartingValue, State
from jaxedit.weights import convert, manifest
from tests.run.test_train import assert_same, one_device, toy
from tests.weights import examples


@pytest.fixture(scope="module")
def method():
    return method_lib.create(toy())


def start(method, pairs, earlier=None):
    plan = sharding.Plan(one_device())
    return starting.initial_state(method, plan, jax.random.key(0), pairs, earlier)


def tree(seed):
    rng = np.random.default_rng(seed)
    shapes = {"Conv_0": (3, 8), "Conv_1": (8, 3)}
    return {
        name: {"kernel": rng.normal(size=(3, 3, *shape)).astype(np.float32),
               "bias": rng.normal(size=shape[-1:]).astype(np.float32)}
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ((), "from nothing"),
        ((("sketch:ema/painter", "params/painter"), ("sketch:ema/x", "stats/painter")),
         "painter from stage 'sketch'; critic and head from nothing"),
        ((("weights:scat-small:params/generator", "params/painter"),
          ("weights:vgg16", "params/critic/trunk"), ("drawn.safetensors:a", "params/critic/top"),
          ("weights:vgg19", "frozen/vgg19")),
         "painter from 'scat-small', which comes with jaxedit; critic from the published weights "
         "'vgg16' (trunk) and the file drawn.safetensors (top); vgg19 (frozen) from the published "
         "weights 'vgg19'; head from nothing"),
        ((("artifact:bank:file:painter", "params/painter"), ("sketch:params/critic",
           "params/critic"), ("sketch:params/head", "params/head")),
         "painter from what stage 'bank' built; critic from stage 'sketch'; head from stage "
         "'sketch'"),
    ],
)
def test_what_a_stage_begins_with_is_said(pairs, words):
    names = ("painter", "critic", "head")
    assert starting.described(pairs, names, ("sketch",)) == words


def test_averages_follow_from_what_parameters_start_from(method):
    """Prediction prefers the average: it must not stay at random parameters."""
    earlier = {"first": State(0, {"painter": tree(1)})}
    state = start(method, (("first:params/painter", "params/painter"),), earlier)
    assert_same(state.params["painter"], tree(1))
    assert_same(state.ema["painter"], tree(1))
    fresh = start(method, ())
    assert_same(state.params["critic"], fresh.params["critic"])
    assert_same(fresh.ema["painter"], fresh.params["painter"])
    # An average of its own goes before what follows from the parameters.
    pairs = (("first:params/painter", "ema/painter"),)
    state = start(method, pairs, earlier)
    assert_same(state.ema["painter"], tree(1))
    assert_same(state.params["painter"], fresh.params["painter"])


def test_files_fill_places_that_were_not_there(method, tmp_path):
    file = tmp_path / "found.safetensors"
    flat = traverse_util.flatten_dict({"a": tree(2), "b": tree(3)}, sep="/")
    safetensors.numpy.save_file(flat, file)
    pairs = ((f"{file}:a", "frozen/teacher"), (f"{file}:b/Conv_0/bias", "extra/mean"),
             (f"{file}:b/Conv_0", "params/painter/Conv_0"))
    state = start(method, pairs)
    assert_same(state.frozen["teacher"], tree(2))
    np.testing.assert_array_equal(state.extra["mean"], tree(3)["Conv_0"]["bias"])
    assert_same(state.params["painter"]["Conv_0"], tree(3)["Conv_0"])


def test_large_parameters_begin_on_their_own_devices(method):
    """The whole state, which may not fit one device, is never on one."""

    class Wide(type(method)):
        def variables(self, rng, spec):
            state = super().variables(rng, spec)
            wide = {"kernel": jax.random.normal(rng, (256, 128))}
            return state.replace(params={**state.params, "critic": wide})

    wide = Wide(method.config, None, {})
    one = start(wide, ())
    plan = sharding.Plan(parameters="fsdp")
    state = starting.initial_state(wide, plan, jax.random.key(0))
    for tree in (state.params["critic"], state.opt["critic"][0].mu):
        assert {s.data.shape for s in tree["kernel"].addressable_shards} == {(32, 128)}
    assert_same(state, one)


def test_starting_values_are_traced(method):
    value = StartingValue(
        jax.eval_shape(lambda: jax.tree.map(jax.numpy.asarray, tree(0))), "a:b", "frozen/new"
    )
    state = jax.eval_shape(
        lambda rng, start: method.init(rng, method.spec(1), start), jax.random.key(0), (value,)
    )
    assert state.frozen["new"]["Conv_0"]["kernel"].shape == (3, 3, 3, 8)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("first:params/painter", "params/paintr"), "no such place.*Did you mean 'params/painter'"),
        (("first:params/painter", "parms/painter"), "There are: step, params"),
        (("first:params/other", "params/painter"), "stage 'first' holds no 'params/other'"),
        (("last:params/painter", "params/painter"), r"neither an earlier stage \(first\)"),
        (("none.safetensors:a", "params/painter"), "no file none.safetensors"),
        (("first:params/painter/Conv_0", "params/painter/Conv_1"),
         r"does not fit at 'bias': shape \(8,\) there, \(3,\) here"),
        (("weights:vgg91", "frozen/vgg"), "Did you mean 'vgg19'"),
    ],
)
def test_mistakes_are_named(method, pair, words):
    earlier = {"first": State(0, {"painter": tree(1)})}
    with pytest.raises(UserError, match=words):
        start(method, (pair,), earlier)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("frist:params/painter", "params/painter"), "Did you mean 'first'"),
        (("second:params/painter", "params/painter"), r"neither an earlier stage \(first\)"),
        (("first:params/painter", "prams/painter"), "Did you mean 'params'"),
        (("none.safetensors:a", "params/painter"), "no such file"),
        (("weights:vgg19", "frozen/vgg19"), "weights convert vgg19"),
        (("artifact:first:a.npz", "extra/a"), "host stage 'first' is unknown"),
        (("first:params/paintr", "params/painter"), "'second' starts .*holds no 'params/paintr'"),
        (("first:params/painter", "params/paintr"), "'second': .*Did you mean 'params/painter'"),
        (("first:params/painter/Conv_0", "params/painter/Conv_1"),
         r"'second': .*does not fit at 'bias': shape \(8,\) there, \(3,\) here"),
        (("{file}:b", "extra/b"), "holds no 'b'"),
        (("{file}:a/Conv_0", "params/painter"), "does not fit at 'Conv_0/bias'.*absent there"),
        (("{file}:a/Conv_0", "params/painter/Conv_0"), "'fourth': .*does not fit at 'bias'"),
    ],
)
def test_mistakes_of_a_later_stage_are_found_before_the_first_runs(
    pair, words, monkeypatch, tmp_path
):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    config, file = toy(), tmp_path / "found.safetensors"
    safetensors.numpy.save_file(traverse_util.flatten_dict({"a": tree(2)}, sep="/"), file)
    pair = tuple(text.replace("{file}", str(file)) for text in pair)
    with config.unlocked():
        config.stages = (
            {"name": "first"},
            {"name": "second", "start": (pair,)},
            {"name": "third", "start": ((f"{file}:a/Conv_0/bias", "extra/new/bias"),)},
            {"name": "fourth", "start": (("third:extra/new", "params/painter/Conv_1"),)},
        )
    with pytest.raises(UserError, match=words):
        train.train(config, tmp_path / "run", one_device())
    assert not (tmp_path / "run").exists()


def test_networks_of_a_bundle_start_different_fields(method, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    monkeypatch.setitem(manifest.entries(), "inversion", examples.ONE_FILE)
    file = examples.published(tmp_path, examples.inversion())
    convert.convert("inversion", file)
    state = start(method, (("weights:inversion:generator", "frozen/generator"),
                           ("weights:inversion:average/code", "extra/latent_avg")))
    assert state.frozen["generator"]["params"]["kernel"].shape == (4, 2)
    assert state.extra["latent_avg"].shape == (18, 4)
    with pytest.raises(UserError, match="Did you mean 'generator'"):
        start(method, (("weights:inversion:generatr/params", "frozen/generator"),))


def test_absent_weights_say_how_to_get_them(method, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    with pytest.raises(PretrainedWeightsMissing, match="weights convert vgg19"):
        start(method, (("weights:vgg19:params", "frozen/vgg19"),))


def test_unknown_key_of_a_stage_is_named():
    config = toy()
    with config.unlocked():
        config.stages = ({"name": "a", "strat": ()},)
    with pytest.raises(UserError, match="Did you mean 'start'"):
        stages.read(config)


def test_what_was_new_is_saved_and_restored(tmp_path):
    """A resumed run, and one on another machine, needs nothing but the checkpoint."""
    config = toy(("train.evaluate_every", "0"))
    file = tmp_path / "found.safetensors"
    safetensors.numpy.save_file({"mean": np.arange(3, dtype=np.float32)}, file)
    with config.unlocked():
        config.train.steps = 1
        config.stages = (
            {"name": "only", "start": ((f"{file}:mean", "extra/found/mean"),
                                       (f"{file}:mean", "frozen/mean"))},
        )
    state = train.train(config, tmp_path / "run", one_device())
    file.unlink()
    assert_same(train.train(config, tmp_path / "run", one_device()), state)
    _, _, loaded = readers.load_run(tmp_path / "run")
    np.testing.assert_array_equal(loaded.extra["found"]["mean"], [0, 1, 2])
    np.testing.assert_array_equal(loaded.frozen["mean"], [0, 1, 2])
    shutil.rmtree(tmp_path / "run" / "frozen")
    with pytest.raises(UserError, match="stage 'only'.*no such.*held mean.*copy"):
        train.train(config, tmp_path / "run", one_device())


def test_what_cannot_be_known_beforehand_is_left_to_the_stage(tmp_path):
    """A stage that has trained needs its origins no more; what stands on it is still looked at."""
    file = tmp_path / "found.safetensors"
    config = toy()
    with config.unlocked():
        config.stages = (
            {"name": "first", "start": ((f"{file}:a", "extra/new"),)},
            {"name": "second", "start": (("first:extra/new/bias", "extra/bias"),
                                         ("first:params/painter", "params/critic"))},
            {"name": "made", "build": True},
            {"name": "last", "start": ((f"{file}:c", "extra/c"), ("artifact:made:x", "extra/x"))},
        )
    every = stages.read(config)
    rehearsal.check(every[:3], lambda stage: stage.name == "first")
    with pytest.raises(UserError, match="found.safetensors cannot be read"):
        rehearsal.check(every[:2], lambda stage: False)
    safetensors.numpy.save_file({"a/bias": np.zeros(3, np.float32)}, file)
    with pytest.raises(UserError, match="'last' starts from .*it holds no 'c'"):
        rehearsal.check(every, lambda stage: False)
    with config.unlocked():
        config.stages[1]["start"] = (("first:params/painter", "params/critic/Conv_0"),)
    with pytest.raises(UserError, match="Stage 'second': .*does not fit"):
        rehearsal.check(stages.read(config)[:2], lambda stage: stage.name == "first")
