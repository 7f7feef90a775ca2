"""Towers, segmenter and pairs in one run: each stands on the one before; the pairs are records."""

import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.data import records, sources
from jaxedit.errors import UserError
from jaxedit.host import digests
from jaxedit.methods.iedit import collection, encoders, matches
from jaxedit.models.clip import folder as clip_folder
from jaxedit.run import artifacts, checkpoint, evaluate, readers, stages, train
from tests import shrink
from tests.methods.iedit import worlds

LOOSE = {"pairs.cos_img": "(-1.0, 1.0)", "pairs.cos_text": "-1.0", "pairs.area": "(0.0, 1.0)",
         "pairs.uses": "3", "pairs.eval": "0.2", "pairs.test": "0.2", "train.steps": "2",
         "train.checkpoint_every": "2"}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return worlds.folder(tmp_path_factory.mktemp("world") / "data")


@pytest.fixture(scope="module")
def run(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("run")
    config = shrink.iedit("pairs", **{"data.source": f"folder:{world}", **LOOSE})
    train.train(config, folder, jax.devices()[:1])
    return folder


def test_towers_train_and_are_measured_by_the_nearest_text(run):
    stage, method, state = readers.load_run(run, stage="towers")
    moved = [(np.asarray(a) != b).any() for a, b in
             zip(jax.tree.leaves(state.params), jax.tree.leaves(state.ema), strict=True)]
    assert np.mean(moved) > 0.8
    table = evaluate.evaluate(method, stage, state, run).table["model"]["all"]
    for name in ("subject", "colour", "setting"):
        assert 0 <= table[f"{name}_accuracy"] <= 1
    assert -1 <= table["caption_cosine"] <= 1


def test_the_segmenter_leaves_the_towers_alone(run):
    _, _, towers = readers.load_run(run, stage="towers")
    stage, method, state = readers.load_run(run, stage="segmenter")
    jax.tree.map(np.testing.assert_array_equal, state.frozen["clip"], towers.ema["clip"])
    assert set(state.params) == {"segmenter"}
    result = evaluate.evaluate(method, stage, state, run).table
    assert 0 <= result["model"]["all"]["iou"] <= 1
    everything = result["everything"]
    assert everything["absent words"]["marked"] == 1 and everything["known words"]["iou"] > 0
    task = method.tasks["segment"]
    with pytest.raises(UserError, match="more than the 22 tokens"):
        task.read({"image": np.zeros((32, 32, 3)), "prompt": "mug " * 30})


def test_pairs_are_records_that_keep_to_the_rules(run, world):
    built = {name: artifacts.load(run, name) for name in ("collection", "matches", "pairs")}
    pairs = built["pairs"]
    lines = [json.loads(line) for line in pairs.path("manifest.jsonl").read_text().splitlines()]
    assert len(lines) == pairs.facts["pairs"] == sum(pairs.facts[s] for s in
                                                     ("train", "eval", "test"))
    told = {line["id"]: line for line in lines}
    own = {record["id"]: record for record in sources.create(f"folder:{world}", "train")}
    count = 0
    for name in ("", "/test"):
        source = sources.create(f"array_record:{pairs.folder}{name}", "all")
        for record in source:
            count += 1
            line = told[record["id"]]
            records.check(record, "a pair")
            assert record["image"].shape == record["target"].shape == (32, 32, 3)
            assert record["mask_source"].shape == record["mask_target"].shape == (32, 32)
            assert line["source"] == record["id"] != line["target"] and line["target"] in own
            assert record["caption"] == own[record["id"]]["caption"] != record["edit_prompt"]
            assert line["removed"] in record["caption"]
            assert line["added"] in record["edit_prompt"]
            assert line["cos_txt_tgt"] > line["cos_txt_src"]
            assert line["mask_source"] == pytest.approx(record["mask_source"].mean(), abs=1e-4)
            assert (line["split"] == "test") == bool(name)
    assert count == len(lines)
    targets = [line["target"] for line in lines]
    assert max(map(targets.count, targets)) <= 3
    page = pairs.path("page.html").read_text()
    assert page.count('class="triplet"') == pairs.facts["train"] + pairs.facts["eval"]
    assert "sources without a match" in page and lines[0]["edit_prompt"] in page
    assert built["collection"].facts["pictures"] == len(own)


def test_matches_are_the_nearest_by_brute_force(run):
    found = collection.opened(artifacts.load(run, "collection"))
    asking = matches.sources_of(found)
    pictures, prompts = np.asarray(found.pictures), np.asarray(found.prompts)
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1, atol=1e-5)
    query = 0.3 * pictures[asking] + 0.7 * prompts[asking]
    scores = query @ pictures.T
    scores[np.arange(len(asking)), asking] = -np.inf
    wanted = np.argsort(-scores, 1)[:, :4]
    np.testing.assert_array_equal(matches.search(found, asking, 0.3, 4, False), wanted)
    assert (matches.search(found, asking, 0.3, 99, True)[:, -1] == -1).all()


def test_acceptance_takes_the_first_that_keeps_to_each_rule():
    # Rows 0 to 2 are sources of the prompt (0, 1); of their candidates by the rules:
    at = lambda degrees: [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]
    pictures = np.float32([at(0), at(1), at(-5), at(8), at(60), at(-30), at(30)])
    edit = object()
    rows = [collection.Row(i, str(i), "", edit if i < 3 else None) for i in range(7)]
    found = collection.Collection(rows, pictures, np.float32([[0, 1]] * 3 + [[0, 0]] * 4))
    rules = shrink.iedit("pairs", **{
        "pairs.cos_img": "(0.6, 0.99)", "pairs.cos_text": "-0.2", "pairs.uses": "1",
    }).pairs
    nearest = np.int32([[3, 4, 6, -1], [5, 6, 3, 4], [6, 4, 3, 1]])
    accepted, counts = matches.accept(found, np.arange(3), nearest, rules)
    # 0: 3 is nearly the source, 4 too far. 1: 5 is unlike the prompt, 6 is taken, 3 nearly the
    # source, 4 too far. 2: 6 is taken, 4 too far.
    assert [(one.source, one.target) for one in accepted] == [(0, 6), (2, 3)]
    assert counts == {
        matches.NEAR: 2, matches.FAR: 3, matches.UNLIKE: 1, matches.USED: 2, matches.NOTHING: 1,
    }
    assert accepted[0].cos_img == pytest.approx(np.cos(np.radians(30)), abs=1e-6)
    assert (accepted[0].cos_txt_src, accepted[0].cos_txt_tgt) == pytest.approx((0, 0.5), abs=1e-6)
    with rules.unlocked():
        rules.cos_text = -0.9
    worse = matches.accept(found, np.arange(1), np.int32([[5]]), rules)
    assert worse == ([], {matches.NO_BETTER: 1, matches.NOTHING: 1})


def test_two_processes_one_of_them_killed_make_the_same(run, world, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "PICTURES", 8)
    monkeypatch.setattr(matches, "QUERIES", 4)
    monkeypatch.setattr("jaxedit.methods.iedit.pair_stage.PAIRS", 4)
    every = {s.name: s for s in stages.read(checkpoint.read_run_config(run))}
    source = sources.create(f"folder:{world}", "train")
    made = {}
    _, _, segmenter = readers.load_run(run, stage="segmenter")
    start = segmenter.replace(params={}, ema={}, frozen={
        "clip": segmenter.frozen["clip"], "segmenter": segmenter.ema["segmenter"],
    })
    for name in ("collection", "matches", "pairs"):
        parts = [tmp_path / name / f"part-{index}" for index in range(2)]
        for index, part in enumerate(parts):
            part.mkdir(parents=True)
            method = method_lib.create(every[name].config, artifacts=made)
            build = lambda m=method, p=part, i=index: m.build(
                source, p, start, process_index=i, process_count=2
            )
            list(itertools.islice(build(), 1))
            assert list(build())[-1] == 1
        whole = tmp_path / name / "whole"
        whole.mkdir()
        facts = method.merge(parts, whole)
        made[name] = dataclasses.replace(artifacts.load(run, name), folder=whole)
        assert facts == artifacts.load(run, name).facts
    one, other = (digests.describe(folder, ["manifest.json"]) for folder in
                  (made["matches"].folder, artifacts.load(run, "matches").folder))
    assert one == other
    rows = [sorted((record["id"], record["mask_target"].mean()) for record in
                   sources.create(f"array_record:{folder}", "all"))
            for folder in (made["pairs"].folder, artifacts.load(run, "pairs").folder)]
    assert rows[0] == rows[1]


def test_networks_of_a_run_are_published_folders_too(run, tmp_path):
    """What a run trained can be saved as CLIP and CLIPSeg folders, and embeds and masks alike."""
    config, _, state = readers.load_run(run, stage="segmenter")
    start = state.replace(frozen={**state.frozen, "segmenter": state.ema["segmenter"]})
    towers, segmenter = encoders.towers(config, start), encoders.segmenter(config, start)
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    params = jax.tree.map(np.asarray, state.frozen["clip"])
    clip = tmp_path / "clip"
    clip_folder.save(clip, clip_folder.Loaded(towers.config, {"params": params}))
    towers.text.write(clip)
    again = encoders.towers_of_folder(clip)
    np.testing.assert_allclose(again.pictures([image]), towers.pictures([image]), atol=1e-6)
    np.testing.assert_allclose(again.texts(["a mug"]), towers.texts(["a mug"]), atol=1e-6)
    whole = {"params": {"clip": params, "decoder": jax.tree.map(np.asarray,
                                                                state.ema["segmenter"])}}
    folder = tmp_path / "clipseg"
    clip_folder.save(folder, clip_folder.Loaded(segmenter.config, whole))
    segmenter.text.write(folder)
    (folder / "preprocessor_config.json").write_text('{"size": {"height": 32, "width": 32}}')
    same = encoders.segmenter_of_folder(folder)
    maps = [one.probabilities([image, image], ["mug", "a sky"]) for one in (same, segmenter)]
    assert maps[0][0].shape == (40, 50)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5)
    (folder / "vocab.json").unlink()
    with pytest.raises(UserError, match="vocab.json.*no such file"):
        encoders.segmenter_of_folder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="model.safetensors"):
        encoders.segmenter_of_folder(folder)
    with pytest.raises(UserError, match="holds a CLIP, which does not segment"):
        encoders.segmenter_of_folder(clip)
    one_tower = dataclasses.replace(towers.config, text=None)
    params = {name: params[name] for name in ("vision_model", "visual_projection")}
    clip_folder.save(tmp_path / "vision", clip_folder.Loaded(one_tower, {"params": params}))
    with pytest.raises(UserError, match="is not the folder of a CLIP with both towers"):
        encoders.towers_of_folder(tmp_path / "vision")
