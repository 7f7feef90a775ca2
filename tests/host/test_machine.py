"""Memory that compiling leaves behind goes back to the system."""

import ctypes
import pathlib

import pytest

from jaxedit.host import machine

STATUS = pathlib.Path("/proc/self/status")


def resident():
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.skipif(
    not STATUS.exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="of glibc on Linux"
)
def test_freed_memory_goes_back_to_the_system():
    """Small pieces between which one stays: glibc keeps them all until it is asked."""
    size, count = 4096, 30_000
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    before = resident()
    pieces = [libc.malloc(size) for _ in range(count)]
    for piece in pieces:
        ctypes.memset(piece, 1, size)
    last = libc.malloc(size)
    for piece in pieces:
        libc.free(piece)
    held = resident() - before
    machine.release_memory()
    libc.free(last)
    assert held > 0.8 * size * count and resident() - before < 0.5 * held


def test_another_c_library_is_left_alone(monkeypatch):
    for error in (OSError, TypeError, AttributeError):
        def refuse(name, error=error):
            raise error(name)

        monkeypatch.setattr(machine.ctypes, "CDLL", refuse)
        machine.release_memory()
