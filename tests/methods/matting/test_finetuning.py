"""Fine-tuning samples: merging, trimaps, the crop around unknown pixels, composition."""

import cv2
import numpy as np
import pytest

from jaxedit.data.trimaps import FOREGROUND, UNKNOWN
from jaxedit.methods.matting import affine, finetuning, real_world
from jaxedit.methods.matting.finetuning import Finetuning, Layers


def picture(seed, height=60, width=80):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(height=60, width=80, radius=18, soft=2):
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, (width // 2, height // 2), radius, 255, -1)
    return cv2.GaussianBlur(alpha, (0, 0), soft) if soft else alpha


SUBJECTS = [(picture(0), disc()), (picture(1, 50, 40), disc(50, 40, 12))]


def make(seed=0, index=0, **options):
    task = Finetuning(**{"size": 32, "resize_size": 48, **options})
    return task(SUBJECTS.__getitem__, 2, index, picture(9, 70, 30), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_a_sample_is_the_mixture_it_says(seed):
    sample = make(seed, index=seed)
    for key, channels in (("image", 3), ("foreground", 3), ("background", 3), ("alpha", 1),
                          ("trimap", 1)):
        assert sample[key].shape == (32, 32, channels) and sample[key].dtype == np.float32
    alpha = sample["alpha"]
    assert alpha.min() >= 0 and alpha.max() <= 1
    mixed = alpha * sample["foreground"] + (1 - alpha) * sample["background"]
    np.testing.assert_allclose(sample["image"], mixed, atol=2e-6)
    assert set(np.unique(sample["trimap"])) <= {0, 1, 2} and (sample["trimap"] == 1).any()


def test_the_generator_decides_everything():
    first, again, other = make(3), make(3), make(4)
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
    assert not np.array_equal(first["image"], other["image"])


def test_the_subject_is_the_index_modulo_their_number():
    seen = []

    def subjects(index):
        seen.append(index)
        return SUBJECTS[index]

    task = Finetuning(size=32, merge=0.0)
    for index in (0, 1, 2, 5):
        task(subjects, 2, index, picture(9), np.random.default_rng(0))
    assert seen == [0, 1, 0, 1]
    seen.clear()
    task = Finetuning(size=32, merge=1.0)
    for seed in range(30):
        task(subjects, 2, 0, picture(9), np.random.default_rng(seed))
    assert seen[::2] == [0] * 30 and 6 < sum(seen[1::2]) < 24  # the second one is any


def test_merging_puts_the_first_over_the_second():
    rng = np.random.default_rng(0)
    first = finetuning.opacity_of(SUBJECTS[0])
    second = (picture(5), np.full((60, 80), np.float32(0.25)))
    foreground, alpha = finetuning.merge(first, second, rng)
    a = first[1]
    np.testing.assert_allclose(alpha, 1 - (1 - a) * 0.75, atol=1e-6)
    exact = first[0] * a[..., None].astype(np.float64) + second[0] * (1 - a[..., None])
    assert foreground.dtype == np.uint8
    assert np.abs(foreground - np.floor(exact)).max() <= 1
    np.testing.assert_array_equal(foreground[a == 1], first[0][a == 1])


def test_merging_is_dropped_where_everything_would_be_opaque():
    first = finetuning.opacity_of(SUBJECTS[0])
    kept = finetuning.merge(first, (picture(5), np.ones((60, 80), np.float32)),
                            np.random.default_rng(0))
    assert kept[0] is first[0] and kept[1] is first[1]


def test_trimap_widths_are_drawn_from_the_range():
    alpha = finetuning.opacity_of((None, disc(soft=0)))[1]
    rng = np.random.default_rng(0)
    narrow = Finetuning(trimap_width=(1, 1), trimap_size=80).trimap(alpha, rng)
    wide = [Finetuning(trimap_width=(9, 15), trimap_size=80).trimap(alpha, rng) for _ in range(20)]
    counts = {int((labels == UNKNOWN).sum()) for labels in wide}
    assert min(counts) > (narrow == UNKNOWN).sum() + 300 and len(counts) > 5
    assert all((labels == FOREGROUND).sum() < (alpha == 1).sum() for labels in wide)


def layers(height, width, labels):
    rows, columns = np.mgrid[:height, :width]
    colours = np.stack([rows % 256, columns % 256, 0 * rows], -1).astype(np.uint8)
    return Layers(colours, (rows / height).astype(np.float32), labels, picture(1, height, width))


def test_the_crop_is_centred_on_an_unknown_pixel():
    labels = np.zeros((200, 240), np.uint8)
    labels[100:116, 60:76] = UNKNOWN  # 16 of every fourth row and column
    whole = layers(200, 240, labels)
    corners = set()
    for seed in range(40):
        made = finetuning.crop(whole, 64, np.random.default_rng(seed))
        assert made.foreground.shape == (64, 64, 3)
        top, left = int(made.foreground[0, 0, 0]), int(made.foreground[0, 0, 1])
        assert labels[top + 32, left + 32] == UNKNOWN
        np.testing.assert_array_equal(made.labels, labels[top : top + 64, left : left + 64])
        np.testing.assert_array_equal(made.alpha, whole.alpha[top : top + 64, left : left + 64])
        corners.add((top, left))
    assert len(corners) > 8


def test_with_few_unknown_pixels_the_crop_lies_anywhere():
    labels = np.zeros((200, 240), np.uint8)
    labels[100:104, 60:64] = UNKNOWN
    tops = [
        int(finetuning.crop(layers(200, 240, labels), 64, np.random.default_rng(s)).foreground[
            0, 0, 0])
        for s in range(40)
    ]
    assert min(tops) < 30 and max(tops) > 110


@pytest.mark.parametrize("size", [32, 33, 63, 96])
def test_corners_stay_inside_for_any_size(size):
    for height, width in ((size + 1, size + 2), (size + 5, 3 * size), (2 * size + 3, size + 1)):
        labels = np.full((height, width), UNKNOWN, np.uint8)
        for seed in range(20):
            top, left = finetuning.corner(labels, size, np.random.default_rng(seed))
            assert 0 <= top <= height - size and 0 <= left <= width - size


def test_small_pictures_are_enlarged_to_more_than_the_crop(monkeypatch):
    sizes = []
    corner = finetuning.corner

    def note(labels, size, rng):
        sizes.append(labels.shape)
        return corner(labels, size, rng)

    monkeypatch.setattr(finetuning, "corner", note)
    labels = np.full((64, 100), UNKNOWN, np.uint8)
    for size in (64, 80):
        made = finetuning.crop(layers(64, 100, labels), size, np.random.default_rng(0))
        assert made.alpha.shape == made.background.shape[:2] == (size, size)
    assert sizes == [(70, 110), (88, 137)]  # 1.1 crops, rounded down


def test_a_picture_without_unknown_pixels_is_stretched_whole():
    whole = layers(100, 140, np.zeros((100, 140), np.uint8))
    made = finetuning.crop(whole, 64, np.random.default_rng(1))
    assert made.alpha.shape == (64, 64)
    assert made.alpha[0].max() < 0.05 and made.alpha[-1].min() > 0.9


def test_options_switch_off():
    sample = make(affine=False, jitter=False, merge=0.0, resize_probability=0.0, size=56)
    levels = (sample["foreground"] + 1) * 127.5
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    # The crop is a part of the subject as it is (60 x 80 pixels, so nothing is enlarged).
    corners = [
        (top, left)
        for top in range(5)
        for left in range(25)
        if np.array_equal(np.rint(levels), SUBJECTS[0][0][top : top + 56, left : left + 56])
    ]
    assert len(corners) == 1


def test_degrading_touches_the_composed_picture_alone():
    clean, degraded = make(5, real_world=0.0), make(5, real_world=1.0)
    for key in clean:
        if key != "image":
            np.testing.assert_array_equal(clean[key], degraded[key])
    images = [
        real_world.degrade(clean["image"], np.random.default_rng(seed)) for seed in range(40)
    ]
    changed = [not np.array_equal(image, clean["image"]) for image in images]
    assert 28 < sum(changed) < 40  # all three are left out one time in eight
    assert all(np.abs(image).max() <= 1 and image.dtype == np.float32 for image in images)


def test_jpeg_keeps_colours_in_their_places():
    rows = np.linspace(-0.8, 0.8, 32, dtype=np.float32)
    image = np.stack(np.broadcast_arrays(rows[:, None], rows[None], np.float32(-0.5)), -1)
    np.testing.assert_allclose(real_world.jpeg(image, 95), image, atol=0.06)
    assert np.abs(real_world.jpeg(image, 40) - image).mean() > np.abs(
        real_world.jpeg(image, 95) - image
    ).mean()


def test_a_resize_draws_its_interpolation():
    small = picture(0, 8, 8)
    found = {affine.random_resize(small, 16, 16, np.random.default_rng(s)).tobytes()
             for s in range(30)}
    assert len(found) == 4
