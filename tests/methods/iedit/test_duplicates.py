"""Pictures that look alike are found, however many there are."""

import cv2
import numpy as np

from jaxedit.data import sources
from jaxedit.methods.iedit import duplicates


def test_copies_look_alike_and_other_pictures_do_not():
    source = sources.create("photos", "train")
    images = [source[index]["image"] for index in range(0, len(source), max(1, len(source) // 8))]
    signs = np.array([duplicates.signature(image) for image in images], np.uint64)
    for image, own in zip(images, signs, strict=True):
        half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        _, packed = cv2.imencode(".jpg", half, [cv2.IMWRITE_JPEG_QUALITY, 60])
        copy = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert duplicates.distance(np.uint64(duplicates.signature(copy)), own) <= 4
        mirrored = np.uint64(duplicates.signature(np.ascontiguousarray(image[:, ::-1])))
        assert duplicates.distance(mirrored, own) > 4


def test_the_first_of_each_is_kept_as_by_comparing_all():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 40, np.uint64)
    signs = rng.choice(base, 400)
    for _ in range(6):  # up to six bits differ
        chosen = rng.random(400) < 0.6
        signs[chosen] ^= np.uint64(1) << rng.integers(0, 64, chosen.sum(), np.uint64)
    for most in (-1, 0, 1, 4, 64):
        kept, wanted = [], []
        for place, own in enumerate(signs):
            far = not kept or duplicates.distance(signs[kept], own).min() > most
            wanted.append(far)
            if far:
                kept.append(place)
        np.testing.assert_array_equal(duplicates.first_of_each(signs, most), wanted)
    assert 40 < duplicates.first_of_each(signs, 4).sum() < 400
