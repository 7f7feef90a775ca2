"""Memory banks on disk: what goes in comes out, pictures leave whole, damage is named."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageCms

from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims import bank_building, segments
from tests.methods.sims import banks


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return banks.make(tmp_path_factory.mktemp("bank") / "bank", banks.Layouts(40))  # two shards


def test_colour_profiles_are_kept(tmp_path):
    """Of pictures in files; a picture without one and two that differ are told apart."""
    for name in ("images", "labels"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "folder" / "classes.json").write_text(json.dumps(banks.CLASSES.describe()))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for number, record in enumerate(banks.Layouts(4)):
        options = {"icc_profile": srgb} if number < 2 else {}
        place = lambda key, number=number: tmp_path / "folder" / key / f"{number}.png"
        Image.fromarray(record["image"]).save(place("images"), **options)
        Image.fromarray(record["label"].astype(np.uint8)).save(place("labels"))
    bank = banks.make(tmp_path / "bank", sources.create(f"folder:{tmp_path / 'folder'}", "all"))
    of = lambda *pictures: bank.profiles(
        n for p in pictures for n in bank.of_picture(bank.picture_number(str(p)))
    )
    assert of(0, 1) == {srgb} and of(2, 3) == {None} and of(1, 2) == {srgb, None}


def test_what_goes_in_comes_out(bank):
    source = banks.Layouts(40)
    assert len(bank.facts["shards"]) == 2 and bank.facts["licences"] == {
        "CC-BY-4.0": 20, "CC0-1.0": 20
    }
    for picture in (0, 31, 32, 39):
        record = source[picture]
        np.testing.assert_array_equal(bank.layout(picture), record["label"])
        expected = segments.find(record["label"], banks.CLASSES.count)
        numbers = bank.of_picture(picture)
        assert len(numbers) == len(expected)
        for number, one in zip(numbers, expected, strict=True):
            found = bank.segment(number)
            assert (found.label, found.box) == (one.label, one.box)
            np.testing.assert_array_equal(found.mask, one.mask)
            crop = record["image"][segments.inside(one.box)] * one.mask[..., None]
            np.testing.assert_array_equal(bank.colours(number), crop)
        whole, known = bank.picture(picture)
        np.testing.assert_array_equal(known, record["label"] != 255)
        np.testing.assert_array_equal(whole[known], record["image"][known])
    donor = bank.donor(int(bank.of_picture(33)[0]))
    assert (donor.image, donor.licence, donor.source) == ("picture-33", "CC-BY-4.0", "archive 33")
    assert sum(len(bank.of_class(label)) for label in range(-1, 9)) == len(bank)


def test_finer_colours_and_what_is_kept(tmp_path):
    fine = banks.make(tmp_path / "fine", banks.Layouts(2), scale=3, above_share=0.05)
    assert (fine.area > 0.05 * 32 * 64).all() and len(fine) > 1
    number = int(np.argmax(fine.area))
    colours, mask = fine.colours(number), fine.enlarged(fine.segment(number).mask)
    assert colours.shape[:2] == mask.shape and (colours[mask].sum(-1) > 0).all()
    only = banks.make(tmp_path / "only", banks.Layouts(4), licences=("CC0-1.0",))
    assert [image["id"] for image in only.images] == ["picture-0", "picture-2"]
    assert only.allowed(licences=["CC-BY-4.0"]).sum() == 0


def test_a_share_of_the_pictures_is_drawn(bank, tmp_path):
    ids = lambda bank: {image["id"] for image in bank.images}
    some, others = (
        ids(banks.make(tmp_path / str(seed), banks.Layouts(40), share=0.5, seed=seed))
        for seed in (0, 1)
    )
    assert some != others and some | others < ids(bank)
    assert all(10 <= len(one) <= 30 for one in (some, others))
    with pytest.raises(UserError, match="in the share 0 that is drawn"):
        banks.make(tmp_path / "none", banks.Layouts(4), share=0)


def test_a_picture_leaves_whole_and_the_rest_stays(bank, tmp_path):
    copy = tmp_path / "bank"
    shutil.copytree(bank.folder, copy)
    lost = bank_building.remove(copy, "picture-33")
    again = bank_lib.opened(copy)
    assert len(again) == len(bank) - lost and lost == len(bank.of_picture(33))
    assert again.facts["images"] == 39 and "picture-33" not in {i["id"] for i in again.images}
    for name in ("picture-32", "picture-34", "picture-2"):
        for one, other in zip(again.picture(again.picture_number(name)),
                              bank.picture(bank.picture_number(name)), strict=True):
            np.testing.assert_array_equal(one, other)
    names = {path.name for path in copy.iterdir()}
    assert names == {"manifest.json", *again.facts["shards"]} and "shard-00001.1" in names
    bank_building.remove(copy, "picture-34")
    assert "shard-00001.2" in {path.name for path in copy.iterdir()}
    with pytest.raises(UserError, match="no picture 'picture-33'"):
        bank_building.remove(copy, "picture-33")


def test_damaged_foreign_and_empty_banks_are_named(bank, tmp_path):
    with pytest.raises(UserError, match="no memory bank.*bank build"):
        bank_lib.opened(tmp_path)
    copy = tmp_path / "bank"
    shutil.copytree(bank.folder, copy)
    colours = copy / "shard-00000" / "colours.npy"
    colours.write_bytes(colours.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged: shard-00000/colours.npy has"):
        bank_lib.opened(copy)
    with pytest.raises(UserError, match="cannot be read"):
        bank_lib.opened(copy, verify=False)
    manifest = copy / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged: its manifest.json cannot be read"):
        bank_lib.opened(copy)
    about = json.loads(whole)
    for change, message in (({"bank": 9}, "version 9"), ({"segments": 0}, "empty")):
        manifest.write_text(json.dumps({"facts": {**about["facts"], **change}, "files": {}}))
        with pytest.raises(UserError, match=message):
            bank_lib.opened(copy)


def test_bad_pictures(tmp_path):
    for number, message in (
        (7, "holds 7, where there are the classes 0 to 4"), (255, "would be empty"),
    ):
        label = np.full(banks.SIZE, number, np.int32)
        with pytest.raises(UserError, match=message):
            banks.make(tmp_path / str(number), banks.Layouts(1, label=label))
    with pytest.raises(UserError, match="under MIT with a class"):
        banks.make(tmp_path / "MIT", banks.Layouts(2), licences=("MIT",))
    with pytest.raises(UserError, match="small frame"):
        bank_building.Settings((4096, 8192), banks.CLASSES)
