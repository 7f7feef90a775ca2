"""The judge learns what scenes of the small world show, and is measured on held-out ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.methods.iedit import judge_method
from jaxedit.methods.iedit.text_data import Shown
from jaxedit.run import evaluate, readers, train
from tests import shrink
from tests.methods.iedit import worlds


def test_it_trains_and_is_measured(tmp_path):
    world = worlds.folder(tmp_path / "data", 24)
    config = shrink.iedit("judge", **{
        "data.source": f"folder:{world}", "train.steps": "40", "train.checkpoint_every": "40",
        "train.log_every": "40", "optim.lr": "1e-2", "optim.warmup": "1",
        "data.scale": "(1.0, 1.0)",
        "evaluate.source": f"folder:{world}", "evaluate.split": "train",
    })
    train.train(config, tmp_path / "run", jax.devices()[:1])
    stage, method, state = readers.load_run(tmp_path / "run")
    table = evaluate.evaluate(method, stage, state, tmp_path / "run").table["model"]["all"]
    # On the few scenes that it has seen: far above chance, an eighth and a sixth.
    assert table["colour_accuracy"] > 0.3 and table["setting_accuracy"] > 0.4


def test_the_loss_is_that_of_each_attribute():
    scores, truth = np.random.default_rng(0).normal(size=(4, 22)), np.int32([[1, 2, 3]] * 4)
    wanted = 0
    for start, end, right in ((0, 8, 1), (8, 16, 2), (16, 22, 3)):
        part = scores[:, start:end]
        wanted -= (part[:, right] - np.log(np.exp(part).sum(1))).mean()
    found = judge_method.cross_entropy(jnp.asarray(scores), jnp.asarray(truth))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_other_pictures_and_widths_are_refused():
    with pytest.raises(UserError, match="multiple of 8"):
        method_lib.create(shrink.iedit("judge", **{"judge.channels": "(12,)"}))
    record = {"image": np.zeros((8, 8, 3), np.uint8), "attributes": {"subject": "cat"}}
    with pytest.raises(UserError, match="Use scenes:world"):
        Shown(8, False, (1, 1), False)(record, np.random.default_rng(0))
