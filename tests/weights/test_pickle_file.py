"""Pickles of networks: read without running anything, and hostile ones refused.

The fixture ada.pkl was written by torch 2.14 with `persistence` of stylegan2-ada restated: its
modules say that their source, which aborts the process, must be executed. Those of TensorFlow are
written here.
"""

import collections
import io
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
from jaxedit.weights import pickle_file, reader

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


def nested_twice(times):
    """A tuple that holds a tuple twice, which holds another twice: a byte or two for each."""
    return b"K\x01" + b"2\x86" * times


def modules_twice(times):
    """A module that holds another under two names, and so on."""
    start = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}X\5\0\0\0state}"
    module = start + b"s\x85R"
    for place in range(times):
        again = b"h" + bytes([place]) + b"s"
        module += b"q" + bytes([place]) + b"0" + start + b"X\x08\0\0\0_modules}X\1\0\0\0a" + (
            again + b"X\1\0\0\0b" + again + b"ss\x85R"
        )
    return module


def networks_twice(times):
    start = b"cdnnlib.tflib.network\nNetwork\n)\x81"
    network = start + b"}b"
    for place in range(times):
        again = b"h" + bytes([place]) + b"s"
        network += b"q" + bytes([place]) + b"0" + start + b"}X\x0a\0\0\0components}X\1\0\0\0a" + (
            again + b"X\1\0\0\0b" + again + b"sb"
        )
    return network


@pytest.mark.parametrize("name", ["dnnlib.util\nEasyDict", "dnnlib\nEasyDict",
                                  "collections\nOrderedDict", "dnnlib.tflib.network\nNetwork"])
@pytest.mark.parametrize("attribute", ["get", "__setitem__", "__setstate__", "__init__"])
def test_no_class_is_altered(name, attribute, tmp_path):
    """Neither by its dict nor through setattr: what is altered stays so for the whole process."""
    module, _, short = name.partition("\n")
    handed_out = pickle_file._ALLOWED[module, short]
    before = dict(vars(handed_out))
    pair = b"X" + struct.pack("<I", len(attribute)) + attribute.encode() + (
        b"ccollections\nOrderedDict\n"
    )
    for state in (b"}" + pair + b"s", b"N}" + pair + b"s\x86"):
        with pytest.raises(UserError, match="damaged"):
            reader.read(
                written(tmp_path, b"\x80\x02c" + name.encode() + b"\n" + state + b"b."),
                nested=("G_ema",),
            )
    assert dict(vars(handed_out)) == before
    with pytest.raises((TypeError, AttributeError)):  # whatever else a pickle might call
        setattr(handed_out, attribute, None)


def test_dictionaries_with_attributes_are_read(tmp_path, monkeypatch):
    module = types.ModuleType("dnnlib.util")
    module.EasyDict = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})
    monkeypatch.setitem(sys.modules, "dnnlib", types.ModuleType("dnnlib"))
    monkeypatch.setitem(sys.modules, "dnnlib.util", module)
    for protocol in (2, 4):
        content = pickle.dumps(module.EasyDict(a=1, b=module.EasyDict(c=2)), protocol)
        found = pickle_file._Unpickler(io.BytesIO(content), tmp_path, {}).load()
        assert found == {"a": 1, "b": {"c": 2}}


@pytest.mark.parametrize("content, message", [
    (b"}X\5\0\0\0G_ema" + modules_twice(40) + b"s.", "entries without end"),
    (networks_twice(40) + b".", "entries without end"),
    (b"cnumpy\ndtype\n" + nested_twice(40) + b"\x85R.", "nested without measure"),
    (b"}" + nested_twice(40) + b"K\x01s.", "nested without measure"),
    (b"}(" + nested_twice(40) + b"K\x01u.", "nested without measure"),
    (b"\x8f(" + nested_twice(40) + b"\x90.", "nested without measure"),  # a set
    (b"K\x01" + b"".join(
        b"q" + bytes([n]) + b"0(h" + bytes([n]) + b"(h" + bytes([n]) + b"\x91\x91"
        for n in range(40)) + b".", "nested without measure"),  # frozen sets
    (b"K\x01" + b"q\0(h\0" + b"h\0" * 9 + b"t" + b"".join(
        b"q\0(" + b"h\0" * 1000 + b"t" for _ in range(3)) + b".", "nested without measure"),
    # Hashing follows it on the machine's stack, which ends.
    (b"}K\x01" + b"\x85" * 10**6 + b"K\x01s.", "nested without measure"),
    (b"cnumpy\ndtype\n" + nested_twice(3) + b"\x85R.", "whose name is no text"),
    (b"}X\5\0\0\0G_ema" + modules_twice(1).replace(b"X\1\0\0\0a", nested_twice(3)) + b"s.",
     "a name that is no text"),
    (b"}X\5\0\0\0G_ema" + modules_twice(1).replace(
        b"X\1\0\0\0a", b"X" + struct.pack("<I", 5000) + b"a" * 5000) + b"s.", "a name of more"),
])
def test_little_files_that_ask_for_endless_work(content, message, tmp_path, monkeypatch):
    """Where such are not refused some run for hours, some take all memory or end the process."""
    monkeypatch.setattr(pickle_file, "_MOST_ENTRIES", 5_000)  # soon reached
    tracemalloc.start()
    with pytest.raises(UserError, match=message):
        reader.read(written(tmp_path, b"\x80\x04" + content), nested=("G_ema",))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26


def test_variables_without_a_text_for_a_name(tmp_path, tensorflow):
    network = tensorflow({("x", ("y",)): np.zeros(2)})
    with pytest.raises(UserError, match="a name that is no text"):
        reader.read(written(tmp_path, network), nested=("G_ema",))


def test_what_is_shared_and_nested_in_measure_is_read(tmp_path, tensorflow):
    """Tuples in tuples, many references to one object, and one network under several names."""
    shared = tuple((n, (n, (n,))) for n in range(50))
    part = tensorflow({"x": np.arange(3.0)})
    parts = {f"part{n}": part for n in range(20)}
    network = tensorflow({"y": np.ones(2)}, parts)
    network.state["static_kwargs"] = {"sizes": [shared] * 500, "set": {1, 2}, ("a", ("b", 1)): 0}
    for protocol in (2, 4):
        if protocol == 4:
            network.state["frozen"] = frozenset([1, (2, 3)])
        path = written(tmp_path, pickle.dumps((network, network, network), protocol))
        arrays = reader.read(path, nested=("G",))
        assert len(arrays) == 21 and arrays["part7/x"].tolist() == [0, 1, 2]
