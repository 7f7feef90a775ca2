"""Trained parts that come with jaxedit take the place of the stages that trained them."""

import functools

import jax
import numpy as np
import pytest

from experiments import ship
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import PretrainedWeightsMissing
from jaxedit.run import opening, rehearsal, stages, starting
from jaxedit.state import State, put
from jaxedit.weights import shipped
from tests import fake_run, shrink

CARD = dict.fromkeys(shipped.REQUIRED, "")
TRAINED_ON = "inversion"  # a demo goes on from it, under the same name
# Stage -> what of it ships, as the commands of `experiments/ship.py` name it: networks, extra.
PORTRAITS = {"generator": (["generator"], ["average"]), "encoder": (["encoder"], []),
             "judge": (["judge"], []), "inversion": (["dipn", "dicn"], [])}
WORLD = {"autoencoder": (["autoencoder"], ["latent_scale"]), "diffusion": (["unet", "text"], []),
         "towers": (["clip"], []), "segmenter": (["segmenter"], [])}
PAPERS = {
    "portraits": (shrink.sdic, "chain", PORTRAITS), "world": (shrink.iedit, "scenes", WORLD),
}


def trained(stage):
    """Returns a made-up result of a stage, whose averages are not its parameters."""
    method = method_lib.create(stage.config)
    state = fake_run.drawn(jax.eval_shape(
        lambda rng: method.variables(rng, method.spec(1)), jax.random.key(0)
    ))
    averages = jax.tree.map(lambda x: np.asarray(x) / 2, method.averages(state.params))
    extra = {**state.extra}
    for name in ("average", "latent_scale"):
        if name in extra:
            extra[name] = np.abs(np.random.default_rng(1).standard_normal(extra[name].shape))
    return state.replace(ema=averages, extra=extra)


@pytest.fixture(scope="module", params=sorted(PAPERS))
def paper(request, tmp_path_factory):
    """Folder of weights, stages of the whole chain, what they made, and stages of the demo."""
    make, preset, parts = PAPERS[request.param]
    place = tmp_path_factory.mktemp(request.param)
    every = {stage.name: stage for stage in stages.read(make(preset))}
    earlier = {name: trained(every[name]) for name in parts}
    for name, (networks, extra) in parts.items():
        kept = ship.variables(earlier[name], networks, extra)
        shipped.write(place, f"{request.param}-{name}", kept, CARD)
    return place, every, earlier, stages.read(make("demo"))


def of_other_stages(pairs):
    """Returns pairs without artefacts, and without what a stage goes on from."""
    return [pair for pair in pairs
            if not pair[0].startswith("artifact:") and f"-{TRAINED_ON}:" not in pair[0]]


def test_a_stage_begins_with_weights_as_with_the_stage_before(paper, monkeypatch):
    """Bit for bit, as they are stored: numbers of float16."""
    place, every, earlier, demo = paper
    monkeypatch.setattr(shipped, "folder", lambda: place)
    assert set(every) - {*earlier} | {*earlier} & {TRAINED_ON} == {stage.name for stage in demo}
    begun = 0
    for stage in demo:
        method = method_lib.create(stage.config)
        one, other = (
            starting.filled(State(np.int32(0)), method, of_other_stages(pairs), earlier)
            for pairs in (stage.start, every[stage.name].start)
        )
        halves = jax.tree.map(lambda x: shipped.stored(x).astype(np.float32), other)
        assert jax.tree.structure(one) == jax.tree.structure(halves)
        jax.tree.map(np.testing.assert_array_equal, one.replace(step=0), halves.replace(step=0))
        begun += len(jax.tree.leaves(one))
    assert begun > 100


def test_what_does_not_fit_is_found_before_the_first_stage(paper, monkeypatch, tmp_path):
    """Of later stages too, whatever host stages come first."""
    place, _, earlier, demo = paper
    monkeypatch.setattr(shipped, "folder", lambda: place)
    opening.check_stages(demo, tmp_path / "run")
    name = next(iter(earlier))
    stage = demo[-1]
    source, target = next(pair for pair in stage.start if f"-{name}:" in pair[0])
    wrong = stages.Stage(stage.name, stage.config, ((source + "s", target),))
    with pytest.raises(rehearsal.UserError, match=f"'{stage.name}' starts from .*holds no"):
        opening.check_stages([*demo[:-1], wrong], tmp_path / "run")


@pytest.mark.parametrize("preset, names, command", [
    ("sdic.py:encoder", ("generator",), "configs/sdic.py:chain"),
    ("sdic.py:demo", ("generator", "judge", "encoder", "inversion"), "configs/sdic.py:chain"),
    ("sdic.py:compensation", ("generator", "judge", "encoder"), "configs/sdic.py:chain"),
    ("iedit.py:world", ("autoencoder",), "configs/iedit.py:scenes"),
    ("iedit.py:world_further", ("autoencoder", "diffusion"), "configs/iedit.py:scenes"),
    ("iedit.py:demo", ("towers", "segmenter", "autoencoder", "diffusion"),
     "configs/iedit.py:scenes"),
])
def test_while_they_are_absent_a_demo_says_which_and_what_to_do(
    preset, names, command, monkeypatch, tmp_path
):
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    every = stages.read(config_lib.load(str(shrink.ROOT / "configs" / preset)))
    with pytest.raises(PretrainedWeightsMissing) as error:
        opening.check_stages(every, tmp_path / "run")
    said = str(error.value)
    assert all(f"-{name}'" in said for name in names)
    assert said.count("do not come with") == said.count(command) == 1
    # The chain that is named needs none of them.
    path, _, whole = command.partition(":")
    every = stages.read(config_lib.load(str(shrink.ROOT / path) + f":{whole}"))
    named = [source for stage in every for source, _ in stage.start]
    assert not any(source.startswith("weights:") for source in named)


def test_averages_of_a_part_take_the_place_of_that_part():
    """As where the attention to the text alone is fine-tuned."""
    state = State(0, params={"unet": {"a": {"x": np.zeros(2)}, "b": np.ones(1)}},
                  ema={"unet": {"a": {"x": np.full(2, 7.0)}}})
    kept = ship.variables(state)["params"]["unet"]
    np.testing.assert_array_equal(kept["a"]["x"], [7, 7])
    np.testing.assert_array_equal(kept["b"], [1])


def test_what_is_shipped_is_chosen_by_names_that_there_are():
    state = State(0, params={"encoder": {}}, extra={"pool": np.zeros(1)})
    assert ship.variables(state, ["encoder"], []) == {"params": {"encoder": {}}}
    for arguments, words in (((["encodr"],), "Did you mean 'encoder'"),
                             (((), ["pol"]), "Did you mean 'pool'")):
        with pytest.raises(rehearsal.UserError, match=words):
            ship.variables(state, *arguments)


def test_a_part_goes_on_from_weights_of_its_own(paper, monkeypatch):
    """What is trained may start from them too."""
    place, _, earlier, _ = paper
    monkeypatch.setattr(shipped, "folder", lambda: place)
    for weights in shipped.names():
        state = earlier[weights.partition("-")[2]]
        for name, tree in shipped.load(shipped.get(weights))["params"].items():
            value, = starting.read([(f"weights:{weights}:params/{name}", f"params/{name}")], {})
            begun = put(state, value, lambda value, fresh: value.tree)
            jax.tree.map(np.testing.assert_array_equal, begun.params[name], tree)


@pytest.mark.parametrize("paper", ["portraits"], indirect=True)
def test_the_demo_goes_on_from_every_number_of_what_ships(paper, monkeypatch):
    """Of the stages that a shrunk demo has."""
    place, _, earlier, demo = paper
    monkeypatch.setattr(shipped, "folder", lambda: place)
    for stage in demo:
        pairs = [pair for pair in stage.start if f"-{TRAINED_ON}:" in pair[0]]
        if not pairs:
            continue
        method = method_lib.create(stage.config)
        fresh = fake_run.drawn(jax.eval_shape(
            lambda rng, method=method: method.variables(rng, method.spec(1)), jax.random.key(0)
        ))
        for value in starting.read(pairs, {}):
            fresh = put(fresh, value, method.fit)
        for field, trees in (("params", fresh.params), ("stats", fresh.stats)):
            for name, tree in trees.items():
                there = getattr(earlier[TRAINED_ON], field)[name]
                same = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
                jax.tree.map(same, tree, {key: there[key] for key in tree})


def test_each_path_alone_goes_on_from_its_part_of_both():
    demo = stages.read(config_lib.load(str(shrink.ROOT / "configs/sdic.py:demo")))
    of_dicn = {stage.name: {target for _, target in stage.start if "/dicn/" in target}
               for stage in demo}
    codes, feature, both = (of_dicn[n] for n in ("codes-only", "feature-only", "inversion"))
    assert codes and feature and not codes & feature
    assert codes | feature == both == of_dicn["raw-residual"]
