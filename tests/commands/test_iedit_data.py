"""`jaxedit iedit-data`: from files to pairs, killed and started again, and what it refuses."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.commands import iedit_data
from jaxedit.data import sources
from jaxedit.methods.iedit import collection, encoders
from jaxedit.methods.iedit.pair_stage import PairStage
from jaxedit.run import artifacts, train
from tests import shrink
from tests.host.test_locks import holder
from tests.methods.iedit import worlds

RULES = ["--set", "words=world", "--set", "min_side=64", "--set", "duplicates=-1",
         "--set", "cos_img=(-1.0,1.0)", "--set", "cos_text=-1.0", "--set", "area=(0.0,1.0)"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return worlds.folder(tmp_path_factory.mktemp("world") / "data", 80)


@pytest.fixture(scope="module")
def run(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("run")
    config = shrink.iedit("segmenter", **{
        "data.source": f"folder:{world}", "train.steps": "1", "train.checkpoint_every": "1",
        "checkpoint.keep_best": "0", "evaluate.limit": "8",
    })
    train.train(config, folder, jax.devices()[:1])
    return folder


def contents(folder, split="all"):
    return {record["id"]: (record["edit_prompt"], record["target"].sum(),
                           record["mask_target"].sum())
            for record in sources.create(f"array_record:{folder}", split)}


def test_a_killed_build_goes_on_and_makes_the_same(run, world, tmp_path, capsys):
    whole = tmp_path / "whole"
    command = ["iedit-data", str(world), "--run", str(run), "--size", "32", *RULES]
    assert cli.main([*command, "--output", str(whole)]) == 0
    said = capsys.readouterr().err
    assert "collection: pictures 80" in said and "page.html" in said
    assert cli.main([*command, "--output", str(whole)]) == 2
    assert "already exists" in capsys.readouterr().err
    killed = tmp_path / "killed"
    arguments = [sys.executable, "-m", "jaxedit.cli", *command, "--output", str(killed)]
    root = pathlib.Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
    building = tmp_path / "killed.building"
    while process.poll() is None and not list(building.rglob("piece-*.npz")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.exists() and list(building.rglob("piece-*.npz"))
    assert cli.main([*command, "--output", str(killed)]) == 0
    assert contents(killed) == contents(whole) and len(contents(whole)) > 20
    assert not building.exists() and (killed / "manifest.json").is_file()


def test_pairs_of_ones_own(run, world, tmp_path, capsys):
    names = sorted((world / "images").iterdir())[:6]
    white = np.zeros((64, 64), np.uint8)
    white[8:24, 8:24] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    told = {"caption": "a red mug", "edit_prompt": "a blue mug"}
    rows = [{"source": str(a), "target": str(b), **told}
            for a, b in zip(names, names[1:], strict=False)]
    rows[0] |= {"id": "first", "mask_source": "mask.png", "mask_target": "mask.png"}
    rows.append({"source": "none.png", "target": "none.png", "edit_prompt": "a ball"})
    listed = tmp_path / "mine.jsonl"
    listed.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    out = tmp_path / "pairs"
    options = ["--pairs", str(listed), "--run", str(run), "--set", "area=(0.0,1.0)",
               "--set", "eval=0.0", "--set", "test=0.0"]
    assert cli.main(["iedit-data", "--output", str(out), "--size", "64", *options]) == 0
    said = capsys.readouterr().err
    assert "skipped 1 of 6" in said and "a picture cannot be read 1" in said
    found = {record["id"]: record for record in sources.create(f"array_record:{out}", "train")}
    assert len(found) == 5
    first = found["first"]
    np.testing.assert_array_equal(first["mask_source"], white > 0)
    assert (first["removed"], first["added"]) == ("red", "blue")
    np.testing.assert_array_equal(first["image"], np.asarray(Image.open(names[0])))
    np.testing.assert_array_equal(first["target"], np.asarray(Image.open(names[1])))
    table = tmp_path / "mine.csv"
    table.write_text(f'source,target,edit_prompt\n{names[0]},{names[1]},"a ball, red"\n')
    assert cli.main(["iedit-data", "--output", str(tmp_path / "two"), "--size", "64",
                     "--pairs", str(table), *options[2:]]) == 0
    (one,) = sources.create(f"array_record:{tmp_path / 'two'}", "train")
    assert (one["removed"], one["added"]) == ("", "ball red") and not one["mask_source"].any()


def pictures(folder, count=3, side=64):
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def refused(capsys, *arguments):
    assert cli.main(["iedit-data", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_built_is_refused_with_advice(run, world, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    to = ("--output", out)
    assert "one of the two" in refused(capsys, *to, "--run", run)
    assert "one of the two" in refused(capsys, world, *to, "--pairs", "x.csv", "--run", run)
    assert "--towers and --segmenter of what?" in refused(capsys, world, *to)
    assert "is no folder" in refused(capsys, world, *to, "--run", run, "--towers", "nothing")
    assert "Did you mean 'cos_text'" in refused(capsys, world, *to, "--run", run,
                                               "--set", "cos_tex=1")
    assert "pairs.uses=0" in refused(capsys, world, *to, "--run", run, "--set", "uses=0")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "No image found" in refused(capsys, empty, *to, "--run", run)
    bare = pictures(tmp_path / "bare")
    small = ("--set", "min_side=64")
    assert "have no caption" in refused(capsys, bare, *to, "--run", run, *small)
    (tmp_path / "empty" / "config.json").write_text("{}")
    assert "empty/config.json" in refused(capsys, world, *to, "--run", run, "--segmenter", empty)
    for number in range(3):
        (bare / f"{number}.txt").write_text("zzz qqq")
    said = refused(capsys, bare, *to, "--run", run, *small)
    assert "a caption with a word that the table knows" in said
    assert not list(tmp_path.glob("out*"))
    # Rules that nothing keeps to: what was collected is used when they are loosened.
    rules = [*to, "--run", run, *RULES, "--size", "32"]
    said = refused(capsys, world, *rules, "--set", "cos_text=1.0")
    assert "No picture has a match" in said and "with other rules" in said
    (kept,) = tmp_path.glob("out.building/*/collection/pictures.npy")
    monkeypatch.setattr(collection.CollectionStage, "build", None)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 4]))  # a bit of the codes of a picture
    artifacts._verified.cache_clear()  # as in another process
    said = refused(capsys, world, *rules)
    assert "damaged: pictures.npy" in said and "remove it and start" in said
    kept.write_bytes(whole)
    process = holder(artifacts.work_folder(out))
    try:
        assert f"in use by process {process.pid}" in refused(capsys, world, *rules)
    finally:
        process.kill()
        process.wait()
    assert kept.is_file() and cli.main(["iedit-data", *map(str, (world, *rules))]) == 0
    assert len(contents(out)) > 20 and not list(tmp_path.glob("out.*"))


def captioner(images):
    return [f"a photo of a mug, number {image.sum() % 7}" for image in images]


def talker(images):
    return [f"a mug {'and so on ' * 9}" for _ in images]


def test_a_function_writes_the_captions(run, tmp_path, capsys):
    bare = pictures(tmp_path / "bare", 12)
    named = "captioner=tests.commands.test_iedit_data:captioner"
    out = tmp_path / "out"
    assert cli.main(["iedit-data", str(bare), "--output", str(out), "--run", str(run), "--size",
                     "64", *RULES, "--set", named, "--set", "words=table"]) == 0
    for record in sources.create(f"array_record:{out}", "all"):
        assert record["caption"].startswith("a photo of a mug, number")
        assert "mug" not in record["edit_prompt"]
    capsys.readouterr()
    long = named.replace(":captioner", ":talker")
    assert cli.main(["iedit-data", str(bare), "--output", str(tmp_path / "long"), "--run", str(run),
                     *RULES, "--set", long, "--set", "words=table", "--size", "64"]) == 0
    assert "too long for the towers, which read their beginning 12" in capsys.readouterr().err
    said = refused(capsys, bare, "--output", tmp_path / "other", "--run", run, *RULES,
                   "--set", "captioner=tests.commands.test_iedit_data:nobody")
    assert "Name a function as MODULE:FUNCTION" in said


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.jsonl", "", "is empty"),
    ("a.jsonl", "{", "line 1: not JSON"),
    ("a.jsonl", "[1]", "is no object"),
    ("a.jsonl", '{"source": "a", "target": "b"}', "has no 'edit_prompt'"),
    ("a.jsonl", '{"source": "a", "target": "b", "prompt": "c"}', "unknown key 'prompt'"),
    ("a.csv", "source,target\na,b\n", "line 2: has no 'edit_prompt'"),
    ("a.csv", "source,target,edit_prompt\na,b,a mug, red\n", "line 2: has more cells"),
    ("a.csv", "source,target,edit_prompt\na,b,\"a mug\n", "no CSV"),
    ("a.csv", "source,source,edit_prompt\na,b,c\n", "names 'source' twice"),
    ("a.csv", "source,target,edit_prompt\na,b," + "x" * 200_000 + "\n", "no CSV"),
    ("a.jsonl", '{"source": "a", "target": "b", "edit_prompt": "c", "id": "1"}\n' * 2,
     "two pairs have the id '1'"),
])
def test_a_list_of_pairs_that_cannot_be_used(run, tmp_path, capsys, name, text, words):
    (tmp_path / name).write_text(text)
    assert words in refused(capsys, "--pairs", tmp_path / name, "--run", run, "--output",
                            tmp_path / "out")


def test_the_weights_that_come_with_jaxedit_serve_the_small_world():
    words = ["iedit-data", "scenes:world:64", "--output", "pairs"]
    arguments = cli.build_parser(words).parse_args(words)
    assert iedit_data._is_ours(arguments)
    config, start = iedit_data._configured(arguments, True)
    assert PairStage(config).convolution == "auto"
    towers, segmenter = encoders.towers(config, start), encoders.segmenter(config, start)
    world = sources.create("scenes:world:64", "eval")
    record = next(r for r in world if r["attributes"]["colour"] == "red")
    codes = towers.pictures([record["image"]]) @ towers.texts(
        [record["caption"], record["caption"].replace("red", "blue")]
    ).T
    assert codes[0, 0] > codes[0, 1]
    subject = record["attributes"]["subject"]
    marked, subject_is = segmenter.masks([record["image"]], [subject])[0], record["alpha"] > 127
    assert (marked & subject_is).sum() / (marked | subject_is).sum() > 0.5
    for named in (["--run", "x"], ["--towers", "x"]):
        assert not iedit_data._is_ours(cli.build_parser(words).parse_args([*words, *named]))
    photos = ["iedit-data", "photos/", "--output", "pairs"]
    assert not iedit_data._is_ours(cli.build_parser(photos).parse_args(photos))
