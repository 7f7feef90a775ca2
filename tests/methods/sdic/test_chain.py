"""Every part from nothing, one after the other, to the table, the curve and an edited picture."""

import json

import jax
import numpy as np
from PIL import Image

from jaxedit import cli
from jaxedit.data import sources
from jaxedit.methods.sdic.attributes import NAMES
from jaxedit.run import measure, readers, train
from tests import shrink


def test_the_chain_ends_in_an_edited_picture(tmp_path, capsys):
    run = tmp_path / "run"
    train.train(shrink.sdic("chain", **{"network.encoder_norm": "batch"}), run, jax.devices()[:1])
    # The frozen encoder's statistics drift, as in the published loop; its file's do not.
    _, method, state = readers.load_run(run)
    moved = jax.tree.map(
        lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()),
        state.stats["encoder"], state.frozen["encoder"]["batch_stats"],
    )
    assert min(jax.tree.leaves(moved)) > 0

    assert {one.path.relative_to(run).as_posix() for one in measure.measure_run(run)} == {
        "evaluation.json", "evaluations/inversion-editing.json", "evaluations/judge.json",
        "evaluations/encoder.json", "evaluations/generator.json",
    }
    found = json.loads((run / "evaluation.json").read_text())
    assert found["systems"] == ["model", "encoder alone"]
    assert found["metrics"][:3] == ["mse", "psnr", "l1"]
    edits = json.loads((run / "evaluations" / "inversion-editing.json").read_text())
    assert edits["systems"] == ["model", "no edit", "encoder alone"]
    assert edits["groups"] == [*NAMES, "all"]
    assert len({found["table"][one]["all"]["psnr"] for one in found["systems"]}) == 2
    for name in ("edit_l1", "moved", "others_moved", "lec"):
        assert edits["table"]["model"]["all"][name] is not None
    assert set(edits["curves"][0]["systems"]) == {"model", "encoder alone"}

    face, out = tmp_path / "face.png", tmp_path / "out.png"
    Image.fromarray(sources.create("portraits:32", "eval")[0]["image"]).save(face)
    words = ["invert", str(face), "--run", str(run), "--output", str(out), "--save-discrepancy"]
    assert cli.main([*words, "--edit", "smile=+1", "--edit", "pc0@0-2=-1"]) == 0
    assert np.asarray(Image.open(out)).shape == (32, 32, 3)
    assert "edited by smile=+1, pc0@0-2=-1" in capsys.readouterr().err
