"""TensorFlow checkpoints without TensorFlow. The fixture was written by tf.train.Saver of 2.x.

It holds the variables of `expected`, sixty small ones whose names share their beginning (so that
the table compresses them, over several restarts), and a variable of text.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.weights import reader, tensorflow_file

INDEX = Path(__file__).parent / "fixtures" / "tensorflow.index"
DATA = INDEX.with_suffix(".data-00000-of-00001")


def expected() -> dict[str, np.ndarray]:
    layer = "g_encoder_conv1/g_encoder_conv1_1"
    kernel = np.arange(72, dtype=np.float32).reshape(3, 3, 2, 4) / 7
    named = {
        f"{layer}/weights": kernel,
        f"{layer}/LayerNorm/gamma": np.linspace(-1, 1, 4).astype(np.float32),
        "half": np.asarray([1.5, -2], np.float16),
        "steps": np.asarray(12345678901, np.int64),
        "flags": np.asarray([True, False]),
        "wide": np.asarray([[1e-300, 2]]),
        "empty": np.zeros((0, 3), np.float32),
    }
    return named | {f"many/layer_{i:03d}/bias": np.full(3, i, np.float32) for i in range(60)}


def test_every_variable_comes_back():
    arrays = reader.read(INDEX, ignore=("words",))
    assert arrays.keys() == expected().keys()
    for name, array in expected().items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_text_is_named():
    with pytest.raises(UserError, match="'words' holds text"):
        reader.read(INDEX)
    with pytest.raises(UserError, match="has no 'netD'"):
        reader.read(INDEX, nested=("netD",))


def test_the_data_file_is_asked_for_and_compared(tmp_path):
    index = Path(shutil.copy(INDEX, tmp_path))
    with pytest.raises(UserError, match="tensorflow.data-00000-of-00001 is not beside it"):
        reader.read(index, ignore=("words",))
    (tmp_path / DATA.name).write_bytes(DATA.read_bytes()[:-300])
    with pytest.raises(UserError, match="too short for"):
        reader.read(index, ignore=("words",))


def test_a_changed_index_is_found(tmp_path):
    """One bit anywhere: refused, or (in the footer's padding) without effect."""
    whole = INDEX.read_bytes()
    contents = tensorflow_file.IndexFile(INDEX).contents
    path = tmp_path / "a.index"
    refused = 0
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            assert tensorflow_file.IndexFile(path).contents == contents
        except UserError:
            refused += 1
    assert refused > 0.95 * len(whole) / 7
    for length in (0, 10, 47, 48, len(whole) // 2):
        path.write_bytes(whole[-length:] if length else b"")
        with pytest.raises(UserError, match="not a readable index"):
            tensorflow_file.IndexFile(path)
