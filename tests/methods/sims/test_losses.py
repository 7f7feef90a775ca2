"""Losses of alignment, ordering and the semantic head by hand; rates by epochs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import sims
from jaxedit import metrics
from jaxedit.methods.sims import (
    alignment,
    order,
    order_method,
    ordering_network,
    synthesis_method,
    training,
)


def test_alignment_counts_inside_the_places_alone():
    image = jnp.full((1, 4, 4, 3), 100.0)
    targets = np.zeros((1, 3, 4, 4, 1), np.float32)
    targets[0, 0, :2, :2], targets[0, 1, 2:, 2:] = 1, 1  # the third is not there
    warped = jnp.stack([jnp.full((4, 4, 3), v) for v in (100.0, 90.0, 7.0)])[None]
    loss = alignment.loss(image, warped, jnp.asarray(targets))
    np.testing.assert_allclose(loss, [4 * 3 * 10 / (8 + 1)], rtol=1e-6)
    np.testing.assert_allclose(alignment.loss(image, warped, jnp.zeros_like(targets)), [0])


def test_pairs_that_are_not_there_count_nothing():
    logits = jnp.asarray([[[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]])
    front = jnp.asarray([[1, 2]])
    entropy = [np.log(np.exp(row).sum()) - row[k] for row, k in zip(np.asarray(logits[0]), (1, 2),
                                                                 strict=True)]
    for present, wanted, right in (
        ([1, 1], np.mean(entropy), 0.5), ([1, 0], entropy[0], 1), ([0, 0], 0, 0)
    ):
        found = ordering_network.loss(logits, front, jnp.asarray([present]))
        np.testing.assert_allclose(found, (wanted, right), rtol=1e-6)
    gradient = jax.grad(lambda x: ordering_network.loss(x, front, jnp.asarray([[1, 0]]))[0])(logits)
    assert not np.asarray(gradient)[0, 1].any() and np.asarray(gradient)[0, 0].all()


def test_between_the_two_of_a_pair_the_others_count_nothing():
    logits = jnp.asarray([[[1.0, 5.0, 2.0]]])
    of_pair = ordering_network.of_pair(logits, jnp.asarray([[[2, 0]]]))
    loss, right = ordering_network.loss(of_pair, jnp.asarray([[2]]), jnp.ones((1, 1)))
    assert loss == pytest.approx(np.log1p(np.exp(-1))) and right == 1
    told = np.asarray(jax.nn.softmax(logits))[0]
    edge = order.decide([2, 0], [9, 9], [(0, 1)], {(0, 1): told[0]})[0]
    assert edge.front == 0 and edge.confidence == pytest.approx(np.exp(-loss))


def test_orders_that_need_no_network():
    config = sims.get_config("demo")
    with config.unlocked():
        config.network.classes, config.data.objects = 3, (1, 2)
    pair = np.zeros((1, 3, 4, 4), np.uint8)
    pair[0, :, :2], pair[0, :, 2:] = 1, 2  # the second always reaches further down
    classes = np.asarray([[[0, 1], [1, 0], [2, 1]]])
    batch = {"pair": pair, "pair_classes": classes, "front": np.asarray([[0, 1, 2]]),
             "present": np.ones((1, 3))}
    measured = order_method.Order(config).evaluations()["ordering"]
    front = {name: rule(batch).argmax(-1).tolist() for name, rule in measured.baselines.items()}
    assert front == {"lower edge": [[1, 0, 1]], "objects first": [[1, 1, 1]]}
    keys = metrics.Keys("probabilities", "front", "present")
    outputs = {"probabilities": measured.baselines["objects first"](batch)}
    for name, value in (("front_accuracy", 1 / 3), ("front_accuracy_objects", 0)):
        found, counted = measured.own[name](keys).values(outputs, batch)
        assert found == pytest.approx(value) and counted.all()
    batch["pair_classes"] = classes[:, :2].repeat(2, 1)[:, :3]
    assert not measured.own["front_accuracy_objects"](keys).values(outputs, batch)[1].any()


def test_what_the_ordering_network_is_shown():
    label = jnp.asarray([[[0, 1, 255]]])
    pair = jnp.asarray([[[[2, 1, 0]]]])
    colours = jnp.asarray([[0.1] * 3, [0.2] * 3, [0.0] * 3])
    x = ordering_network.network_input(label, pair, jnp.asarray([[[1, 0]]]), colours)
    np.testing.assert_allclose(x[0, 0, 0, :, 0], [0.1, 0.2, 0.0])
    np.testing.assert_allclose(x[0, 0, 0, :, 5], [0.1, 0.2, 0.0])
    other = ordering_network.network_input(label, pair, jnp.asarray([[[0, 0]]]), colours)
    np.testing.assert_allclose(other[0, 0, 0, :, 0], [0.1, 0.1, 0.0])


def test_semantic_head_at_half_the_size():
    label = jnp.asarray([[[0, 9, 255, 9]] * 2])
    logits = jnp.log(jnp.asarray([[[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]]]))
    found = synthesis_method.semantic_loss(logits, label, 2)
    assert found == pytest.approx(-np.log([0.5, 0.6]).mean())


def test_published_rates():
    optim = sims.get_config("cityscapes").optim
    rate = training.schedule(optim, 1)
    epoch = lambda number: float(rate(jnp.int32((number - 1) * sims.IMAGES)))
    assert epoch(1) == pytest.approx(1e-6) and epoch(11) == pytest.approx(1e-6 * 1.1**10)
    assert epoch(80) == epoch(112) == pytest.approx(1e-3)
    assert epoch(113) == epoch(800) == pytest.approx(1e-4)
    stages = {s["name"]: s["overrides"]["optim"] for s in
              sims.get_config("cityscapes").stages if "optim" in s["overrides"]}
    with optim.unlocked():
        optim.update(stages["align"])
        assert training.schedule(optim, 1)(0) == pytest.approx(1e-5)
        optim.update(stages["order"])
        assert training.schedule(optim, 1)(0) == pytest.approx(1e-6)
        assert training.schedule(optim, 1)(40 * sims.IMAGES) == pytest.approx(1e-5)
        optim.update(schedule="cosine", lr=1.0, warmup=1)
    quick = training.schedule(optim, 5)
    np.testing.assert_allclose([quick(i) for i in (0, 1, 3, 5)], [0.5, 1, 0.5, 0], atol=1e-6)
