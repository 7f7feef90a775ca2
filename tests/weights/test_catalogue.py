"""Which weights there are, and what is said of those that are absent."""

import pytest

from jaxedit.errors import PretrainedWeightsMissing
from jaxedit.weights import catalogue, convert, manifest, shipped
from tests.weights.examples import FOLDER, heads, published


def test_absent_weights_say_how_to_get_them(tmp_path, monkeypatch):
    with pytest.raises(PretrainedWeightsMissing) as error:
        convert.load("inception-fid", tmp_path)
    assert str(error.value) == (
        f"The weights 'inception-fid' are not in {tmp_path}. Run: JAXEDIT_WEIGHTS={tmp_path} "
        "jaxedit weights get inception-fid. Or by hand: download https://github.com/mseitzer/pytorch-fid/"
        "releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth (95.6 MB), "
        f"then run: JAXEDIT_WEIGHTS={tmp_path} jaxedit weights convert inception-fid FILE"
    )
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    with pytest.raises(PretrainedWeightsMissing) as error:
        convert.load_all(["aotgan-places2", "lpips-vgg"])
    first, second = (f"jaxedit weights convert {name} FILE" for name in ("aotgan-places2",
                                                                         "lpips-vgg"))
    person = "the file G*.pt in it; Google Drive: a person has to press Download"
    assert f"({person}), then run: {first}. The weights" in str(error.value)
    assert str(error.value).endswith(f", then run: {second}")


def test_a_bundle_of_several_files_says_all_of_them():
    text = catalogue.by_hand(FOLDER)
    assert "unet/weights.safetensors, unet/config.json, vae/weights.safetensors" in text
    assert text.endswith("then run: jaxedit weights convert pipeline FOLDER")


def test_list_rows(tmp_path, monkeypatch):
    monkeypatch.setitem(manifest.entries(), FOLDER.name, FOLDER)
    convert.convert(
        "lpips-alex", published(tmp_path, heads()), weights_dir=tmp_path, verify=False
    )
    rows = {row["name"]: row for row in catalogue.list_rows(tmp_path)}
    as_published = {one.name for one in manifest.as_published()}
    assert set(rows) == {*manifest.entries(), *shipped.names(), *as_published}
    assert [name for name, row in rows.items() if row["state"] == "ready"] == ["lpips-alex"]
    assert rows["vgg19"]["digest"] == "SHA-256 begins with dcbb9e9d"
    assert rows["scat-celeba"]["digest"] == "not published"
    assert rows["pipeline"]["file"].endswith("vae/config.json, tokenizer/vocab.json")
    assert rows["vgg16"]["get"] == "jaxedit weights get vgg16"
    assert "press Download" in rows["scat-celeba"]["get"]
    assert rows["lpips-alex"]["path"] == str(tmp_path / "lpips-alex.safetensors")
    others = [row for name, row in rows.items() if name not in shipped.names()]
    assert all(row["licence"] and row["address"].startswith("https://") for row in others)


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXEDIT_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert catalogue.default_dir() == tmp_path / "jaxedit" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalogue.default_dir() == tmp_path / ".cache" / "jaxedit" / "weights"
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path / "mine"))
    assert catalogue.path_of("vgg16") == tmp_path / "mine" / "vgg16.safetensors"
