"""`jaxedit doctor`: the report is complete, true, and survives what it is meant to report."""

import jax
import numpy as np

import jaxedit
from jaxedit.commands import doctor
from jaxedit.host import machine


def test_report_names_what_a_bug_report_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path / "weights"))
    before = jax.config.jax_compilation_cache_dir
    try:
        text = doctor.report()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    for wanted in ("python", "jax  ", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain",
                   "numpy", "git revision", "platform", "processors", "free disk", "backend",
                   "devices", "compilation cache", "scat-places2", "small program"):
        assert wanted in text, wanted
    facts = dict(line.strip().split(maxsplit=1) for line in text.splitlines()
                 if line.startswith("  ") and len(line.split()) > 1)
    assert facts["jax"] == jax.__version__ and facts["numpy"] == np.__version__
    assert facts["scat-places2"] == "absent"
    assert str(tmp_path / "cache") in text and str(tmp_path / "weights") in text
    assert "JAX_COMPILATION_CACHE_DIR" in text
    assert "FAILED" not in text and "WRONG" not in text
    assert facts["jaxedit"].startswith(jaxedit.__version__)


def test_a_ready_file_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    (tmp_path / "vgg19.safetensors").write_bytes(b"x")
    assert ("vgg19", "ready") in doctor.weights()


def test_a_broken_jax_is_reported_not_raised(monkeypatch):
    def broken():
        raise RuntimeError("no such device")

    monkeypatch.setattr(doctor, "small_program", broken)
    assert ("small program", "FAILED: RuntimeError: no such device") in doctor.computation()


def test_a_wrong_result_is_reported(monkeypatch):
    assert doctor.small_program().startswith("right")
    original = jax.grad
    monkeypatch.setattr(jax, "grad", lambda f: lambda x: 1.5 * original(f)(x))
    assert doctor.small_program().startswith("WRONG")


def test_machine(tmp_path):
    total, free = machine.total_memory_bytes(), machine.available_memory_bytes()
    assert total is None or total > 2**28
    assert free is None or total is None or 0 < free <= total
    assert machine.processor_count() >= 1
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    assert machine.folder_size_bytes(tmp_path) == (2, 8)
    assert machine.folder_size_bytes(tmp_path / "none") == (0, 0)
