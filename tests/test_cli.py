"""The `jaxedit` command from its arguments to its exit code, with a real, tiny SCAT network."""

import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from jaxedit import cli
from jaxedit.run import sharding
from jaxedit.weights import catalogue, manifest, table
from tests import fake_run, shrink

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the real method, shrunk, at its first step."""
    return fake_run.untrained(tmp_path_factory.mktemp("cli") / "run", shrink.scat())


@pytest.fixture
def pair(tmp_path):
    """A photograph of odd size, with EXIF, and its mask; returns (photo, mask, pixels, hole)."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 71, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "Brownie"
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    hole = np.zeros((50, 71), bool)
    hole[10:30, 0:25] = True
    Image.fromarray(hole).save(tmp_path / "mask.png")
    return tmp_path / "photo.png", tmp_path / "mask.png", pixels, hole


def go(*words):
    return cli.main([str(word) for word in words])


def fails(capsys, *words):
    """Runs a command that must fail; returns its one message."""
    capsys.readouterr()
    assert go(*words) == 2
    output = capsys.readouterr()
    assert "Traceback" not in output.err and output.out == ""
    return output.err


def test_inpaint_with_a_run(run, pair, tmp_path, capsys):
    photo, mask, pixels, hole = pair
    out = tmp_path / "out.png"
    assert go("inpaint", photo, mask, "--run", run, "--output", out) == 0
    image = Image.open(out)
    result = np.asarray(image)
    np.testing.assert_array_equal(result[~hole], pixels[~hole])
    assert (result[hole] != pixels[hole]).any() and np.ptp(result[hole].astype(int)) > 0
    assert image.getexif()[0x010F] == "Brownie"
    assert "71 x 50 pixels, 14.1% filled" in capsys.readouterr().err
    # What lies under the mask has no influence on what is painted there.
    scribbled = np.where(hole[..., None], 0, pixels)
    Image.fromarray(scribbled).save(tmp_path / "scribbled.png")
    again = tmp_path / "again.png"
    assert go("inpaint", tmp_path / "scribbled.png", mask, "--run", run, "--output", again) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(again)), result)


def test_inpaint_folders_in_one_compilation_per_bucket(run, pair, tmp_path, capsys, monkeypatch):
    made, describe = [], sharding.compile_and_describe
    monkeypatch.setattr(sharding, "compile_and_describe",
                        lambda *a: made.append(a) or describe(*a))
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    for name, size in (("a", (40, 70)), ("b", (71, 50)), ("c", (45, 66)), ("d", (9, 9))):
        Image.new("RGB", size[::-1], "red").save(photos / f"{name}.jpg")
        hole = np.zeros(size, np.uint8)
        hole[:5, :5] = 255
        Image.fromarray(hole).save(masks / f"{name}.png")
    Image.new("L", (9, 9)).save(masks / "d.png")  # empty
    assert go("inpaint", photos, masks, "--run", run, "--output", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert len(made) == 2
    assert "1 of 4 photos failed" in said and "marks no hole" in said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.png"]
    assert Image.open(tmp_path / "out" / "b.png").size == (50, 71)


def test_inpaint_mistakes(run, pair, tmp_path, capsys):
    photo, mask, _, hole = pair
    out = tmp_path / "out.png"
    network = ("--run", run)

    def message(*words):
        return fails(capsys, "inpaint", *words, "--output", out)

    assert "nowhere.png does not exist" in message(tmp_path / "nowhere.png", mask, *network)
    Image.fromarray(~hole[:40]).save(tmp_path / "short.png")
    assert "71 x 40" in message(photo, tmp_path / "short.png", *network)
    Image.new("L", (71, 50)).save(tmp_path / "empty.png")
    assert "marks no hole" in message(photo, tmp_path / "empty.png", *network)
    assert "whole photo" in message(photo, tmp_path / "empty.png", *network, "--invert-mask")
    assert "grey values" in message(photo, photo, *network)
    assert "is no run directory" in message(photo, mask, "--run", tmp_path)
    assert "holds no checkpoint of step 7" in message(photo, mask, *network, "--step", 7)
    assert "Did you mean 'scat-places2'" in message(photo, mask, "--weights", "scat-place")
    assert "not of a network that can inpaint" in message(photo, mask, "--weights", "vgg16")
    assert "--step" in message(photo, mask, "--weights", "scat-places2", "--step", "last")
    assert "bucket=0" in message(photo, mask, *network, "--bucket", 0)
    assert not out.exists()
    out.write_text("precious")
    assert "--overwrite" in message(photo, mask, *network)
    assert out.read_text() == "precious"


@pytest.mark.parametrize(
    "words", [[], ["paint"], ["inpaint", "a", "b", "c", "d"], ["doctor", "--hard"],
              ["inpaint", "a", "b", "--run", "r", "--weights", "w", "--output", "c"],
              ["data", "pack", "a"], ["data", "compose", "a", "b"], ["weights"]]
)
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2 and "usage: jaxedit" in capsys.readouterr().err


def test_numbers_of_one_option_are_one_word(capsys):
    """An unquoted `--box 10 20 30 40` says how it is written."""
    for words, said in (("10 20 30 40", True), ("10, 20, 30, 40", True), ("10,20 also", False)):
        with pytest.raises(SystemExit):
            cli.main(["matte", "a.jpg", "--box", *words.split(), "--output", "c.png"])
        assert ("such as --box 120,40,300,500" in capsys.readouterr().err) == said


@pytest.mark.parametrize(
    "words", [[], ["train"], ["evaluate"], ["inpaint"], ["matte"], ["edit"], ["invert"], ["align"],
              ["directions"], ["weights"], ["weights", "list"], ["weights", "get"],
              ["weights", "convert"],
              ["sweep"], ["report"], ["doctor"], ["data"], ["data", "pack"], ["data", "compose"]]
)
def test_help_of_every_command(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "usage: jaxedit" in text and len(text) > 150


def test_published_weights_from_file_to_picture(tmp_path, pair, capsys, monkeypatch):
    """A file in the publisher's form, converted, then applied: the whole way of `--weights`."""
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path / "weights"))
    photo, mask, pixels, hole = pair
    entry = manifest.get("scat-places2")
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: 0.02 * rng.standard_normal(leaf.shape, np.float32), entry.expected()
    )
    published = table.to_published(entry.table(), variables)
    file = tmp_path / "G.safetensors"
    safetensors.numpy.save_file(published, file)

    out = tmp_path / "out.png"
    words = ("inpaint", photo, mask, "--weights", "scat-places2", "--output", out)
    assert "weights convert scat-places2" in fails(capsys, *words)
    assert go("weights", "convert", "scat-places2", file) == 0
    path = capsys.readouterr().out.strip()
    assert path == str(tmp_path / "weights" / "scat-places2.safetensors")
    assert go("weights", "list", "--names") == 0
    listed = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["scat-places2", "ready"] for line in listed)
    assert any(line.split()[:2] == ["scat-celeba", "absent"] for line in listed)
    assert go(*words, "--bucket", 4) == 0
    result = np.asarray(Image.open(out))
    np.testing.assert_array_equal(result[~hole], pixels[~hole])

    # The right network: the published form doubles maps in one way, AOT-GAN's in another.
    from jaxedit.data.images import read_image, read_mask
    from jaxedit.methods.scat.generator import Generator

    padded = np.pad(read_image(photo), ((1, 1), (0, 1), (0, 0)), mode="reflect")
    inside = np.pad(read_mask(mask), ((1, 1), (0, 1)), mode="reflect")[..., None]
    inside = inside.astype(np.float32)
    image = (padded / 127.5 - 1).astype(np.float32) * (1 - inside) + inside
    generate = jax.jit(Generator(upsample="nearest").apply)
    expected = generate(variables, image[None], inside[None])[0]
    expected = np.clip(np.rint((np.asarray(expected)[1:-1, :-1] + 1) * 127.5), 0, 255)
    assert np.abs(result[hole] - expected[hole]).max() <= 1

    # Weights of another network: every key is compared, and nothing is written.
    wrong = {name: array for name, array in published.items() if "middle.7" not in name}
    safetensors.numpy.save_file({**wrong, "odd": np.zeros(3, np.float32)}, file)
    message = fails(capsys, "weights", "convert", "scat-celeba", file)
    assert "missing 'middle.7" in message and "'odd'" in message
    assert "absent" == next(r["state"] for r in catalogue.list_rows() if r["name"] == "scat-celeba")
    fails(capsys, "weights", "convert", "scat-celeba", tmp_path / "nowhere.pt")
    fails(capsys, "weights", "convert", "scat", file)


def test_weights_list_says_where_and_under_which_licence(capsys):
    assert go("weights", "list") == 0
    text = capsys.readouterr().out
    for entry in manifest.entries().values():
        assert entry.name in text and entry.address in text
    assert "licence" in text and "SHA-256" in text


def test_report_of_a_run_and_of_a_sweep(tmp_path, capsys):
    run = fake_run.write(tmp_path / "run")
    assert go("report", run) == 0
    output = capsys.readouterr()
    assert "mean fill" in output.out and str(run / "report.html") in output.err
    folder = fake_run.write_sweep(tmp_path / "sweep", {"full": [25.0, 26.0], "less": [22.0, 23.0]})
    assert go("report", folder) == 0
    assert "| full | 2 | **24.50" not in capsys.readouterr().out  # 23.5: psnr - 2 over all
    assert "| full | 2 | **23.50 ± 0.71**" in (folder / "comparison.md").read_text()
    assert go("report", run, folder / "full" / "seed-0", "--output", tmp_path / "both") == 0
    assert (tmp_path / "both" / "comparison.csv").is_file()
    assert "no folder" in fails(capsys, "report", tmp_path / "none")
    assert "is no run directory" in fails(capsys, "report", tmp_path)


def test_sweep_list_and_mistakes(capsys, tmp_path):
    file = ROOT / "experiments" / "scat_ablation.py"
    assert go("sweep", f"{file}:all", "--list") == 0
    text = capsys.readouterr().out
    assert "no_textural" in text and "loss.textural=0.0" in text
    assert "No sweep file" in fails(capsys, "sweep", tmp_path / "none.py")
    assert "Unknown preset 'al'" in fails(capsys, "sweep", f"{file}:al")
    assert "Unknown argument '--quick'" in fails(capsys, "sweep", file, "--quick")
    message = fails(capsys, "sweep", file, "--workdir", tmp_path / "s", "--config.loss.l2=1")
    assert "loss.l2" in message and not (tmp_path / "s").exists()


def test_data_pack(tmp_path, capsys):
    for index in range(4):
        folder = tmp_path / "pictures" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 255, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    packed = tmp_path / "packed"
    assert go("data", "pack", tmp_path / "pictures", packed, "--shards", 2) == 0
    assert capsys.readouterr().out.strip() == f"array_record:{packed}"
    assert any(packed.iterdir())
    fails(capsys, "data", "pack", tmp_path / "pictures", packed)  # taken
    fails(capsys, "data", "pack", tmp_path / "none", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_data_compose(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for folder, count, channels in (("subjects", 2, 4), ("photos", 3, 3)):
        (tmp_path / folder).mkdir()
        for index in range(count):
            pixels = rng.integers(0, 256, (40, 48, channels), np.uint8)
            if channels == 4:
                pixels[:10, :, 3], pixels[25:, :, 3] = 0, 255
            Image.fromarray(pixels).save(tmp_path / folder / f"{folder}{index}.png")
    words = ("data", "compose", tmp_path / "subjects", tmp_path / "photos", tmp_path / "out")
    options = ("--per-foreground", 2, "--trimap-width", 3, "--seed", 1, "--make-trimaps")
    assert go(*words, *options) == 0
    assert capsys.readouterr().out.strip() == f"folder:{tmp_path / 'out'}"
    for folder in ("images", "alphas", "trimaps"):
        assert len(list((tmp_path / "out" / folder).iterdir())) == 4
    assert "already exists" in fails(capsys, *words)
    assert "per_foreground is 0" in fails(capsys, *words[:-1], tmp_path / "x", "--per-foreground",
                                          0)
    assert not (tmp_path / "x").exists()


def test_doctor(capsys):
    assert go("doctor") == 0
    assert "small program" in capsys.readouterr().out


def test_interruption(capsys, monkeypatch):
    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxedit.commands.doctor.main", stop)
    assert go("doctor") == 130


def test_light_commands_stay_light():
    """Help and mistakes must not wait for JAX."""
    code = (
        "import sys, json\n"
        "from jaxedit import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "code = cli.main(['inpaint', 'nowhere.png', 'm.png', '--run', 'r', '--output', 'o.png'])\n"
        "heavy = [m for m in ('jax', 'torch', 'tensorflow', 'orbax') if m in sys.modules]\n"
        "print(json.dumps([code, heavy]))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
                            check=True)
    assert json.loads(result.stdout.splitlines()[-1]) == [2, []]
    assert "nowhere.png does not exist" in result.stderr


def test_the_commands_exit_code_reaches_the_shell(tmp_path):
    command = [sys.executable, "-m", "jaxedit.cli", "report", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("jaxedit report: ") and result.stderr.count("\n") == 1
