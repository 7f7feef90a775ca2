"""Giving memory back between tests whose programs are large."""

import ctypes
import gc
import sys

import jax


def forget() -> None:
    """Drops every compiled program, and returns what is free to the system."""
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":  # the C library keeps what was freed, a gigabyte after a while
        ctypes.CDLL(None).malloc_trim(0)
