"""Edits are measured against true ones: the figures, the systems, and states of other variants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.sdic import attributes, edit_evaluation, judge_method
from jaxedit.run import drawing, evaluate
from tests import fake_run, shrink

NAMES = attributes.NAMES
SHARES = (0.0, 0.5, 1.0)


def configuration(**changes):
    config = shrink.sdic(**{
        "network.discrepancy": "residual", "data.source": "portraits:32", "data.fit": "scale",
        "network.noise": "stored", **changes,
    })
    with config.unlocked():
        config.evaluate.editing, config.evaluate.shares = True, SHARES
        config.judge = {"channels": (8, 8)}
    return config


def test_figures():
    batch = {
        "image": np.zeros((2, 4, 4, 3), np.float32),
        "place": np.array([NAMES.index("smile"), NAMES.index("glasses")]),
        "wanted": np.array([0.5, -1.0], np.float32),
        "truths": np.stack([np.full((2, 4, 4, 3), v, np.float32) for v in (0, 0.2, 0.4)], 1),
        "known": np.array([[True, True, True], [True, False, True]]),
    }
    source = np.full((2, len(NAMES)), 0.5)
    judged = source.copy()
    judged[0, NAMES.index("smile")] += 0.25
    judged[1, NAMES.index("pose")] -= 0.5
    outputs = {
        "edited": np.full((2, 4, 4, 3), 0.3, np.float32), "judged": judged,
        "judged_source": source, "lec": np.array([2.0, np.nan]),
    }

    def figure(metric, **more):
        accumulator = metric.new()
        accumulator.update(outputs, batch | more)
        (name,) = metric.names
        return accumulator.result()[name], accumulator.counts()[name]

    error = edit_evaluation.EditError("edit_l1", SHARES)
    assert figure(error) == (pytest.approx(0.1), 2)
    half = {"strength": np.full(2, 0.5, np.float32)}
    assert figure(error, **half) == (pytest.approx(0.1), 1)  # there is no half of glasses
    with pytest.raises(UserError, match="not at 0.3"):
        figure(error, strength=np.full(2, 0.3))
    assert figure(edit_evaluation.Moved()) == (pytest.approx((0.5 + 0) / 2), 2)
    assert figure(edit_evaluation.OthersMoved()) == (pytest.approx(0.5 / 5 / 2), 2)
    assert figure(edit_evaluation.Consistency()) == (2.0, 1)


@pytest.fixture(scope="module")
def prepared():
    """A method before its first step, and its state with directions and a judge."""
    config = configuration()
    method = method_lib.create(config)
    state = fake_run.begun(method)
    judge = judge_method.network_of(config)
    rng = np.random.default_rng(0)
    known = {
        "vectors": jnp.asarray(rng.standard_normal((len(NAMES), 6, 32)), jnp.float32),
        "effects": jnp.asarray([0.1, 0.2, 0.3, -0.1, 0.4, 0.5]),
    }
    frozen = {
        **state.frozen, "directions": known,
        "judge": drawing.drawn(judge.init, jax.random.key(1), jnp.zeros((1, 32, 32, 3))),
    }
    return config, method, state, state.replace(frozen=frozen)


def test_systems_see_the_same_edits(prepared):
    config, method, bare, state = prepared
    result = evaluate.Evaluator(method, config, name="editing").run(state, 8, curves=True)
    assert set(result.table) == {"model", "no edit", "encoder alone"}
    samples = [method.transform(train=False)(sources.create("portraits:32", "eval")[i],
                                             np.random.default_rng(0)) for i in range(8)]
    still = result.table["no edit"]["all"]
    expected = np.mean([np.abs(one["image"] - one["truths"][2]).mean() for one in samples])
    assert still["edit_l1"] == pytest.approx(expected, rel=1e-5)
    assert still["moved"] == 0 and still["others_moved"] == 0 and still["lec"] is None
    assert result.counts["all"] == 8 and sum(result.counts[name] for name in NAMES) == 8
    (curve,) = result.curves
    points = curve["systems"]["model"]
    assert [point[0] for point in points] == list(SHARES)
    assert points[-1][1:] == [result.table["model"]["all"][k] for k in ("moved", "edit_l1")]
    assert result.grids["samples"].ndim == 3
    with pytest.raises(UserError, match="does not start from one"):
        evaluate.Evaluator(method, config, name="editing").run(bare, 8)


def test_an_edit_goes_as_far_as_the_judge_says(prepared):
    """By hand: codes moved by wanted change over effect, and the picture of the task `edit`."""
    _, method, _, state = prepared
    image = jnp.asarray(np.tanh(np.random.default_rng(1).standard_normal((2, 32, 32, 3))))
    places, wanted = np.array([1, 3]), np.array([0.5, -1.0], np.float32)
    predict = jax.jit(method.predict, static_argnames="task")
    key = jax.random.key(0)
    found = predict(state, {"image": image, "place": places, "wanted": wanted,
                            "strength": np.full(2, 0.5, np.float32)}, key, task="measure_edit")
    inverted = predict(state, {"image": image}, key, task="invert")
    # An effect of the wrong sign is no reason to go the other way; codes go 12 lengths at most.
    lengths = np.array([0.5 * 0.5 / 0.2, -12.0])
    vectors = np.asarray(state.frozen["directions"]["vectors"])[places]
    edited = predict(state, {
        "codes": inverted["codes"], "residual": inverted["residual"], "direction": vectors,
        "strength": lengths,
    }, key, task="edit")["image"]
    shown = np.clip(method.inversion.pooled(edited), -1, 1)
    np.testing.assert_allclose(found["edited"], shown, atol=1e-4)
    again = predict(state, {"image": found["edited"]}, key, task="invert")["codes"]
    back = again - lengths[:, None, None] * vectors
    np.testing.assert_allclose(
        found["lec"], np.linalg.norm((inverted["codes"] - back).reshape(2, -1), axis=1), rtol=1e-3
    )


def test_codes_may_be_moved_before_they_are_compensated(prepared):
    """Unmoved, what is compensated then is the reconstruction; moved, it is by hand."""
    config, _, _, state = prepared
    with config.copy_and_resolve_references().unlocked() as config:
        config.evaluate.move_before = True
    method = method_lib.create(config)
    assert "moved before" in method.evaluations()["editing"].systems
    image = jnp.asarray(np.tanh(np.random.default_rng(1).standard_normal((2, 32, 32, 3))))
    predict = jax.jit(method.predict, static_argnames="task")
    places, key = np.array([1, 3]), jax.random.key(0)
    edit = lambda wanted: predict(state, {
        "image": image, "place": places, "wanted": np.array(wanted, np.float32),
        "strength": np.ones(2, np.float32),
    }, key, task="measure_edit")
    still, inverted = edit((0.0, 0.0)), predict(state, {"image": image}, key, task="invert")
    seen = lambda picture: np.clip(method.inversion.pooled(picture), -1, 1)
    np.testing.assert_allclose(still["before_edited"], seen(inverted["image"]), atol=1e-5)

    moved = edit((0.1, -0.1))
    lengths = np.array([0.1 / 0.2, -0.1 / 0.02])  # of effects, the second too small to divide by
    move = lengths[:, None, None] * np.asarray(state.frozen["directions"]["vectors"])[places]
    inversion, codes = method.inversion, inverted["encoded"] + move
    generator = {"generator": state.frozen["generator"]}
    _, feature = inversion.generate(generator, codes)
    variables = {"params": state.params["dicn"], "batch_stats": state.stats["dicn"]}
    feature, compensated = inversion.dicn.apply(
        variables, inverted["discrepancy"], feature, codes
    )
    expected = seen(inversion.generate(generator, compensated, None, feature)[0])
    np.testing.assert_allclose(moved["before_edited"], expected, atol=1e-4)
    assert np.abs(moved["before_edited"] - moved["edited"]).max() > 1e-3


@pytest.mark.parametrize("changes", [
    {"network.discrepancy": "dipn"}, {"network.parts": "codes"}, {"network.parts": "feature"},
    {"network.gate": "false"},
])
def test_states_of_other_variants_are_applied_as_what_they_are(prepared, changes):
    """A demo sets them beside its own; edits of theirs are traced with what their state holds."""
    _, method, _, prepared_state = prepared
    other = method_lib.create(configuration(**changes))
    state = jax.eval_shape(lambda key: other.init(key, other.spec(1)), jax.random.key(0))
    found, own = method._of(state.params), other.inversion
    assert (found.source, found.dicn.parts, found.dicn.gate) == (
        own.source, own.dicn.parts, own.dicn.gate
    )
    state = state.replace(frozen=prepared_state.frozen)
    inputs = {"image": jnp.zeros((2, 32, 32, 3)), "place": np.zeros(2, int),
              "wanted": np.zeros(2, np.float32), "strength": np.zeros(2, np.float32)}
    edited = jax.eval_shape(
        lambda state: method.predict(state, inputs, jax.random.key(0), task="measure_edit"), state
    )
    assert edited["edited"].shape == (2, 32, 32, 3) and edited["lec"].shape == (2,)


def test_the_whole_change_must_be_measured():
    config = configuration()
    with config.unlocked():
        config.evaluate.shares = (0.0, 0.5)
    with pytest.raises(UserError, match="must end with 1"):
        method_lib.create(config)
