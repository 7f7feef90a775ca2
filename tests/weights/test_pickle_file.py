"""Pickles of networks: read without running anything, and hostile ones refused.

The fixture ada.pkl was written by torch 2.14 with `persistence` of stylegan2-ada restated: its
modules say that their source, which aborts the process, must be executed. Those of TensorFlow are
written here.
"""

import collections
import os
import pickle
import struct
import sys
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.weights import reader

FIXTURES = Path(__file__).parent / "fixtures"


def written(tmp_path, content):
    path = tmp_path / "network.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


@pytest.fixture
def tensorflow(monkeypatch):
    """Returns a class that pickles as `dnnlib.tflib.network.Network` does."""
    module = types.ModuleType("dnnlib.tflib.network")

    class Network:
        def __init__(self, variables, components=()):
            self.state = {
                "version": 4, "name": "G", "static_kwargs": {"resolution": 8},
                "components": collections.OrderedDict(components),
                "build_module_src": "import os\nos.abort()\n", "build_func_name": "G_main",
                "variables": list(variables.items()),
            }

        def __getstate__(self):
            return self.state

    Network.__module__, Network.__qualname__ = module.__name__, "Network"
    module.Network = Network
    for name in ("dnnlib", "dnnlib.tflib"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Network


def test_networks_of_pytorch():
    path = FIXTURES / "ada.pkl"
    arrays = reader.read(path, nested=("G_ema",), ignore=("*.resample_filter",))
    assert len(arrays) == 2 + 1 + 1 + 3 * 6 + 2 * 4
    assert arrays["synthesis.b8.conv1.weight"].shape == (2, 2, 3, 3)
    first = arrays["mapping.fc0.weight"]
    np.testing.assert_array_equal(first, np.arange(9).reshape(3, 3) / 8 + 1)
    assert arrays["synthesis.b4.conv1.noise_strength"].shape == ()
    judge = reader.read(path, nested=("D",), ignore=("*.resample_filter",))
    np.testing.assert_array_equal(judge["b8.fromrgb.bias"], [102, 102.125])
    with pytest.raises(UserError, match="no 'G' at its top level, which holds 'D', 'G_ema'"):
        reader.read(path, nested=("G",))
    with pytest.raises(UserError, match="choose one of 'D', 'G_ema'"):
        reader.read(path)


def test_networks_of_tensorflow(tmp_path, tensorflow):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 3, 2, 4)).astype(np.float32)
    parts = {"synthesis": tensorflow({
        "4x4/Conv/weight": kernel, "4x4/Conv/bias": np.asfortranarray(kernel[0, 0]),
        "scale": np.array(2.5, ">f8"), "half": np.array([1, -2], np.float16),
    })}
    network = tensorflow({"dlatent_avg": np.arange(4.0), "name": np.array(["x"])}, parts)
    for protocol in (2, 4):
        path = written(tmp_path, pickle.dumps((network, network, network), protocol))
        arrays = reader.read(path, nested=("G_ema",))
        assert arrays.keys() == {"dlatent_avg", "synthesis/4x4/Conv/weight", "synthesis/scale",
                                 "synthesis/4x4/Conv/bias", "synthesis/half"}
        np.testing.assert_array_equal(arrays["synthesis/4x4/Conv/weight"], kernel)
        np.testing.assert_array_equal(arrays["synthesis/4x4/Conv/bias"], kernel[0, 0])
        assert arrays["synthesis/scale"] == 2.5 and arrays["synthesis/half"].tolist() == [1, -2]
    alone = reader.read(written(tmp_path, network), nested=("G_ema",))
    assert alone["dlatent_avg"].tolist() == [0, 1, 2, 3]


class Call:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def test_nothing_is_executed(tmp_path):
    """Whatever a pickle asks for by name: refused before it is looked up, let alone called."""
    marker = tmp_path / "executed"
    command = f"touch {marker}"
    hostile = [
        (Call(os.system, command), "posix.system"),
        (Call(eval, f"open({str(marker)!r}, 'w')"), "builtins.eval"),
        (Call(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
        (Call(getattr, {}, "get"), "builtins.getattr"),
        (Call(np.load, str(marker)), "numpy.load"),
        ({"G_ema": Call(os.popen, command)}, "os.popen"),
    ]
    for content, name in hostile:
        with pytest.raises(UserError, match=f"refused, because the file asks to load '{name}'"):
            reader.read(written(tmp_path, content), nested=("G_ema",))
    by_hand = [
        b"\x80\x04cposix\nsystem\n(V" + command.encode() + b"\ntR.",
        b"\x80\x04\x8c\x19torch_utils.persistence\x94\x8c\x04exec\x94\x93.",  # of another name
        b"\x80\x04cdnnlib.tflib.network\nNetwork.__init__.__globals__\n.",  # through attributes
        b"\x80\x04ctorch.storage\n_load_from_bytes\n(C" + bytes([len(command)])
        + command.encode() + b"tR.",
        b"\x80\x04ccollections\nOrderedDict\n}V__reduce__\nNsb.",  # alters a class
        b"\x80\x04cdnnlib.tflib.network\nNetwork\n}V__setstate__\nNsb.",
        b"\x80\x04\x82\x01.",  # an extension
        b"\x80\x04V1\nQ.",  # a persistent object
    ]
    for content in by_hand:
        with pytest.raises(UserError, match="refused|damaged"):
            reader.read(written(tmp_path, content), nested=("G_ema",))
    assert not marker.exists()
    arrays = reader.read(FIXTURES / "ada.pkl", nested=("D",))  # all is as before
    assert arrays and type(collections.OrderedDict().__reduce__()) is tuple


def test_a_storage_hides_nothing(tmp_path):
    """What stands in the bytes of a storage is read under the same rule."""
    inner = pickle.dumps(Call(os.system, f"touch {tmp_path / 'executed'}"))
    content = b"\x80\x04ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<I", len(inner))
    with pytest.raises(UserError, match="refused, because the file asks to load 'posix.system'"):
        reader.read(written(tmp_path, content + inner + b"tR."), nested=("G_ema",))
    assert not (tmp_path / "executed").exists()


def test_sizes_are_checked_before_memory_is_taken(tmp_path, tensorflow):
    fixture = (FIXTURES / "ada.pkl").read_bytes()
    huge = pickle.dumps(tensorflow({"x": np.zeros((3, 5), np.float32)}), 2)
    shape = huge.index(b"K\x03K\x05")
    hostile = [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",  # bytes
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",  # a text
        b"\x80\x04Nr" + struct.pack("<I", 2**31) + b".",  # a place among the objects
        b"\x80\x04Np2147483648\n.",
        b"\x80\x04\x8b\xff\xff\xff\x7f1.",  # a number
        huge[:shape] + b"J\xff\xff\xff\x7fK\x05" + huge[shape + 4 :],  # an array
        fixture[: len(fixture) // 2],
    ]
    tracemalloc.start()
    for content in hostile:
        with pytest.raises(UserError, match="damaged"):
            reader.read(written(tmp_path, content), nested=("G_ema",))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    deep = tensorflow({})
    deep.state["components"]["again"] = deep
    with pytest.raises(UserError, match="networks within networks without end"):
        reader.read(written(tmp_path, deep), nested=("G_ema",))


def test_the_same_limits_hold_for_torch_files(tmp_path):
    content = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"\x80\x02Nr" + struct.pack("<I", 2**31)
    with pytest.raises(UserError, match="damaged or not a torch checkpoint"):
        reader.read(written(tmp_path, content + b"."))


def test_other_pickles(tmp_path):
    with pytest.raises(UserError, match="a pickle without networks that are read here"):
        reader.read(written(tmp_path, {"a": 1}))
