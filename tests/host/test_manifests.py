"""A folder's manifest: one changed bit is found; what came later is nobody's damage."""

import numpy as np

from jaxedit.host import manifests


def test_one_changed_bit_a_missing_file_and_a_damaged_manifest_are_found(tmp_path):
    (tmp_path / "deep").mkdir()
    victim = tmp_path / "deep" / "a.bin"
    victim.write_bytes(bytes(1000))
    assert manifests.damages(tmp_path) == [] and not manifests.is_sealed(tmp_path)
    manifests.seal(tmp_path, {"steps": 3, "loss": np.float32(0.5)}, without=["later.txt"])
    (tmp_path / "later.txt").write_text("")
    assert manifests.damages(tmp_path) == [] and manifests.is_sealed(tmp_path)
    assert manifests.about_of(tmp_path) == {"steps": 3, "loss": 0.5}
    text = (tmp_path / manifests.NAME).read_text()
    (tmp_path / manifests.NAME).write_text(text.replace('"steps": 3', '"steps": 7'))
    assert manifests.damages(tmp_path) == ["manifest.json is damaged"]
    (tmp_path / manifests.NAME).write_text(text)
    manifests.add(tmp_path, "later.txt")
    assert manifests.damages(tmp_path) == [] and manifests.about_of(tmp_path)["steps"] == 3
    (tmp_path / "later.txt").write_text("!")
    assert len(manifests.damages(tmp_path)) == 1
    (tmp_path / "later.txt").write_text("")
    victim.write_bytes(bytes(999) + b"\x01")
    assert len(manifests.damages(tmp_path)) == 1 and "deep/a.bin" in manifests.damages(tmp_path)[0]
    victim.unlink()
    assert "missing" in manifests.damages(tmp_path)[0]
    (tmp_path / manifests.NAME).write_text('{"files": 3')
    assert manifests.damages(tmp_path) == ["manifest.json is damaged"]
    assert manifests.about_of(tmp_path) == {}
