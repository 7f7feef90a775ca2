"""Directions of a generator: planted ones are found, files are whole, texts move channels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import cli
from jaxedit.errors import UserError
from jaxedit.layers.convolution import formulation
from jaxedit.methods.sdic import directions, directions_stage, editing, finding, styleclip
from jaxedit.models.stylegan2.generator import Generator
from jaxedit.run import drawing
from tests import fake_run, shrink
from tests.models.clip import examples

RNG = np.random.default_rng(0)
NAMES = finding.NAMES


@functools.cache
def made():
    """A tiny generator, and a judge that reads each attribute off one quarter and colour."""
    generator = Generator(8, 16, 1, most_channels=8)
    variables = drawing.drawn(generator.init, jax.random.key(1), jnp.zeros((1, 16)))
    mixed = jnp.asarray(RNG.standard_normal((2 * 2 * 3, len(NAMES))))

    def judge(pictures):
        quarters = pictures.reshape(-1, 2, 4, 2, 4, 3).mean((2, 4)).reshape(len(pictures), -1)
        return quarters @ mixed

    return finding.Made(generator, variables, judge)


def test_directions_change_what_they_are_named_for(tmp_path):
    lines = []
    found = finding.find(made(), finding.Settings(1000, 3, 2), lines.append)
    assert set(found) == {*NAMES, *(f"{name}-alone" for name in NAMES), "pc0", "pc1", "pc2",
                          "sefa0", "sefa1"}
    assert len(lines) == len(NAMES) and "held-out" in lines[0]
    for name in NAMES:
        plain, alone = found[name], found[f"{name}-alone"]
        assert np.linalg.norm(plain.array[0]) == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(plain.array[0], plain.array[-1])
        assert plain.effects[name] > 0
        others = [found[other].array[0] for other in NAMES if other != name]
        assert np.abs(alone.array[0] @ np.stack(others).T).max() < 1e-5
    # Effects are what the judge says, at the mean of many codes, of codes that are moved.
    codes = made().codes(1000, 0)[:: 1000 // 64][:64]
    step = 0.01 * found["smile"].array[0]
    slope = made().scores(codes + step) - made().scores(codes - step)
    near = slope.mean(0)[NAMES.index("smile")] / 0.02
    assert found["smile"].effects["smile"] == pytest.approx(near, rel=0.5)
    assert "| smile | linear |" in finding.table(found)

    path = tmp_path / "found.safetensors"
    directions_stage.write(path, made(), found)
    widths = editing.style_widths(made().variables["params"])
    again = directions.read(path, (4, 16), widths)
    assert list(again.by_name) == list(found)
    for name, one in found.items():
        np.testing.assert_array_equal(again.by_name[name].array, one.array)
        assert again.by_name[name].effects == one.effects
    np.testing.assert_array_equal(again.by_name["pc1"].mean, found["pc1"].mean)
    np.testing.assert_array_equal(again.more["edits/vectors"][1], found["smile"].array)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="damaged"):
        directions.read(path, (4, 16), widths)


def test_a_run_finds_its_directions(tmp_path, capsys, monkeypatch):
    """With the judge of another run, and without one; with the fast convolutions."""
    modes, find = set(), finding.find
    monkeypatch.setattr(
        finding, "find", lambda *given: modes.add(formulation.mode()) or find(*given)
    )
    run = fake_run.untrained(tmp_path / "run", shrink.sdic(**{"network.discrepancy": "residual"}))
    judge = fake_run.untrained(tmp_path / "judge", shrink.sdic("judge"))
    out = tmp_path / "found.safetensors"
    words = ["directions", "--run", str(run), "--output", str(out), "--codes", "200",
             "--components", "2", "--closed", "1"]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert "no judge" in said.err and "pc1" in said.out and "smile" not in said.out
    assert cli.main([*words, "--overwrite", "--judge", str(judge)]) == 0
    assert "| smile | linear |" in capsys.readouterr().out
    assert modes == {"auto"}
    assert cli.main(words) == 2
    assert "already exists" in capsys.readouterr().err
    assert cli.main([*words, "--overwrite", "--judge", str(run)]) == 2
    assert "has trained no judge" in capsys.readouterr().err
    assert cli.main(["directions", "--run", str(judge), "--output", str(out),
                     "--overwrite"]) == 2
    assert "have no generator" in capsys.readouterr().err


@pytest.mark.parametrize("words, message", [
    (["--codes", "100"], "must be from 200"),
    (["--styleclip", "x", "--text", "a b=c:d"], "is not NAME=TARGET:NEUTRAL"),
    (["--styleclip", "x", "--text", "beard=c"], "is not NAME=TARGET:NEUTRAL"),
    (["--styleclip", "x", "--text", "a=b:c", "--beta", "2"], "--beta is 2"),
])
def test_mistakes(words, message, tmp_path, capsys):
    given = ["directions", "--run", "none", "--output", str(tmp_path / "x.safetensors"), *words]
    assert cli.main(given) == 2
    assert message in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "o.png").touch()
    output = str(tmp_path / "o.png" / "x.safetensors")
    assert cli.main(["directions", "--run", "none", "--output", output]) == 2
    assert "o.png is a file, not a folder" in capsys.readouterr().err


def test_channels_and_texts():
    """With a CLIP whose embedding of a picture is its mean colour, and of texts a colour's name."""
    colours = {"red": (1, 0, 0), "grey": (0.1, 0.1, 0.1)}
    clip = styleclip.Clip(
        lambda pictures: pictures.mean((1, 2)),
        lambda texts: np.asarray([colours[w] for t in texts for w in colours if w in t], float),
    )
    channels = styleclip.measure(made(), clip, pictures=6, statistics=500)
    params = made().variables["params"]
    widths = editing.style_widths(params)
    assert channels.directions.shape == (sum(widths), 3)
    # One channel by hand: its style set to its mean plus and minus 5 deviations.
    many, shown = made().codes(500, 0), made().codes(6, 1)
    every = styleclip.styles(params, many, 1)
    ends = []
    for sign in (1, -1):
        offsets = np.zeros((6, widths[1]), np.float32)
        target = every[:, 2].mean() + sign * 5 * every[:, 2].std()
        offsets[:, 2] = target - styleclip.styles(params, shown, 1)[:, 2]
        pictures, _ = made().generator.apply(
            made().variables, np.repeat(shown[:, None], 4, 1), style_offsets={2: offsets},
            method="synthesise",
        )
        ends.append(np.asarray(pictures.mean((1, 2))))
    np.testing.assert_allclose(
        channels.directions[widths[0] + 2], editing.channel_direction(*ends), atol=1e-4
    )
    assert channels.deviations[widths[0] + 2] == pytest.approx(every[:, 2].std(), rel=1e-4)
    direction = styleclip.of_text("warm", "red", "grey", channels, clip, 0.1)
    offsets = editing.style_offsets(np.tile(0.5 * direction.array, (6, 1)), widths, 8)
    codes = np.repeat(shown[:, None], 4, 1)
    plain, moved = (
        made().generator.apply(made().variables, codes, style_offsets=one, method="synthesise")[0]
        for one in ({}, offsets)
    )
    towards = editing.text_direction(clip.texts(["red"]), clip.texts(["grey"]))
    assert ((moved - plain).mean((0, 1, 2)) @ towards) > 0
    with pytest.raises(UserError, match="Choose a smaller beta"):
        styleclip.of_text("warm", "red", "grey", channels, clip, 0.999999)


def test_half_a_clip_is_refused(tmp_path):
    with pytest.raises(UserError, match="both towers"):
        styleclip.read_clip(examples.write(tmp_path / "text", "text"))
