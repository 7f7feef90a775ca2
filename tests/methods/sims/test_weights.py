"""Published checkpoints of SIMS: every name and shape, what is turned, and files that do not fit.

The files are written here under the names of the published scripts; the real ones were not at hand.
"""

import dataclasses

import jax
import numpy as np
import pytest
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.methods.sims import published, weights
from jaxedit.methods.sims.alignment import AlignmentNetwork
from jaxedit.methods.sims.ordering_network import OrderingNetwork
from jaxedit.methods.sims.synthesis import SynthesisNetwork
from jaxedit.weights import convert, manifest, table
from tests.weights import tensorflow_bundle

ENTRIES = {entry.name: entry for entry in published.ENTRIES}
NARROW = {
    "sims-256": lambda: SynthesisNetwork(19, 1, 2), "sims-512": lambda: SynthesisNetwork(19, 2, 2),
    "sims-1024": lambda: SynthesisNetwork(19, 3, 2), "sims-align": lambda: AlignmentNetwork(2),
    "sims-order": lambda: OrderingNetwork(width=2),
}


def numbered(entry):
    """Variables of the entry's network, all different, and the arrays of their published names."""
    leaves, tree = jax.tree.flatten(entry.expected())
    rng = np.random.default_rng(0)
    ours = jax.tree.unflatten(tree, [rng.normal(size=x.shape).astype(np.float32) for x in leaves])
    return ours, table.to_published(entry.table(), ours)


@pytest.fixture(params=ENTRIES)
def narrow(request, monkeypatch):
    """An entry of the manifest with two channels where the published network has 64."""
    entry = dataclasses.replace(ENTRIES[request.param], network=NARROW[request.param])
    monkeypatch.setitem(manifest.entries(), entry.name, entry)
    return entry


@pytest.mark.parametrize("name", ENTRIES)
def test_the_table_names_every_variable_of_the_full_network(name):
    entry = ENTRIES[name]
    places = [place.path for place in entry.table().values()]
    expected = traverse_util.flatten_dict(entry.expected())
    assert sorted(places) == sorted(expected) and len(places) == len(entry.table())


def test_a_checkpoint_comes_back(narrow, tmp_path):
    ours, arrays = numbered(narrow)
    beside = {"beta1_power": np.ones(()), "beta2_power": np.ones(())}
    beside |= {f"{name}/Adam{end}": 0 * a for name, a in arrays.items() for end in ("", "_1")}
    folder = tmp_path / "trained" / "0100"
    index = tensorflow_bundle.write(folder / "model.ckpt", arrays | beside)
    convert.convert(narrow.name, index, weights_dir=tmp_path)
    loaded = convert.load(narrow.name, tmp_path)
    back = table.to_published(narrow.table(), loaded)
    same = [name for name, array in arrays.items() if (back[name] == array).all()]
    turned = {
        "sims-256": {"g_256_conv100"}, "sims-512": {"g_512_conv100"},
        "sims-1024": {"g_512_conv100", "g_1024_conv100"}, "sims-align": {"g_b_fc1"},
        "sims-order": {"g_selection_classify"},
    }[narrow.name]
    assert {name.split("/")[0] for name in set(arrays) - set(same)} == turned
    assert convert.convert(narrow.name, folder, tmp_path / "of_the_folder").is_file()
    for part, message in (("model.ckpt", "Give model.ckpt.index beside it"),
                          ("model.ckpt.data-00000-of-00001", "Give model.ckpt.index")):
        with pytest.raises(UserError, match=message):
            convert.convert(narrow.name, folder / part, weights_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("g_transfrom_conv2/g_transfrom_conv2_1/weights"), "missing 'g_transfrom"),
        (lambda a: a.update({"g_transform_conv2/weights": np.ones(2)}), "unused .g_transform_con"),
        (lambda a: a.update(g_b_fc1=np.ones(4)), r"'g_b_fc1' has shape \(4,\)"),
    ],
    ids=["missing", "unused", "shape"],
)
def test_files_of_another_network_are_refused(change, message, monkeypatch, tmp_path):
    entry = dataclasses.replace(ENTRIES["sims-align"], network=NARROW["sims-align"])
    monkeypatch.setitem(manifest.entries(), entry.name, entry)
    _, arrays = numbered(entry)
    change(arrays)
    index = tensorflow_bundle.write(tmp_path / "model.ckpt", arrays)
    with pytest.raises(UserError, match=message):
        convert.convert(entry.name, index, weights_dir=tmp_path)


def test_pictures_have_red_first():
    """The published network, blue first throughout, and ours make the same picture of one input."""
    rng = np.random.default_rng(1)
    given, features = rng.normal(size=24), rng.normal(size=8)
    arrays = {
        "g_512_conv100/weights": rng.normal(size=(1, 1, 8, 3)),
        "g_512_conv100/biases": rng.normal(size=3),
        "g_1024_conv100/weights": rng.normal(size=(1, 1, 27, 3)),
        "g_1024_conv100/biases": rng.normal(size=3),
        "g_semantic_512/biases": np.arange(20.0),
    }

    def picture(arrays):
        head = lambda name, x: x @ arrays[f"{name}/weights"][0, 0] + arrays[f"{name}/biases"]
        coarse = head("g_512_conv100", features)
        return coarse, head("g_1024_conv100", np.concatenate([given, coarse]))

    ours = weights.rgb(arrays)
    for blue_first, red_first in zip(picture(arrays), picture(ours), strict=True):
        np.testing.assert_allclose(red_first, blue_first[::-1], rtol=1e-12)
    assert ours["g_semantic_512/biases"] is arrays["g_semantic_512/biases"]


def test_maps_and_classes_are_counted_as_ours():
    moved = np.asarray([1.5, 0, 3, 0, 1, -2], np.float32)
    np.testing.assert_allclose(
        weights.about_identity({"g_b_fc1": moved})["g_b_fc1"], [0.5, 0, 3, 0, 0, -2]
    )
    logits = weights.unlabelled_last({"g_selection_classify/biases": np.arange(20)})
    # The published number of a class is one more than ours; 0, never the answer, is our last.
    np.testing.assert_array_equal(
        logits["g_selection_classify/biases"], [*range(1, 20), 0]
    )
