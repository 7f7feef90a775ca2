"""Whether a program was compiled or in the cache, and what is said of it beforehand."""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.run import programs, sharding

cached = pytest.mark.skipif(
    os.environ.get("JAXEDIT_COMPILATION_CACHE") == "0", reason="the cache is switched off"
)


@cached
def test_what_the_cache_has_is_not_called_compiled():
    new = time.time_ns()  # no program was ever compiled with this number
    lowered = lambda: jax.jit(lambda x: x + np.float64(new).astype(np.float32) / 3).lower(
        jnp.ones(3 + new % 1000)
    )
    assert programs.compiled(lowered())[1] is False
    jax.clear_caches()
    program, from_cache = programs.compiled(lowered())
    assert from_cache is True and program(jnp.ones(3 + new % 1000)).shape
    assert programs.after("x", 3.14, True) == "x: was in the cache, ready in 3.1 s"
    assert programs.after("x", 3.14, False) == "x: compiled in 3.1 s"


def test_a_program_is_announced_before_it_is_made(monkeypatch):
    monkeypatch.setattr(programs, "_explained", [])
    said = []

    class Plan:
        def compile(self, method, phase, *_):
            said.append("compiles")
            return (lambda state, *_: (state, {})), {"compile_seconds": 2.0, "from_cache": True}

    run = sharding.Phases(Plan(), None, said.append, " for 64 x 48 pixels, batch 8")
    for phase in ("paint", "paint", "critic"):
        run(phase, True, None, None, None)
    first = "preparing 'paint' for 64 x 48 pixels, batch 8: compiled now"
    assert said[0].startswith(first) and said[0].endswith(", unless the cache has it")
    assert said[1:] == [
        "compiles", "'paint': was in the cache, ready in 2.0 s",
        "preparing 'critic' for 64 x 48 pixels, batch 8",
        "compiles", "'critic': was in the cache, ready in 2.0 s",
    ]


def test_the_size_is_that_of_the_first_pictures():
    spec = {"codes": np.zeros((8, 4)), "image": np.zeros((8, 48, 64, 3)), "seed": np.zeros(())}
    assert programs.size_of(spec) == " for 64 x 48 pixels, batch 8"
    assert programs.size_of({"codes": np.zeros((8, 4))}) == " for batch 8"
    assert programs.size_of({}) == ""
