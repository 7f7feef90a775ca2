"""The stages that build: a bank, then canvases from it; in parts, killed, through the artefacts."""

import itertools
import json

import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit.data import array_record
from jaxedit.errors import UserError
from jaxedit.host import digests
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims import compose_stage
from jaxedit.run import artifacts
from jaxedit.state import Artifact, State
from tests import shrink
from tests.methods.sims import banks, host_stages


def configured(part, *overrides):
    config = host_stages.get_config().unlock()
    config.part = part
    for key, text in overrides:
        config_lib.override(config, key, text)
    return config.lock()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both artefacts, built by one process."""
    folder = tmp_path_factory.mktemp("run")
    source = banks.Layouts(40)
    bank = artifacts.build(
        folder, "bank", host_stages.create(configured("bank")), source, State(0)
    )
    method = host_stages.create(configured("canvases"), None, {"bank": bank})
    return bank, artifacts.build(folder, "canvases", method, source, State(0))


def in_parts(folder, part, made=None):
    """Builds as two processes would, one of them stopped after its first piece and started anew."""
    source, parts = banks.Layouts(40), []
    for index in range(2):
        method = host_stages.create(configured(part), None, made)
        parts.append(folder / f"part-{index}")
        parts[-1].mkdir(parents=True)
        build = lambda method=method, index=index: method.build(
            source, parts[index], State(0), process_index=index, process_count=2
        )
        list(itertools.islice(build(), 1))
        assert list(build())[-1] == 1
    whole = folder / "whole"
    whole.mkdir()
    method.merge(parts, whole)
    return whole


def test_parts_make_the_same_artefacts(run, tmp_path):
    bank, canvases = run
    without = ["manifest.json"]
    whole = in_parts(tmp_path / "bank", "bank")
    assert digests.describe(whole, without) == digests.describe(bank.folder, without)
    whole = in_parts(tmp_path / "canvases", "canvases", {"bank": bank})
    assert digests.describe(whole, without) == digests.describe(canvases.folder, without)


def test_bank_of_a_stage(run):
    bank = bank_lib.opened(run[0].folder)
    assert bank.size == (16, 32) and bank.scale == 2 and len(bank.images) == 40
    assert run[0].facts["segments"] == len(bank) and bank.classes.names == banks.CLASSES.names


def test_canvases_are_records_of_the_pictures_own_pixels(run):
    facts = run[1].facts
    held = facts["eval"] / 2
    assert facts["train"] + facts["eval"] == 80 and 2 <= held <= 16
    source = array_record.create(str(run[1].folder), "train")
    assert source.classes == banks.CLASSES.describe() and len(source) == facts["train"]
    pictures = banks.Layouts(40)
    white, own, changed, noisy = 0, 0, 0, 0
    for record in (source[i] for i in range(0, len(source), 7)):
        number = int(record["id"].split("-")[1])
        original = pictures[number]
        np.testing.assert_array_equal(record["image"], original["image"])
        np.testing.assert_array_equal(record["label"], original["label"])
        canvas, label = record["canvas"], record["canvas_label"]
        is_white = (canvas == 255).all(-1)
        same = (canvas == np.maximum(record["image"], 1)).all(-1)
        present = canvas.any(-1)
        white += is_white.sum()
        own += same.sum()
        changed += (present & ~same & ~is_white).sum()
        noisy += ((label != record["label"]) & (label == 255)).sum()
        assert set(np.unique(label)) <= {0, 1, 2, 3, 4, 255}
    assert min(white, own, changed, noisy) > 100  # erased, kept, recoloured, unlabelled


def test_switches(run):
    bank, _ = run
    config = configured(
        "canvases", ("canvases.stencil", "False"), ("canvases.transfer", "0.0"),
        ("canvases.elision", "none"), ("canvases.label_noise", "False"), ("canvases.sets", "1"),
        ("canvases.rotation", "0.0"), ("canvases.donors", "3"),
    )
    method = host_stages.create(config, None, {"bank": bank})
    source = banks.Layouts(3)
    folder = bank.folder.parent / "plain.part"
    folder.mkdir()
    list(method.build(source, folder, State(0)))
    whole = folder.with_name("plain")
    whole.mkdir()
    method.merge([folder], whole)
    for record in (array_record.create(str(whole), "all")[i] for i in range(3)):
        painted = record["canvas"].any(-1)
        np.testing.assert_array_equal(
            record["canvas"][painted], np.maximum(record["image"], 1)[painted]
        )
        np.testing.assert_array_equal(record["canvas_label"], record["label"])
        assert painted.mean() > 0.5


def test_what_does_not_fit_is_named(run, tmp_path):
    bank, _ = run

    def build(method, source=None):
        return list(method.build(source or banks.Layouts(2), tmp_path, State(0)))

    with pytest.raises(UserError, match="5 classes, network.classes is 7. Set it to 5"):
        build(host_stages.create(configured("bank", ("network.classes", "7"))))
    with pytest.raises(UserError, match="does not divide by bank.scale=3"):
        build(host_stages.create(configured("bank", ("bank.scale", "3"))))
    with pytest.raises(UserError, match="no memory bank"):
        build(host_stages.create(configured("canvases"), None, {}))
    config = configured("canvases").unlock()
    config.image_size = (24, 64)
    with pytest.raises(UserError, match=r"looks segments up at \(16, 32\)"):
        build(host_stages.create(config, None, {"bank": bank}))
    method = host_stages.create(configured("canvases"), None, {"bank": Artifact("bank", tmp_path)})
    with pytest.raises(UserError, match="builds and does not train"):
        method.spec(1)


def test_donors_are_drawn_where_that_is_asked_for(tmp_path):
    bank = banks.make(tmp_path / "bank", banks.Layouts(30))
    record = {"id": "another", "image": np.zeros((*bank.size, 3), np.uint8),
              "label": banks.layout(40)}

    def donors(seed, **changes):
        config = shrink.sims("demo", **{
            "align.kind": "off", "compose.prior": "()", "compose.context_classes": "()",
            "data.objects": "()", "train.seed": str(seed), **changes,
        })
        (made,) = compose_stage.Composing(config, bank, State(0))(record, 0, "")
        return [(one["class"], one["donor"]) for one in json.loads(made["donors"])]

    drawn = {"compose.vary": "True"}
    assert donors(0) == donors(1)
    assert donors(0, **drawn) == donors(0, **drawn) != donors(1, **drawn)
    one = {**drawn, "compose.candidates": "1"}
    assert donors(0, **one) == donors(1, **one) == donors(0)
