"""From a published file to variables, and every way in which that fails."""

import dataclasses
import hashlib
import os

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.weights import convert, manifest, table
from tests.weights import examples
from tests.weights.examples import CHANNELS, heads, published


def test_convert_and_load(tmp_path):
    arrays = heads()
    path = published(tmp_path, arrays)
    left = tmp_path / "new" / ".lpips-alex.safetensors.1-0000abcd.tmp"  # by a killed writer
    left.parent.mkdir()
    left.write_text("half")
    os.utime(left, (0, 0))
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
    target.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # one bit: the length is as it was
    with pytest.raises(UserError, match="damaged .the SHA-256 of its arrays has changed"):
        convert.load("lpips-alex", tmp_path)
    target.write_bytes(data[:-1])
    with pytest.raises(UserError, match="damaged .* Convert lpips-alex again"):
        convert.load("lpips-alex", tmp_path)
    other = {"params/linear_0": np.zeros((1, 1, 64, 1), np.float32)}
    safetensors.numpy.save_file(other, target, {"name": "lpips-alex"})
    with pytest.raises(UserError, match="'params/linear_1' has shape None, expected"):
        convert.load("lpips-alex", tmp_path)


@pytest.fixture
def bundles(monkeypatch):
    for bundle in (examples.FOLDER, examples.ONE_FILE):
        monkeypatch.setitem(manifest.entries(), bundle.name, bundle)


def test_a_folder_whose_configurations_describe_its_networks(bundles, tmp_path):
    folder = examples.pipeline(tmp_path / "published")
    target = convert.convert("pipeline", folder, weights_dir=tmp_path)
    assert target == tmp_path / "pipeline.safetensors"
    loaded = convert.load("pipeline", tmp_path)
    assert set(loaded) == {"unet", "vae"}
    for name, sizes in (("unet", (3, 5)), ("vae", (2, 4))):
        expected = examples.linear(*sizes)
        np.testing.assert_array_equal(loaded[name]["params"]["kernel"], expected["weight"].T)
        np.testing.assert_array_equal(loaded[name]["params"]["bias"], expected["bias"])
    alone = convert.load("pipeline", tmp_path, networks=["vae"])
    assert set(alone) == {"vae"}
    with pytest.raises(UserError, match="'pipeline' 'uvae' is unknown: use one of 'unet', 'vae'"):
        convert.load("pipeline", tmp_path, networks=["uvae"])
    options = convert.load_options("pipeline", tmp_path)
    assert options["vae"] == {"outputs": 4, "inputs": 2}
    assert convert.load_file("pipeline", "tokenizer/vocab.json", tmp_path) == b'{"a": 0}'
    with pytest.raises(UserError, match="without a file 'merges.txt'"):
        convert.load_file("pipeline", "merges.txt", tmp_path)


def test_a_bundle_in_one_file(bundles, tmp_path):
    path = published(tmp_path, examples.inversion())
    for given in (path, tmp_path):  # the file, or the folder that holds it under its own name
        convert.convert("inversion", given, weights_dir=tmp_path)
        loaded = convert.load("inversion", tmp_path)
        np.testing.assert_array_equal(
            loaded["encoder"]["params"]["kernel"], examples.linear(3, 5)["weight"].T
        )
        assert loaded["generator"]["params"]["bias"].shape == (2,)
        assert loaded["average"]["code"].dtype == np.float32
        path = path.rename(tmp_path / "inversion.pt")


def test_all_that_does_not_fit_a_bundle_is_listed(bundles, tmp_path):
    arrays = examples.inversion()
    del arrays["residue.bias"]
    arrays |= {"decoder.odd": np.zeros(1), "decoder.bias": np.zeros(7), "left": np.zeros(1)}
    with pytest.raises(UserError) as error:
        convert.convert("inversion", published(tmp_path, arrays), weights_dir=tmp_path / "new")
    for part in ("of 'encoder' do not fit this network: missing 'bias'",
                 "of 'generator' do not fit this network: unused 'odd'",
                 r"'bias' has shape (7,)",
                 "of 'average' do not fit this network: unused 'left'"):
        assert part in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_converted_bundle_is_checked_when_loaded(bundles, tmp_path):
    path = convert.convert("inversion", published(tmp_path, examples.inversion()),
                           weights_dir=tmp_path)
    with safetensors.safe_open(path, framework="np") as stream:
        arrays = {key: stream.get_tensor(key) for key in stream.keys()}
    arrays.pop("average/code")
    safetensors.numpy.save_file(arrays, path, {"name": "inversion"})
    with pytest.raises(UserError, match="'average/code' has shape None"):
        convert.load("inversion", tmp_path)


def test_digests_of_a_bundle(bundles, tmp_path, monkeypatch):
    folder = examples.pipeline(tmp_path / "published")
    files = tuple(
        dataclasses.replace(file, sha256="0" * 64) if file.path.startswith("vae/w") else file
        for file in examples.FOLDER.files
    )
    monkeypatch.setitem(
        manifest.entries(), "pipeline", dataclasses.replace(examples.FOLDER, files=files)
    )
    with pytest.raises(UserError, match="vae/weights.safetensors: not the published file.*"
                                        "from https://example.com/pipeline/vae/weights"):
        convert.convert("pipeline", folder, weights_dir=tmp_path)
    convert.convert("pipeline", folder, weights_dir=tmp_path, verify=False)
