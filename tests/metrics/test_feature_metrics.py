"""FID, KID and IDS as streams: any batching, any split over processes, honest about few samples."""

import numpy as np
import pytest

from jaxedit.metrics import distribution, feature_metrics, features


class Plain:
    """An extractor whose features are the first row of 2x2 pixels."""

    features = 6

    def __call__(self, images):
        return images[:, 0].reshape(-1, 6).astype(np.float32)


def metric_of(*kinds):
    metric = feature_metrics.FeatureMetric(Plain())
    for kind in kinds:
        metric.add_figure(kind, kind)
    return metric


def batches(*sizes):
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (2, size, 2, 2, 3)).astype(np.float32) for size in sizes]


@pytest.mark.parametrize(
    "kinds", [("fid", "fid_population"), ("fid", "kid", "u_ids", "p_ids")], ids=["sums", "rows"]
)
@pytest.mark.parametrize("sizes", [(2, 3), (2, 1, 9, 0, 20)], ids=["few", "many"])
def test_streams_and_merges_equal_the_definition(kinds, sizes):
    metric = metric_of(*kinds)
    stream, parts = metric.new(), [metric.new(), metric.new()]
    for index, (prediction, target) in enumerate(batches(*sizes)):
        stream.update({"prediction": prediction}, {"target": target})
        parts[index % 2].update({"prediction": prediction}, {"target": target})
    merged = metric.new().merge([part.state() for part in parts])
    x, y = (metric.extractor(np.concatenate(z)) for z in zip(*batches(*sizes), strict=True))
    expected = {}
    for kind, ddof in (("fid", 1), ("fid_population", 0)):
        fitted = [distribution.gaussian_of_rows(rows, ddof) for rows in (x, y)]
        expected[kind] = distribution.frechet_distance(*fitted)
    if "kid" in kinds:
        score = distribution.inception_discriminative_score(x, y)
        expected["kid"] = distribution.kernel_distance(x, y)
        expected |= {"u_ids": score.unpaired, "p_ids": score.paired}
    for accumulator in (stream, merged):
        assert accumulator.count == sum(sizes)
        for kind in kinds:
            assert accumulator.result()[kind] == pytest.approx(expected[kind], rel=1e-6, abs=1e-9)


def test_sums_take_the_place_of_rows_once_they_are_smaller():
    accumulator = metric_of("fid").new()
    for prediction, target in batches(4, 4, 3):
        accumulator.update({"prediction": prediction}, {"target": target})
    state = accumulator.state()
    assert state["prediction/folded"] == 8
    assert state["prediction/rows"].shape == (3, 6)
    assert state["prediction/outer"].shape == (6, 6)


def test_rows_are_kept_for_the_figures_that_need_them():
    accumulator = metric_of("fid", "kid").new()
    for prediction, target in batches(4, 4, 3):
        accumulator.update({"prediction": prediction}, {"target": target})
    assert accumulator.state()["target/rows"].shape == (11, 6)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples_have_no_figure(count):
    kinds = ("fid", "fid_population", "kid", "u_ids", "p_ids")
    accumulator = metric_of(*kinds).new()
    for prediction, target in batches(count):
        accumulator.update({"prediction": prediction}, {"target": target})
    assert all(np.isnan(value) for value in accumulator.result().values())
    assert accumulator.notes()["kid"] == f"kid: absent: needs at least 2 samples, has {count}"
    assert set(accumulator.notes()) == set(kinds)


def test_singular_covariances_are_noted():
    accumulator = metric_of("fid").new()
    for prediction, target in batches(6):
        accumulator.update({"prediction": prediction}, {"target": target})
    assert "6 samples for 6 features: the covariances are singular" in accumulator.notes()["fid"]
    for prediction, target in batches(1):
        accumulator.update({"prediction": prediction}, {"target": target})
    assert accumulator.notes() == {}


def test_features_that_are_not_finite_have_no_figure():
    for count in (4, 9):  # as rows, and as sums
        accumulator = metric_of("fid").new()
        for prediction, target in batches(count):
            prediction[1] = np.nan
            accumulator.update({"prediction": prediction}, {"target": target})
        assert np.isnan(accumulator.result()["fid"])
        assert accumulator.notes()["fid"] == "fid: absent: some predictions are not finite"


def test_prepared_targets_are_not_measured_again():
    metric = metric_of("fid")
    (prediction, target), = batches(4)
    prepared = metric.prepare({"target": target})
    metric.extractor = lambda images: pytest.fail() if images is target else Plain()(images)
    rows = metric.measure({"prediction": prediction}, {"target": target}, prepared)
    np.testing.assert_array_equal(rows["target"], Plain()(target))


def test_random_features_are_the_same_for_any_batch_and_see_eight_bits():
    extract = features.random_extractor()
    images = np.random.default_rng(1).uniform(-1, 1, (11, 10, 9, 3)).astype(np.float32)
    rows = extract(images)
    assert rows.shape == (11, extract.features)
    np.testing.assert_allclose(extract(images[3:5]), rows[3:5], rtol=1e-5, atol=1e-6)
    rounded = np.rint((images + 1) * 127.5).astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(extract(rounded), rows, rtol=1e-5, atol=1e-6)
    # Pinned, so that figures on them stay comparable between versions and machines.
    white = extract(np.ones((1, 16, 16, 3), np.float32))[0]
    expected = [0.0290132, 0.0253521, 0.0, 0.7458621, 0.0539134, 0.2190450, 0.3945748, 0.0]
    np.testing.assert_allclose(white[[0, 1, 2, 3, -4, -3, -2, -1]], expected, rtol=1e-4)
