"""Metrics by name: what is grouped, what is absent, and what is called what."""

import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from jaxedit import metrics
from jaxedit.errors import UserError
from jaxedit.metrics import registry
from jaxedit.models import inception
from jaxedit.weights import convert
from tests.parity import fill


def test_an_unknown_name_suggests_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"'pnsr'. Did you mean 'psnr'\? Known: psnr, "):
        metrics.create(["l1", "pnsr"], weights_dir=tmp_path)


def test_figures_on_the_same_features_share_one_metric(tmp_path):
    names = ["kid_random_features", "l1", "fid_random_features", "l1", "psnr"]
    created, absent = metrics.create(names, weights_dir=tmp_path)
    assert [metric.names for metric in created] == [
        ("kid_random_features", "fid_random_features"), ("l1",), ("psnr",)
    ]
    assert absent == []
    for metric in created:
        assert set(metric.names) == set(metric.titles) == set(metric.higher_is_better)
    assert "stand-in" in created[0].titles["fid_random_features"]
    assert created[2].higher_is_better == {"psnr": True}


def test_accumulators_of_two_requests_do_not_mix(tmp_path):
    (first,), _ = metrics.create(["fid_random_features"], weights_dir=tmp_path)
    (second,), _ = metrics.create(["kid_random_features"], weights_dir=tmp_path)
    assert (first.names, second.names) == (("fid_random_features",), ("kid_random_features",))


def test_absent_weights_say_how_to_get_them(tmp_path):
    created, absent = metrics.create(["fid", "lpips", "lpips_vgg", "psnr"], weights_dir=tmp_path)
    assert [metric.names for metric in created] == [("psnr",)]
    fid, lpips, lpips_vgg = absent
    assert fid.startswith("fid: absent: The weights 'inception-fid' are not in ")
    assert "Or by hand: download https://github.com/mseitzer/pytorch-fid/releases/" in fid
    assert fid.endswith("jaxedit weights convert inception-fid FILE")
    for line, names in ((lpips, ("lpips-alex", "alexnet")), (lpips_vgg, ("lpips-vgg", "vgg16"))):
        for name in names:
            assert f"jaxedit weights convert {name} FILE" in line


def test_scikit_learn_is_optional(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_has_scikit_learn", lambda: False)
    names = ["u_ids_random_features", "kid_random_features"]
    created, absent = metrics.create(names, weights_dir=tmp_path)
    assert [metric.names for metric in created] == [("kid_random_features",)]
    assert absent == [
        "u_ids_random_features: absent: it needs scikit-learn. "
        "Install it: pip install scikit-learn"
    ]


def test_damaged_weights_are_an_error_not_an_absence(tmp_path):
    (tmp_path / "inception-fid.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(UserError, match="inception-fid.safetensors: damaged"):
        metrics.create(["fid"], weights_dir=tmp_path)


def test_fid_from_a_weights_file(tmp_path):
    """The whole way: a published file, the conversion, the 299-pixel network, the figure."""
    published = {}
    table = inception.conversion_table()
    shapes = traverse_util.flatten_dict(inception.shapes(), sep="/")
    for name, entry in table.items():
        shape = shapes["/".join(entry.path)].shape
        shape = (shape[3], shape[2], shape[0], shape[1]) if entry.kind == "conv" else shape
        published[name] = fill.fill(name, shape)
    published["fc.weight"] = np.zeros((2, 3), np.float32)
    safetensors.numpy.save_file(published, tmp_path / "published.safetensors")
    convert.convert(
        "inception-fid", tmp_path / "published.safetensors", weights_dir=tmp_path, verify=False
    )
    (metric,), absent = metrics.create(["fid", "kid"], weights_dir=tmp_path)
    assert (metric.names, absent) == (("fid", "kid"), [])
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    accumulator = metric.new()
    prepared = metric.prepare({"target": target})
    accumulator.add({"prediction": prepared["target"], **prepared})
    assert accumulator.result()["fid"] == pytest.approx(0, abs=1e-9)
    assert "2 samples for 2048 features" in accumulator.notes()["fid"]
