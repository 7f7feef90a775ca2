"""SAD, MSE, Grad and Conn on stored 8-bit pairs, from golden files of matting's `metrics`."""

import numpy as np
import pytest

from jaxedit.methods.matting import metrics as matting
from jaxedit.metrics import Keys
from tests.parity import golden

# The name in the files -> ours; a file may leave some out.
NAMES = {
    "sad": "sad",
    "mse_x1000": "mse_x1000",
    "grad_div255": "grad",
    "grad_minmax": "grad_minmax",
    "conn_reference": "conn",
    "conn_python_port_with_background_bug": "conn_python_port",
}
RTOL = 1e-6  # some of the recorded figures were added up in float32
FILES = golden.goldens("metrics", "matting")


def pairs(file):
    """Yields (case, prediction, target, unknown) for every pair of the file."""
    for case in file.info["values"]:
        prediction, target, trimap = (
            file.arrays[f"{case}_{name}"] for name in ("pred", "target", "trimap")
        )
        yield case, prediction, target, trimap == 128


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_metrics_have_the_recorded_values(path):
    file = golden.load(path)
    for case, prediction, target, unknown in pairs(file):
        recorded = file.info["values"][case]
        assert set(NAMES) & set(recorded)
        outputs, batch, mask = (
            {name: array[None, ..., None].astype(np.float32) / scale}
            for name, array, scale in (
                ("prediction", prediction, 255), ("target", target, 255), ("unknown", unknown, 1)
            )
        )
        for name, ours in NAMES.items():
            if name not in recorded:
                continue
            accumulator = matting.MattingMetric(ours, Keys(region="unknown")).new()
            accumulator.update(outputs, batch | mask)
            found = accumulator.result()[ours]
            assert found == pytest.approx(recorded[name], rel=RTOL), (case, name)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_sad_and_mse_of_whole_images(path):
    """The recorded sums over whole images: the same functions with another region."""
    file = golden.load(path)
    for case, prediction, target, _ in pairs(file):
        recorded = file.info["values"][case]
        everywhere = np.ones(target.shape, bool)
        if "sad_whole" in recorded:
            sad = matting.sad(prediction, target, everywhere)
            assert sad == pytest.approx(recorded["sad_whole"], rel=RTOL)
        if "mse_whole" in recorded:
            mse = matting.mse_x1000(prediction, target, everywhere)
            assert mse == pytest.approx(1000 * recorded["mse_whole"], rel=RTOL)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_gaussian_derivatives(path):
    file = golden.load(path)
    for case, _, target, _ in pairs(file):
        for axis, derivative in zip("xy", matting.gradient(target / 255), strict=True):
            recorded = file.arrays.get(f"{case}_target_g{axis}")
            if recorded is None:
                continue
            np.testing.assert_allclose(derivative, recorded, atol=3e-7, err_msg=f"{case} {axis}")
