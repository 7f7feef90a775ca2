"""Whether a program was compiled or in the cache, and what is said of it beforehand."""

import os
import threading
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


def test_what_is_compiled_is_announced_and_gives_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(programs, "_explained", [True])
    watch = programs.Watch("'paint' for 64 x 48 pixels", 100.0, every=30.0)
    assert watch.due(105.0) is None, "it is traced still"
    watch.asked = 105.0
    assert watch.due(109.9) is None, "the cache may have it"
    assert watch.due(110.0) == "compiling 'paint' for 64 x 48 pixels"
    assert watch.due(139.9) is None
    assert watch.due(140.0) == "'paint' for 64 x 48 pixels: still compiling, 40.0 s so far"
    watch.asked = None
    assert watch.due(220.0) == "'paint' for 64 x 48 pixels: still under way, 2 min 00 s so far"
    assert watch.over(121.04, False) == "'paint' for 64 x 48 pixels: compiled in 121.0 s"
    assert watch.over(3.14, True).endswith(": was in the cache, ready in 3.1 s")


def test_what_is_ready_soon_is_quiet_and_what_is_traced_long_is_not(monkeypatch):
    monkeypatch.setattr(programs, "_explained", [True])
    watch = programs.Watch("x", 100.0, every=60.0)
    watch.asked = 101.0
    assert watch.due(105.9) is None
    watch.asked = None  # the cache has answered
    assert watch.due(159.0) is None and watch.over(59.0, True) is None
    assert watch.due(160.0) == "preparing x: 1 min 00 s so far"


def test_only_the_first_line_says_how_long_it_may_take(monkeypatch):
    monkeypatch.setattr(programs, "_explained", [])
    assert programs.before("x").startswith("compiling x (some minutes at worst")
    assert programs.before("y") == "compiling y"


def test_the_watch_speaks_from_beside_and_ends_with_what_it_watches(monkeypatch):
    monkeypatch.setattr(programs, "_explained", [True])
    monkeypatch.setattr(programs, "PATIENCE", 0.0)
    monkeypatch.setattr(programs, "_LOOK", 0.005)
    said, heard = [], threading.Event()

    def say(line):
        said.append((line, threading.current_thread() is threading.main_thread()))
        heard.set()

    class Lowered:
        def compile(self):
            assert heard.wait(10), "nothing was said while it compiles"
            return "program"

    with programs.watched("x", say):
        assert programs.compiled(Lowered()) == ("program", False)
    assert said == [("compiling x", False)]
    with pytest.raises(ZeroDivisionError), programs.watched("y", say):
        1 / 0  # noqa: B018
    assert not [t for t in threading.enumerate() if t.name == "watch"]


def test_a_phase_is_made_ready_once_and_quietly_where_it_is_quick():
    said, compiled = [], []

    class Plan:
        def compile(self, method, phase, *_):
            compiled.append(phase)
            return (lambda state, *_: (state, {})), {"compile_seconds": 2.0, "from_cache": True}

    run = sharding.Phases(Plan(), None, said.append, " for 64 x 48 pixels, batch 8")
    for phase in ("paint", "paint", "critic"):
        run(phase, True, None, None, None)
    assert compiled == ["paint", "critic"] and said == []


def test_the_size_is_that_of_the_first_pictures():
    spec = {"codes": np.zeros((8, 4)), "image": np.zeros((8, 48, 64, 3)), "seed": np.zeros(())}
    assert programs.size_of(spec) == " for 64 x 48 pixels, batch 8"
    assert programs.size_of({"codes": np.zeros((8, 4))}) == " for batch 8"
    assert programs.size_of({"pair": np.zeros((8, 2, 64, 64))}) == " for batch 8"
    assert programs.size_of({}) == ""
