"""Files of directions and of inversions: what does not belong together is named."""

import json

import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.methods.sdic import directions, inversion_file

CODES, STYLES = (4, 8), (3, 3)
SHAPES = {"image": (16, 16, 3), "encoded": CODES, "codes": CODES, "residual": (4, 4, 2),
          "picture": (8, 8, 3), "discrepancy": (8, 8, 3)}


def pc0(**changes):
    found = {"mean": np.ones(8), "deviation": 2.0, "array": np.ones(8)} | changes
    return directions.Direction("pc0", "component", found["array"], "deviations",
                                mean=found["mean"], deviation=found["deviation"])


def written(path, direction, codes=CODES):
    directions.write(path, directions.Directions({"pc0": direction}, codes, "one"))
    return path


def test_directions_come_back(tmp_path):
    found = directions.read(written(tmp_path / "d.safetensors", pc0()), CODES, STYLES)
    assert found.by_name["pc0"].deviation == 2.0 and found.codes == CODES
    assert found.request("pc0=to3").absolute


@pytest.mark.parametrize(("changes", "message"), [
    ({"mean": np.ones(7)}, "the mean of 'pc0' does not belong"),
    ({"mean": np.full(8, np.nan)}, "the mean of 'pc0' does not belong"),
    ({"deviation": 0.0}, "the deviation of 'pc0' is 0"),
    ({"deviation": float("nan")}, "the deviation of 'pc0' is nan"),
    ({"array": np.full(8, np.inf)}, "is no direction"),
])
def test_a_component_that_cannot_move_anything(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        directions.read(written(tmp_path / "d.safetensors", pc0(**changes)), CODES, STYLES)


@pytest.mark.parametrize("codes", [(), (8,), (100, 8), (4, 9)])
def test_directions_of_other_codes(codes, tmp_path):
    with pytest.raises(UserError, match="found on another one"):
        directions.read(written(tmp_path / "d.safetensors", pc0(), codes), CODES, STYLES)


@pytest.mark.parametrize("text", ["1e5", "-1e300", "nan", "much"])
def test_a_strength_beyond_sense(text, tmp_path):
    found = directions.read(written(tmp_path / "d.safetensors", pc0()), CODES, STYLES)
    with pytest.raises(UserError, match="of at most 10000"):
        found.request(f"pc0={text}")


def arrays():
    made = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    return made | {"picture": np.zeros(SHAPES["picture"], np.uint8)}


def kept(path, given):
    metadata = {"format": inversion_file.FORMAT, "networks": "one", "steps": "0"}
    path.write_bytes(safetensors.numpy.save(given, metadata))
    return path


def test_an_inversion_comes_back(tmp_path):
    path = tmp_path / "i.safetensors"
    inversion_file.write(path, inversion_file.read(kept(path, arrays()), SHAPES, "one"))
    assert set(inversion_file.read(path, SHAPES, "one").arrays) == set(SHAPES) - {"picture"}


@pytest.mark.parametrize(("changes", "message"), [
    ({"codes": np.full(CODES, np.nan, np.float32)}, "codes holds what is no number"),
    ({"codes": np.zeros(CODES, np.int32)}, "codes holds what is no number"),
    ({"picture": np.zeros((5, 7), np.uint8)}, "picture has the shape"),
    ({"picture": np.zeros((8, 8, 3), np.float32)}, "its picture is none"),
    ({"discrepancy": None}, "other networks: discrepancy"),
    ({"residual": None}, "it lacks residual"),
])
def test_an_inversion_that_cannot_be_edited(changes, message, tmp_path):
    given = {name: one for name, one in (arrays() | changes).items() if one is not None}
    with pytest.raises(UserError, match=message):
        inversion_file.read(kept(tmp_path / "i.safetensors", given), SHAPES, "one")


def test_numbers_that_numpy_has_not(tmp_path):
    """Eight bits of floating point."""
    start = {"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}
    for format_, read in ((directions.FORMAT, lambda p: directions.read(p, CODES, STYLES)),
                          (inversion_file.FORMAT, lambda p: inversion_file.read(p, SHAPES, "1"))):
        head = json.dumps(start | {"__metadata__": {"format": format_}}).encode()
        path = tmp_path / "x.safetensors"
        path.write_bytes(len(head).to_bytes(8, "little") + head + b"\0")
        with pytest.raises(UserError, match="damaged"):
            read(path)
