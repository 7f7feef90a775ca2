"""What CLIP and CLIPSeg are shown."""

import numpy as np
from PIL import Image

from jaxedit.models.clip import preprocessing


def picture(height, width):
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    waves = 127 + 100 * np.sin(x / 3)[..., None] * np.cos(y / 5)[..., None]
    return np.clip(waves + rng.normal(0, 9, (height, width, 3)), 0, 255).astype(np.uint8)


def test_short_side_and_middle():
    image = picture(60, 90)
    prepared = preprocessing.prepare(image, 32)
    assert prepared.shape == (32, 32, 3) and prepared.dtype == np.float32
    whole = Image.fromarray(image).resize((48, 32), Image.Resampling.BICUBIC)
    expected = np.asarray(whole)[:, 8:40] / 255
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    np.testing.assert_allclose(prepared, (expected - mean) / deviation, atol=1e-6)


def test_the_same_inside_of_a_program():
    for size in ((60, 90), (20, 24), (40, 40)):
        image = picture(*size)
        unit = np.float32(image)[None] / 127.5 - 1
        inside = preprocessing.from_unit_range(unit, 40)[0]
        # Half a step of 8 bits in each of the two passes, over the smallest deviation.
        np.testing.assert_allclose(inside, preprocessing.prepare(image, 40), atol=1.6 / 255 / 0.26)


def test_a_segmenter_sees_the_whole_picture():
    image = picture(60, 90)
    prepared = preprocessing.prepare_for_segmentation(image, 32)
    square = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
    expected = (square / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(prepared, expected, atol=1e-6)
