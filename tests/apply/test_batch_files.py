"""What is a photograph of a folder, what is not, and where the results may go."""

import numpy as np
import pytest
from PIL import Image

from jaxedit.apply import batch_files, contact_sheet, photo_folders, photograph
from jaxedit.data import items, own_files
from jaxedit.errors import UserError

GREY = np.full((8, 9), 77, np.uint8)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.jpg", "sub/b.png"):
        write(folder / name)
    return folder


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GREY).save(path)


def batch(photos, output, sheets=None, **options):
    """Writes all files of a batch; returns its jobs."""
    named = {"--compare": sheets}
    jobs = batch_files.collect_alone(
        photos, output, beside=batch_files.named(named), say=lambda line: None, **options
    )

    def finish(applier, job, content):
        if job.output not in job.kept:
            photograph.write(job.output, photograph.Photograph(GREY))
        if sheets is not None:
            contact_sheet.write_grey(job.place(sheets), GREY, own_files.SHEET)
        return ""

    batch_files.run(jobs, read=lambda job: None, load=lambda: len, finish=finish,
                    say=lambda line: None)
    return jobs


def test_what_a_command_wrote_is_no_photograph_of_the_next(photos, tmp_path):
    names = [job.name for job in batch(photos, tmp_path / "out")]
    for output, sheets in ((photos / "one", photos / "sheets"), (photos / "sub" / "two", photos)):
        if sheets == photos:
            (photos / "sub" / "b.png").rename(photos / "sub" / "b.jpg")  # or it would be replaced
        assert [job.name for job in batch(photos, output, sheets)] == names
    said = []
    assert list(photo_folders.pictures_by_stem(photos, (), said.append)) == ["a", "sub/b"]
    assert len(said) == 3 and "and 3 more" in said[2] and "one holds results" in said[0]
    # Training sees no results either; a folder that is named itself is taken as it is.
    assert not any(name.startswith(("one", "sub/two")) for name in items.find_images(photos))
    assert list(photo_folders.pictures_by_stem(photos / "one")) == ["a", "sub/b"]
    with pytest.raises(UserError, match="no image file but what jaxedit has written"):
        photo_folders.pictures_by_stem(photos / "sheets")


def test_results_are_not_put_among_photographs(photos, tmp_path):
    for output in (photos, tmp_path / "photos" / ".." / "photos"):
        with pytest.raises(UserError, match="would lie among the files of"):
            batch(photos, output)
    write(photos / "photos" / "c.jpg")
    with pytest.raises(UserError, match="would lie among the files of"):
        batch(photos, tmp_path)  # whose photos/c.png that would be
    with pytest.raises(UserError, match="holds pictures that this command does not write, such as"):
        batch(photos, photos / "sub")
    # Results of before there were marks are recognised by their names.
    write(photos / "old" / "a.png")
    batch(photos, photos / "old", overwrite=True)
    assert own_files.holds_results(photos / "old")
    masks = tmp_path / "masks"
    write(masks / "a.jpg")
    with pytest.raises(UserError, match="among the files of"):
        batch_files.collect(photos, masks, masks, what="mask")


def test_trimaps_that_were_kept_are_companions(photos, tmp_path):
    contact_sheet.write_grey(tmp_path / "kept" / "a.png", GREY, own_files.TRIMAP)
    contact_sheet.write_grey(tmp_path / "kept" / "sub" / "b.png", GREY, own_files.SHEET)
    (job,) = batch_files.collect(photos, tmp_path / "kept", tmp_path / "out", what="trimap")
    assert job.name == "a.png"


def test_what_is_lacking_beside_a_result_is_made_and_the_result_stays(photos, tmp_path):
    out, sheets = tmp_path / "out", tmp_path / "sheets"
    batch(photos, out)
    before = [(out / name).stat().st_mtime_ns for name in ("a.png", "sub/b.png")]
    assert not batch(photos, out, skip=True)
    assert len(batch(photos, out, sheets, skip=True)) == 2
    assert [(out / name).stat().st_mtime_ns for name in ("a.png", "sub/b.png")] == before
    assert not batch(photos, out, sheets, skip=True)
    kept = {"used": batch_files.named({"--keep": tmp_path / "kept"})}
    assert len(batch_files.collect_alone(photos, out, skip=True, **kept)) == 2
    write(tmp_path / "kept" / "a.png")
    (job,) = batch_files.collect_alone(photos, out, skip=True, **kept)
    assert job.name == "sub/b.png"
    # A sheet without its result is what a batch that was cut short leaves; others' files are not.
    (out / "a.png").unlink()
    assert len(batch(photos, out, sheets, skip=True)) == 1
    (out / "a.png").unlink()
    write(sheets / "a.png")
    with pytest.raises(UserError, match="already exists"):
        batch(photos, out, sheets, skip=True)


def test_of_several_results_the_lacking_ones_are_made(photos, tmp_path):
    for name in ("a-1.png", "sub/b-1.png", "sub/b-2.png"):
        write(tmp_path / "out" / name)
    said = []
    (job,) = batch_files.collect_alone(photos, tmp_path / "out", variants=2, skip=True,
                                       say=said.append)
    assert job.name == "a.png" and job.kept == {tmp_path / "out" / "a-1.png"}
    assert "1 of 2 results exist already" in said[0] and "1 of 2 lack a part" in said[1]


def test_no_file_is_written_twice(tmp_path):
    photos = tmp_path / "photos"
    for name in ("a", "a-preview", "a-1"):
        write(photos / f"{name}.png")
    preview = lambda job: {"preview": job.output.with_stem(f"{job.output.stem}-preview")}
    message = "The result of .*/photos/a-preview.png and the preview of .*/photos/a.png would both"
    with pytest.raises(UserError, match=message):
        batch_files.collect_alone(photos, tmp_path / "out", beside=preview)
    # Also where the other photograph is done already.
    write(tmp_path / "out" / "a-preview.png")
    with pytest.raises(UserError, match=message):
        batch_files.collect_alone(photos, tmp_path / "out", beside=preview, skip=True)
    batch_files.collect_alone(photos, tmp_path / "new", variants=2)
    write(photos / "sub" / "a.png")
    twice = batch_files.named({"--compare": tmp_path / "k", "--strip": tmp_path / "k" / "sub"})
    with pytest.raises(UserError, match="--compare and --strip are both .*k/sub/a.png"):
        batch_files.collect_alone(photos, tmp_path / "new", beside=twice)
    same = batch_files.named({"--compare": tmp_path / "new"})
    with pytest.raises(UserError, match="--compare and --output are both"):
        batch_files.collect_alone(photos, tmp_path / "new", beside=same)
    sheet = batch_files.named({"--strip": tmp_path / "o-2.png"})
    with pytest.raises(UserError, match="--strip and --output are both"):
        batch_files.collect_alone(photos / "a.png", tmp_path / "o.png", variants=2, beside=sheet)
    with pytest.raises(UserError, match="is an input file"):
        batch_files.collect_alone(photos / "a.png", tmp_path / "o.png", overwrite=True,
                                  beside=batch_files.named({"--strip": photos / "a.png"}))


def test_a_side_product_says_what_it_is_in_any_png(tmp_path):
    path = tmp_path / "map.PNG"
    profile = bytes(range(256)) * 2
    Image.fromarray(GREY).save(path, "PNG", icc_profile=profile,
                               pnginfo=own_files.as_side_product(own_files.MAP))
    assert own_files.kind_of(path) == own_files.MAP
    for content in (b"", path.read_bytes()[:11], b"\x89PNG\r\n\x1a\n" + b"\xff" * 40):
        path.write_bytes(content)
        assert own_files.kind_of(path) is None
    write(tmp_path / "photo.png")
    assert own_files.kind_of(tmp_path / "photo.png") is None
    assert own_files.kind_of(tmp_path / "none.png") is None
