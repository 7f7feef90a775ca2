"""Sends accumulator states between processes, exactly."""

from __future__ import annotations

import io

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxedit.metrics.base import AccumulatorState

_PIECE = 1 << 26  # bytes per exchange, to bound the memory it takes on the devices


def gather(state: AccumulatorState) -> list[AccumulatorState]:
    """Returns the states of all processes in their order; every process must call it.

    States may differ in size between processes. They travel as bytes, because arrays would be
    rounded to 32 bits on the way.
    """
    if jax.process_count() == 1:
        return [state]
    stream = io.BytesIO()
    np.savez(stream, **{name.replace("/", "|"): array for name, array in state.items()})
    data = np.frombuffer(stream.getvalue(), np.uint8)
    size = np.array(divmod(len(data), _PIECE), np.int32)
    pieces, rests = np.asarray(multihost_utils.process_allgather(size)).T
    lengths = [int(piece) * _PIECE + int(rest) for piece, rest in zip(pieces, rests, strict=True)]
    width = max(lengths)
    padded = np.pad(data, (0, width - len(data)))
    received = [
        np.asarray(multihost_utils.process_allgather(padded[start : start + _PIECE]))
        for start in range(0, width, _PIECE)
    ]
    everything = np.concatenate(received, axis=1)
    return [
        _load(everything[process, :length].tobytes()) for process, length in enumerate(lengths)
    ]


def _load(data: bytes) -> AccumulatorState:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name.replace("|", "/"): arrays[name] for name in arrays.files}
