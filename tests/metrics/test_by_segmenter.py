"""What a segmenter says of pictures, against the layout and against real ones."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.metrics import Keys, base, by_segmenter, distribution
from jaxedit.models import segmenter
from jaxedit.run import drawing
from jaxedit.weights import shipped


class Threshold(nn.Module):
    """Labels a pixel by its first channel: 0 dark, 1 bright; pooled features are channel means."""

    classes: int = 2
    channels: tuple = (3,)

    @nn.compact
    def __call__(self, image):
        return jnp.stack([-image[..., 0], image[..., 0]], -1) * self.variable(
            "params", "scale", jnp.ones, ()
        ).value

    def pooled(self, image):
        return image.mean((1, 2))


NETWORK = Threshold()
VARIABLES = drawing.drawn(NETWORK.init, jax.random.key(0), jnp.zeros((1, 2, 2, 3)))


def test_layout_agreement_labels_the_pictures_first():
    label = np.array([[[0, 0, 1, 1], [255, 0, 1, 1]]] * 3, np.int32)
    picture = np.where(label[..., None] == 1, 0.5, -0.5).astype(np.float32) * np.ones(3, np.float32)
    picture[:, 0, 0] = 0.5  # one pixel of class 0 is drawn like class 1
    metric = by_segmenter.LayoutAgreement(NETWORK, VARIABLES, Keys("image", "label"))
    total = metric.new()
    for part in (slice(0, 1), slice(1, 3)):
        total.update({"image": picture[part]}, {"label": label[part]})
    figures = total.result()
    assert figures["pixel_accuracy_by_segmenter"] == pytest.approx(6 / 7)
    assert figures["mean_iou_by_segmenter"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert "by a segmenter" in metric.titles["mean_iou_by_segmenter"]


def test_figures_of_each_class_bear_their_names_and_absent_ones_are_told():
    keys = Keys("label", "label")
    metric = by_segmenter.SegmentationMetric(3, keys, named=("sky", "road", "sea"))
    total = metric.new()
    total.update({"label": np.array([[[0, 1]]])}, {"label": np.array([[[0, 0]]])})
    figures = total.result()
    assert figures["iou/sky"] == 0.5 and figures["iou/road"] == 0 and np.isnan(figures["iou/sea"])
    assert "over the 2 of 3 classes" in total.notes()["mean_iou"]


def test_frechet_distance_is_that_of_the_pooled_features_of_8_bit_pictures():
    rng = np.random.default_rng(0)
    real, made = (rng.uniform(-1, high, (20, 4, 4, 3)).astype(np.float32) for high in (1, 0.2))
    metric = by_segmenter.frechet_distance(NETWORK, VARIABLES, base.Keys("image", "real"))
    assert metric.names == ("frechet_segmenter",) and "FID" not in metric.titles[metric.names[0]]
    total = metric.new()
    total.update({"image": made}, {"real": real})
    rows = [
        np.round((images + 1) * 127.5).mean((1, 2)) / 127.5 - 1 for images in (made, real)
    ]
    expected = distribution.frechet_distance(*map(distribution.gaussian_of_rows, rows))
    assert total.result()["frechet_segmenter"] == pytest.approx(expected, rel=1e-3)


def test_a_judge_that_comes_with_the_package(tmp_path, monkeypatch):
    """Its weights and its card make the network; a card of something else is no judge."""
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    network = segmenter.Segmenter(3, (8, 16))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
    variables = drawing.drawn(network.init, jax.random.key(0), image)
    card = {key: "" for key in shipped.REQUIRED} | {"config": {
        "method": "segmentation", "network": {"channels": [8, 16]},
        "classes": {"names": ["sky", "road", "sea"]},
    }}
    shipped.write(tmp_path, "judge", {"params": {"segmenter": variables["params"]}}, card)
    shipped.write(tmp_path, "other", {"params": {}}, {**card, "config": {"method": "toy"}})
    judge = by_segmenter.load("judge", 3)
    np.testing.assert_allclose(
        judge.network.apply(judge.variables, image), network.apply(variables, image), atol=2e-2
    )
    with pytest.raises(UserError, match="knows 3 classes and the layouts have 4"):
        by_segmenter.load("judge", 4)
    with pytest.raises(UserError, match="'other'"):
        by_segmenter.load("other", 3)


def test_a_judge_of_ones_own_is_named_by_its_path(tmp_path):
    network = segmenter.Segmenter(3, (8, 16))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
    variables = drawing.drawn(network.init, jax.random.key(0), image)
    card = {key: "" for key in shipped.REQUIRED} | {"config": {
        "method": "segmentation", "network": {"channels": [8, 16]},
        "classes": {"names": ["sky", "road", "sea"]},
    }}
    path = shipped.write(tmp_path, "mine", {"params": {"segmenter": variables["params"]}}, card)
    judge = by_segmenter.load(str(path), 3)
    np.testing.assert_allclose(
        judge.network.apply(judge.variables, image), network.apply(variables, image), atol=2e-2
    )
    other = shipped.write(tmp_path, "toy", {"params": {}}, {**card, "config": {"method": "toy"}})
    with pytest.raises(UserError, match="is no segmenter: train"):
        by_segmenter.load(str(other), 3)
    with pytest.raises(UserError, match=r"absent\.safetensors does not exist"):
        by_segmenter.load(str(tmp_path / "absent.safetensors"), 3)
    other.with_suffix(".json").write_text("{")
    with pytest.raises(UserError, match="damaged.*Write it and its card anew"):
        by_segmenter.load(str(other), 3)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UserError, match="SHA-256"):
        by_segmenter.load(str(path), 3)
