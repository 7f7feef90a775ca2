"""The evaluation metrics of SCAT's published script, from golden files of the family `metrics`."""

import re

import numpy as np
import pytest

from jaxedit.metrics import image
from tests.parity import golden

MEASURES = {"psnr": image.psnr, "ssim": image.ssim, "l1": image.l1}


@pytest.mark.parametrize("path", golden.goldens("metrics"), ids=golden.name_of)
def test_metrics_match_the_published_script(path):
    file = golden.load(path)
    for case in file.cases():
        target = file.input("image", case)
        noise = file.input("noise", case)
        strength = _noise_strength(file)
        prediction = np.clip(target + np.float32(strength) * noise, -1, 1)
        for name in file.info["outputs"]:
            # The files suggest no tolerance; float32 on their side leaves about 1e-7.
            file.compare(name, MEASURES[name](prediction, target), rtol=1e-5, atol=0)


def _noise_strength(file: golden.Golden) -> float:
    """Reads c of "result image = clip(image + c*noise, -1, 1)"."""
    texts = [entry["how"] for entry in file.info["inputs"]]
    found = re.search(r"clip\(image \+ ([\d.]+) ?\* ?noise", " ".join(texts))
    assert found, texts
    return float(found[1])
