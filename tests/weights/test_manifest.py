"""What the manifest holds, and where it finds it."""

import importlib

import pytest

from jaxedit.errors import UserError
from jaxedit.weights import manifest
from jaxedit.weights.entry import Bundle


def test_papers_bring_their_own_entries():
    assert "inpaint" in manifest.get("scat-places2").tasks
    assert "matte" in manifest.get("dpt").tasks
    assert not manifest.get("vgg16").tasks
    with pytest.raises(UserError, match="no weights called 'vgg-16'. Did you mean 'vgg16'"):
        manifest.get("vgg-16")


def test_front_ends_are_where_their_entries_say():
    for entry in manifest.entries().values():
        for front_end in entry.tasks.values():
            module, name = front_end.path.split(":")
            assert callable(getattr(importlib.import_module(module), name))


def test_two_entries_of_one_name_are_a_mistake():
    with pytest.raises(ValueError, match="Two entries of the manifest are called 'vgg16'"):
        manifest._add(manifest.get("vgg16"), dict(manifest.entries()))


def test_digests_begin_as_the_published_names_say():
    for entry in manifest.entries().values():
        if isinstance(entry, Bundle):
            continue
        assert entry.sha256 is None or len(entry.sha256) == 64
        if entry.sha256_prefix:
            assert f"-{entry.sha256_prefix}.pth" in entry.address
            assert (entry.sha256 or entry.sha256_prefix).startswith(
                entry.sha256_prefix
            )
