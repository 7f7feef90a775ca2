"""From a published file to variables, and every way in which that fails."""

import dataclasses
import hashlib

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from flax import traverse_util

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.weights import convert, manifest, table

CHANNELS = (64, 192, 384, 256, 256)


def heads() -> dict[str, np.ndarray]:
    """The published arrays of the smallest checkpoint, lpips-alex, with other numbers."""
    rng = np.random.default_rng(0)
    return {
        f"lin{index}.model.1.weight": rng.random((1, channels, 1, 1)).astype(np.float32)
        for index, channels in enumerate(CHANNELS)
    }


def published(folder, arrays):
    path = folder / "published.safetensors"
    safetensors.numpy.save_file(arrays, path)
    return path


def test_convert_and_load(tmp_path):
    arrays = heads()
    path = published(tmp_path, arrays)
    target = convert.convert("lpips-alex", path, weights_dir=tmp_path / "new", verify=False)
    assert target == tmp_path / "new" / "lpips-alex.safetensors"
    variables = convert.load("lpips-alex", tmp_path / "new")
    for index in range(5):
        ours = variables["params"][f"linear_{index}"]
        assert ours.shape == (1, 1, CHANNELS[index], 1)
        np.testing.assert_array_equal(ours.ravel(), arrays[f"lin{index}.model.1.weight"].ravel())
    back = table.to_published(manifest.get("lpips-alex").table(), variables)
    assert set(back) == set(arrays)
    with safetensors.safe_open(target, framework="np") as stream:
        metadata = stream.metadata()
    assert metadata["name"] == "lpips-alex"
    assert metadata["source"] == manifest.get("lpips-alex").address
    assert metadata["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == [target.name]


def test_halves_become_float32(tmp_path):
    arrays = {name: array.astype(ml_dtypes.bfloat16) for name, array in heads().items()}
    path = published(tmp_path, arrays)
    convert.convert("lpips-alex", path, weights_dir=tmp_path, verify=False)
    variables = convert.load("lpips-alex", tmp_path)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}


def test_another_file_than_the_published_one_is_refused(tmp_path):
    path = published(tmp_path, heads())
    with pytest.raises(UserError, match="not the published file of 'lpips-alex'.*published one is "
                                        "df73285e.*Download it again from https://github.com/"):
        convert.convert("lpips-alex", path, weights_dir=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_published_name_tells_the_beginning_of_the_digest(tmp_path, monkeypatch):
    path = published(tmp_path, heads())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    checkpoint = manifest.get("lpips-alex")
    for prefix, fits in ((digest[:8], True), ("00000000", False)):
        changed = dataclasses.replace(checkpoint, sha256=None, sha256_prefix=prefix)
        monkeypatch.setitem(manifest.entries(), "lpips-alex", changed)
        if fits:
            convert.convert("lpips-alex", path, weights_dir=tmp_path)
        else:
            with pytest.raises(UserError, match="the published one begins with 00000000"):
                convert.convert("lpips-alex", path, weights_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("lin3.model.1.weight"), "missing 'lin3.model.1.weight'"),
        (lambda arrays: arrays.update(extra=np.zeros(2)), "unused 'extra'"),
        (
            lambda arrays: arrays.update({"lin0.model.1.weight": np.zeros((1, 65, 1, 1))}),
            r"'lin0.model.1.weight' has shape \(1, 65, 1, 1\)",
        ),
    ],
    ids=["missing", "unused", "shape"],
)
def test_files_of_another_network_are_refused(change, message, tmp_path):
    arrays = heads()
    change(arrays)
    path = published(tmp_path, arrays)
    with pytest.raises(UserError, match=message):
        convert.convert("lpips-alex", path, tmp_path / "out.safetensors", verify=False)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    path = published(tmp_path, heads())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be made.*JAXEDIT_WEIGHTS"):
        convert.convert("lpips-alex", path, weights_dir=tmp_path / "file", verify=False)


@pytest.mark.parametrize("name", ["scat-places2", "aotgan-celebahq", "alexnet", "vgg19"])
def test_every_kind_of_network_converts(name, tmp_path):
    checkpoint = manifest.get(name)
    expected = traverse_util.flatten_dict(checkpoint.expected(), sep="/")
    arrays = {}
    for key, entry in checkpoint.table().items():
        shape = expected["/".join(entry.path)].shape
        shape = (shape[3], shape[2], shape[0], shape[1]) if entry.kind == "conv" else shape
        arrays[f"module.{key}"] = np.zeros(shape, np.float16)
    if name in ("alexnet", "vgg19"):
        arrays["module.classifier.6.bias"] = np.zeros(1000, np.float16)
    path = published(tmp_path, arrays)
    convert.convert(name, path, weights_dir=tmp_path, verify=False)
    loaded = traverse_util.flatten_dict(convert.load(name, tmp_path), sep="/")
    assert {key: leaf.shape for key, leaf in loaded.items()} == {
        key: leaf.shape for key, leaf in expected.items()
    }


def test_absent_weights_say_how_to_get_them(tmp_path, monkeypatch):
    with pytest.raises(PretrainedWeightsMissing) as error:
        convert.load("inception-fid", tmp_path)
    assert str(error.value) == (
        f"The weights 'inception-fid' are not in {tmp_path}. Download https://github.com/mseitzer/"
        "pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth (95.6 MB), "
        f"then run: JAXEDIT_WEIGHTS={tmp_path} jaxedit weights convert inception-fid FILE"
    )
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    with pytest.raises(PretrainedWeightsMissing) as error:
        convert.load_all(["aotgan-places2", "lpips-vgg"])
    first, second = (f"jaxedit weights convert {name} FILE" for name in ("aotgan-places2",
                                                                         "lpips-vgg"))
    assert f"(the file G*.pt in it), then run: {first}. The weights" in str(error.value)
    assert str(error.value).endswith(f", then run: {second}")


def test_unknown_names_suggest_the_nearest(tmp_path):
    for call in (convert.load, lambda name: convert.convert(name, tmp_path)):
        with pytest.raises(UserError, match="no weights called 'scat-places'. Did you mean "
                                            "'scat-places2'\\? Known: .*scat-places2, .*, vgg16"):
            call("scat-places")


def test_converted_files_are_checked_when_loaded(tmp_path):
    path = published(tmp_path, heads())
    target = convert.convert("lpips-alex", path, weights_dir=tmp_path, verify=False)
    data = target.read_bytes()
    (tmp_path / "alexnet.safetensors").write_bytes(data)
    with pytest.raises(UserError, match="holds the weights 'lpips-alex', not 'alexnet'"):
        convert.load("alexnet", tmp_path)
    target.write_bytes(data[:-1])
    with pytest.raises(UserError, match="damaged .* Convert lpips-alex again"):
        convert.load("lpips-alex", tmp_path)
    other = {"params/linear_0": np.zeros((1, 1, 64, 1), np.float32)}
    safetensors.numpy.save_file(other, target, {"name": "lpips-alex"})
    with pytest.raises(UserError, match="'params/linear_1' has shape None, expected"):
        convert.load("lpips-alex", tmp_path)


def test_list_rows(tmp_path):
    convert.convert(
        "lpips-alex", published(tmp_path, heads()), weights_dir=tmp_path, verify=False
    )
    rows = {row["name"]: row for row in convert.list_rows(tmp_path)}
    assert set(rows) == set(manifest.entries())
    assert [name for name, row in rows.items() if row["state"] == "ready"] == ["lpips-alex"]
    assert rows["vgg19"]["digest"] == "SHA-256 begins with dcbb9e9d"
    assert rows["scat-celeba"]["digest"] == "not published"
    assert rows["lpips-alex"]["path"] == str(tmp_path / "lpips-alex.safetensors")
    assert all(row["licence"] and row["address"].startswith("https://") for row in rows.values())


def test_digests_begin_as_the_published_names_say():
    for checkpoint in manifest.entries().values():
        assert checkpoint.sha256 is None or len(checkpoint.sha256) == 64
        if checkpoint.sha256_prefix:
            assert f"-{checkpoint.sha256_prefix}.pth" in checkpoint.address
            assert (checkpoint.sha256 or checkpoint.sha256_prefix).startswith(
                checkpoint.sha256_prefix
            )


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXEDIT_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert convert.default_dir() == tmp_path / "jaxedit" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert convert.default_dir() == tmp_path / ".cache" / "jaxedit" / "weights"
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path / "mine"))
    assert convert.path_of("vgg16") == tmp_path / "mine" / "vgg16.safetensors"
