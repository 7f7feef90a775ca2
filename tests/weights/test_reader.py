"""Reading checkpoints. The fixtures were written by torch 2.13 from `arange` arrays:

zip.pt and legacy.pt hold one state dict in both forms of torch files; nested.pt holds a training
checkpoint (netD with "module." names, MLP, optimizer, step); module.pt holds a pickled Linear.
"""

import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.weights import reader, torch_file

FIXTURES = Path(__file__).parent / "fixtures"
BOTH_FORMS = pytest.mark.parametrize("form", ["zip.pt", "legacy.pt"])


@BOTH_FORMS
def test_torch_files_of_both_forms(form):
    arrays = reader.read(FIXTURES / form)
    whole, quarters = np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3) / 4
    for name in ("float32", "float64", "float16", "bfloat16"):
        dtype = np.dtype(getattr(ml_dtypes, name, None) or name)
        assert arrays[name].dtype == dtype
        np.testing.assert_array_equal(arrays[name], quarters.astype(dtype))
    for name in ("int64", "int32", "uint8", "bool"):
        assert arrays[name].dtype == name
        np.testing.assert_array_equal(arrays[name], whole.astype(name))
    base = np.arange(12, dtype=np.float32) / 4
    np.testing.assert_array_equal(arrays["transposed"], base.reshape(3, 4).T)
    np.testing.assert_array_equal(arrays["view"], base[5:9].reshape(2, 2))
    assert arrays["scalar"].shape == () and arrays["scalar"] == 7
    assert arrays["empty"].shape == (0, 3)
    np.testing.assert_array_equal(arrays["parameter"], [0, 0.25])
    assert all(array.flags.c_contiguous for array in arrays.values())


def test_a_storage_without_a_type():
    array = reader.read(FIXTURES / "zip.pt")["uint16"]
    assert array.dtype == np.uint16 and array.tolist() == [0, 1, 2]


def test_nested_state_dicts_prefixes_and_ignored_entries():
    path = FIXTURES / "nested.pt"
    options = {"prefix": "module.", "ignore": ("*.num_batches_tracked",)}
    arrays = reader.read(path, nested=("netD",), **options)
    names = {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    assert set(arrays) == names
    np.testing.assert_array_equal(arrays["0.weight"].ravel(), [0, 0.25])
    assert set(reader.read(path, nested=("MLP",), **options)) == {"0.weight"}
    with pytest.raises(UserError, match="'optimizer' .dict.*The file nests dicts: choose one of "
                                        "'netD', 'MLP', 'optimizer'"):
        reader.read(path)
    with pytest.raises(UserError, match="no 'netG' at its top level, which holds 'netD', 'MLP'"):
        reader.read(path, nested=("netG",))
    with pytest.raises(UserError, match="no 'x' at step, which holds a int"):
        reader.read(path, nested=("step", "x"))


def test_a_pickled_module_is_refused_by_name():
    with pytest.raises(UserError, match="asks to load 'torch.nn.modules.linear.Linear'"):
        reader.read(FIXTURES / "module.pt")


class Touch:
    """Creates a file when it is unpickled freely."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def zip_file(path: Path, data: bytes, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in entries.items():
            archive.writestr(f"archive/data/{name[1:]}", content)
    return path


def legacy_file(path: Path, data: bytes) -> Path:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(x, 2) for x in (torch_file.LEGACY_MAGIC, 1001, system)]
    path.write_bytes(b"".join([*parts, data, pickle.dumps([], 2)]))
    return path


@pytest.mark.parametrize("make", [zip_file, legacy_file])
def test_a_malicious_pickle_is_refused_and_does_nothing(make, tmp_path):
    marker = tmp_path / "marker"
    path = make(tmp_path / "malicious.pt", pickle.dumps({"weight": Touch(marker)}, protocol=2))
    with pytest.raises(UserError, match=r"refused, because the file asks to load '\w+\.open'"):
        reader.read(path)
    assert not marker.exists()


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "opcodes",
    [
        # BUILD with a slot state sets attributes of whatever lies on the stack.
        REBUILD + b"N(U\x08__code__K\x01d\x86b.",
        REBUILD + b"N(U\x09_functionK\x01d\x86b.",
        b"ctorch\nFloatStorage\nN(U\x05dtypeK\x01d\x86b.",
        b"ccollections\nOrderedDict\nN(U\x05itemsK\x01d\x86b.",
        # A dotted name would reach attributes of what is allowed.
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
    ],
    ids=["code", "function", "storage", "class", "dotted"],
)
def test_a_pickle_cannot_change_what_it_may_call(opcodes, tmp_path):
    with pytest.raises(UserError, match="damaged|refused"):
        reader.read(zip_file(tmp_path / "file.pt", opcodes))
    assert set(reader.read(FIXTURES / "zip.pt")) >= {"float32", "view"}


def tensor_pickle(count=4, offset=0, size=(4,), stride=(1,), kind="storage") -> bytes:
    """A state dict {"a": tensor} over the storage "0" of `count` floats."""
    integers = lambda values: b"(" + b"".join(b"J" + _int(v) for v in values) + b"t"
    text = lambda value: b"X" + len(value).to_bytes(4, "little") + value.encode()
    storage = (
        b"(" + text(kind) + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        + b"J" + _int(count) + b"tQ"
    )
    tensor = (
        REBUILD + b"(" + storage + b"J" + _int(offset) + integers(size) + integers(stride)
        + b"\x89NtR"
    )
    return b"\x80\x02}" + text("a") + tensor + b"s."


def _int(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def test_hand_made_tensor(tmp_path):
    data = np.arange(4, dtype=np.float32).tobytes()
    path = zip_file(tmp_path / "a.pt", tensor_pickle(offset=1, size=(3,)), _0=data)
    assert reader.read(path)["a"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 1},
        {"offset": -1},
        {"size": (5,)},
        {"stride": (2,)},
        {"stride": (-1,)},
        {"size": (2, 2)},
        {"count": 5, "size": (5,)},
        {"count": -1},
        {"size": (2**30,), "stride": (0,)},
        {"kind": "module"},
    ],
    ids=str,
)
def test_tensors_that_reach_outside_of_their_storage(change, tmp_path):
    data = np.arange(4, dtype=np.float32).tobytes()
    with pytest.raises(UserError, match="damaged or not a torch checkpoint"):
        reader.read(zip_file(tmp_path / "a.pt", tensor_pickle(**change), _0=data))


@pytest.mark.parametrize("change", [
    {"size": (2**24,), "stride": (0,)},  # forty of these from sixteen bytes
    {"size": (1,) * 200, "stride": (1,) * 200},
    {"size": (0, 2**30), "stride": (1, 1)},
], ids=["repeated", "axes", "empty"])
def test_sizes_are_summed_before_anything_is_read(change, tmp_path, monkeypatch):
    data = np.arange(4, dtype=np.float32).tobytes()
    file = torch_file.ZipFile(zip_file(tmp_path / "a.pt", tensor_pickle(**change), _0=data))
    (tensor,) = file.contents.values()
    monkeypatch.setattr(file, "read", lambda tensor: pytest.fail("read before it was checked"))
    with pytest.raises(UserError, match="axes|far more than the file holds"):
        file.contents = {str(number): tensor for number in range(40)}
        reader._read_torch(file, (), "", ())


NESTED = b"K\x01" + b"2\x86" * 40  # a tuple that holds one twice, and so on
TWICE = b"K\x01" + b"2\x86" * 3


@pytest.mark.parametrize(
    "old, new, message",
    [
        (b"X\x01\0\0\x000", NESTED, "nested without measure"),  # the key of the storage
        (b"X\x07\0\0\0storage", NESTED, "nested without measure"),
        (b"X\x01\0\0\x000", TWICE, "unknown persistent id"),
        (b"X\x07\0\0\0storage", TWICE, "unknown persistent id"),
        (b"X\x01\0\0\0a", NESTED, "nested without measure"),  # the key of a dict
        (REBUILD, b"ctorch._utils\n_rebuild_parameter\n", "a parameter that is no tensor"),
        (b"tQ", b"t", "a tensor without a storage"),
        (b"(J" + _int(1) + b"t\x89", b"(\x8a\x0a" + b"\0" * 9 + b"\1t\x89", "impossible shape"),
        (b"(J" + _int(4) + b"t", b"(" + (b"\x8a\x08" + b"\0" * 7 + b"\x40") * 32 + b"t",
         "far more than the file holds"),
    ],
)
def test_little_torch_files_that_ask_for_endless_work(old, new, message, tmp_path):
    data = tensor_pickle()
    assert data.count(old) == 1
    path = zip_file(tmp_path / "a.pt", data.replace(old, new), _0=bytes(16))
    with pytest.raises(UserError, match=message):
        reader.read(path)


@pytest.mark.parametrize("key", [TWICE, NESTED])
def test_keys_of_the_legacy_form_are_texts(key, tmp_path):
    path = legacy_file(tmp_path / "a.pt", b"\x80\x02}.")
    content = path.read_bytes()
    assert content.endswith(b"]q\0.")
    path.write_bytes(content.removesuffix(b".") + key + b"a.")
    with pytest.raises(UserError, match="storages have no names|nested without measure"):
        reader.read(path)


def test_eight_bit_floats_are_named(tmp_path):
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(UserError, match="8-bit floats|damaged safetensors"):
        reader.read(path)


@BOTH_FORMS
def test_truncated_files(form, tmp_path):
    data = (FIXTURES / form).read_bytes()
    for length in range(1, len(data), len(data) // 50):
        path = tmp_path / f"{length}.pt"
        path.write_bytes(data[:length])
        with pytest.raises(UserError):
            reader.read(path)


@pytest.mark.parametrize("form", ["zip.pt", "legacy.pt", "nested.pt"])
def test_damaged_files_raise_nothing_but_user_errors(form, tmp_path):
    """Whatever a flipped byte hits: the file is read, or refused with a message."""
    original = (FIXTURES / form).read_bytes()
    rng = random.Random(0)
    refused = 0
    path = tmp_path / "damaged.pt"
    for _ in range(150):
        data = bytearray(original)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            reader.read(path)
        except UserError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 30


def test_safetensors(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.arange(3).astype(ml_dtypes.bfloat16),
    }
    path = tmp_path / "file.anything"
    safetensors.numpy.save_file({f"module.{k}": v for k, v in arrays.items()}, path)
    read = reader.read(path, prefix="module.", ignore=("c",))
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    with pytest.raises(UserError, match="has no 'netD'"):
        reader.read(path, nested=("netD",))
    data = path.read_bytes()
    for length in (20, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="damaged safetensors file"):
            reader.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"hello", "neither a safetensors, a torch nor a TensorFlow file"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (pickle.dumps({"a": 1}), "a pickle without networks"),
    ],
)
def test_files_that_are_no_checkpoints(content, message, tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"file.pth: {message}"):
        reader.read(path)


def test_other_zip_archives(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    with pytest.raises(UserError, match="no torch checkpoint: it has no data.pkl"):
        reader.read(tmp_path / "arrays.npz")
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/data.pkl", b"")
        archive.writestr("script/code/__torch__.py", b"")
    with pytest.raises(UserError, match="a TorchScript archive"):
        reader.read(tmp_path / "script.pt")
    stored = io.BytesIO((FIXTURES / "zip.pt").read_bytes())
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(tmp_path / "c.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="is compressed"):
        reader.read(tmp_path / "c.pt")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UserError, match="absent.pt: no such file"):
        reader.read(tmp_path / "absent.pt")
    with pytest.raises(UserError, match="a folder"):
        reader.read(tmp_path)


def test_files_that_hold_something_else(tmp_path):
    path = zip_file(tmp_path / "list.pt", pickle.dumps([1, 2], 2))
    with pytest.raises(UserError, match="holds a list where a dict of named arrays was expected"):
        reader.read(path)
    path = zip_file(tmp_path / "dict.pt", pickle.dumps({"epoch": 3}, 2))
    with pytest.raises(UserError, match=r"not a plain set of arrays: 'epoch' \(int\)"):
        reader.read(path)
