"""Options that would change nothing are refused, whichever verb they are given to."""

import argparse

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli, main
from jaxedit.commands import counting
from jaxedit.errors import UserError

EDIT = "edit p.jpg --prompt hat --run r o.png"
MATTE = "matte p.jpg --run r o.png"
ALIGN = "align p.jpg --landmarks l.json o.png"
FOUND = "directions --run r o.safetensors"


@pytest.mark.parametrize("words, message", [
    (f"{EDIT} --invert-mask", "--invert-mask is about a --mask, and none is named"),
    (f"{EDIT} --invert-mask --region hat --segmenter s", "--invert-mask is about a --mask"),
    (f"{EDIT} --feather 4", "--feather is for the rim of a --mask"),
    (f"{EDIT} --mask m.png --whole --feather 4", "--feather is for the rim of a --mask"),
    (f"{EDIT} --context 9", "--context is for crops"),
    (f"{EDIT} --mask m.png --whole --context 9", "--whole, which asks for none"),
    (f"{EDIT} --segmenter s", "--segmenter finds a --region, and none is named"),
    (f"{EDIT} --caption cat", "add --start ddim"),
    (f"{EDIT} --start ddim --seed 3", "--seed is about the noise"),
    (f"{EDIT} --start ddim --variants 3", "a photo has one result"),
    (f"{EDIT} --guidance 1 --negative-prompt cat", "--negative-prompt changes nothing"),
    (f"{EDIT} --tokenizer t", "a run has its own"),
    (f"{EDIT} --precision bfloat16", "--precision is for the published"),
    ("edit p.jpg --prompt hat --weights w --step 3 o.png", "--step chooses a checkpoint of --run"),
    ("inpaint p.jpg --mask-from alpha --invert-mask o.png", "--invert-mask is about a MASK"),
    ("inpaint p.jpg --mask-from alpha --resize-mask o.png", "--resize-mask is about a MASK"),
    ("inpaint p.jpg m.png --classical telea --resolution 99 o.png", "is for networks"),
    ("inpaint p.jpg m.png --classical telea --bucket 8 o.png", "--bucket is for networks"),
    ("matte p.jpg --classical knn --bucket 8 o.png", "--bucket is for networks"),
    ("matte p.jpg --classical knn --trust-run-code o.png", "--trust-run-code is about the code"),
    ("inpaint p.jpg m.png --weights w --trust-run-code o.png", "--trust-run-code is about"),
    ("synthesize l.png --bank b --trust-run-code o.png", "--trust-run-code is about the code"),
    ("iedit-data s --towers t --segmenter s --trust-run-code o", "--trust-run-code is about"),
    ("directions --weights w --trust-run-code o.safetensors", "of a --run or a --judge"),
    *((f"{start} --overwrite --skip-existing", "--overwrite replaces results that exist, and") for
      start in (EDIT, MATTE, ALIGN, "inpaint p.jpg m.png o.png", "label p.jpg o.png",
                "invert p.jpg --run r o.png")),
    (f"{MATTE} --alpha-only --keep-colours", "--keep-colours is not seen with --alpha-only"),
    ("sweep s.py --list --seeds 3", "--seeds is about running, and --list runs nothing"),
    ("sweep s.py --list --workdir w", "--workdir is about running"),
    (f"{MATTE} --trimap t.png --trimap-width 0.1", "--trimap-width is about the trimap that"),
    (f"{MATTE} --trimap t.png --save-trimap x.png", "--save-trimap is about the trimap that"),
    (f"{MATTE} --mask m.png --round-trimap", "--round-trimap is about the values of a --trimap"),
    (f"{MATTE} --alpha-only --background b.png", "--background is not seen with --alpha-only"),
    (f"{MATTE} --alpha-only --premultiplied", "--premultiplied is about the colours"),
    (f"{MATTE} --background b.png --premultiplied", "--premultiplied is about the colours"),
    ("synthesize l.png --bank b --canvas-only --save-canvas o.png", "leave it out with"),
    ("synthesize l.png --bank b --stage x o.png", "--stage is one of a run"),
    (f"{ALIGN} --predictor p.dat", "--predictor finds landmarks"),
    ("invert f.png --run r --face 2 o.png", "--face is for photographs that are to be aligned"),
    ("invert f.safetensors --run r --refine 2 o.png", "--refine is for pictures"),
    ("invert f.png --run r --directions d o.png", "--directions is for --edit or --strip"),
    ("invert f.png --weights w --stage s o.png", "--stage is one of a run"),
    (f"{FOUND} --pictures 5", "--pictures needs a CLIP"),
    (f"{FOUND} --beta 0.2", "--beta needs a CLIP"),
    (f"{FOUND} --text a=b:c", "--text needs a CLIP"),
    (f"{FOUND} --styleclip c --channels f --pictures 5", "--pictures is how channels are measured"),
    (f"{FOUND} --styleclip c --beta 0.2", "--beta is about a --text, and none is given"),
    ("directions --weights w --step 3 o.safetensors", "--step is one of a run"),
    ("iedit-data --pairs p.csv --segmenter s --split train o", "--split is about finding pairs"),
    ("iedit-data --pairs p.csv --segmenter s --seed 1 o", "--seed is about finding pairs"),
    ("bank inspect b --per-class 3", "--per-class is about the page: add --output"),
])
def test_what_would_change_nothing_is_refused(words, message, capsys):
    assert cli.main(words.split()) == 2
    assert message in capsys.readouterr().err


def test_training_takes_no_options_of_evaluation(capsys):
    for words, message in (
        (["--config=configs/scat.py", "--step=3"], "--step is for --mode=evaluate"),
        (["--config=configs/scat.py", "--stage=train"], "--stage is for --mode=evaluate"),
        (["--config=configs/scat.py:demo,train.steps=3", "--mode=evaluate"], "it only names the"),
    ):
        with pytest.raises(SystemExit):
            main.parse(words)
        assert message in capsys.readouterr().err


def test_the_value_of_the_default_is_no_wish_and_arrays_are_values():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture")
    parser.add_argument("--draw", action="store_true")
    counting.only(parser, "--seed --picture", lambda a: a.draw, "is for --draw.")
    counting.check(parser.parse_args(["--seed", "0"]))
    counting.check(parser.parse_args(["--seed", "3", "--draw"]))
    with pytest.raises(UserError, match="--seed is for --draw."):
        counting.check(parser.parse_args(["--seed", "3"]))
    arguments = parser.parse_args([])
    arguments.picture = np.zeros((2, 2))
    with pytest.raises(UserError, match="--picture is for"):
        counting.check(arguments)


@pytest.mark.parametrize("words", [
    "iedit-data scenes:world:64 FILE/out",
    "bank build streets FILE/out --licence own",
    "bank inspect streets --output FILE/page.html",
    "data pack pictures FILE/out",
    "data compose subjects photos FILE/out",
    "preference pictures --run r --output FILE/out",
    "preference sheet a=x b=y --output FILE/page.html",
    "weights convert vgg19 x.pth --output FILE/out",
    "weights get vgg19 --output FILE/out",
    "inpaint PHOTO MASK --classical telea FILE/out.png",
    "inpaint PHOTOS MASK --classical telea FILE/out",
    "inpaint PHOTOS MASK --classical telea OUT",
])
def test_a_place_that_cannot_be_written_is_found_first(words, tmp_path, capsys):
    """A file stands where a folder should; of the last also below the folder of results."""
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for name in ("file", "out/sub"):
        (tmp_path / name).write_text("")
    picture = Image.new("L", (40, 40))
    picture.paste(255, (9, 9, 20, 20))
    for name in ("photos/sub/a.png", "mask.png"):
        picture.save(tmp_path / name)
    for word, place in (("FILE", "file"), ("PHOTOS", "photos"), ("PHOTO", "photos/sub/a.png"),
                        ("MASK", "mask.png"), ("OUT", "out")):
        words = words.replace(word, str(tmp_path / place))
    assert cli.main(words.split()) == 2
    assert "is a file, not a folder. Choose another place" in capsys.readouterr().err
