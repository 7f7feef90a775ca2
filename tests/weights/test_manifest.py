"""What the manifest holds, and where it finds it."""

import pytest

from jaxedit.errors import UserError
from jaxedit.weights import manifest


def test_papers_bring_their_own_entries():
    assert manifest.home("scat-places2") == "jaxedit.methods.scat"
    assert manifest.home("dpt") == "jaxedit.methods.matting"
    assert manifest.home("vgg16") == ""
    with pytest.raises(UserError, match="no weights called 'vgg-16'. Did you mean 'vgg16'"):
        manifest.home("vgg-16")


def test_two_entries_of_one_name_are_a_mistake():
    with pytest.raises(ValueError, match="Two entries of the manifest are called 'vgg16'"):
        manifest._add(manifest.get("vgg16"), dict(manifest.entries()))


def test_digests_begin_as_the_published_names_say():
    for entry in manifest.entries().values():
        assert entry.sha256 is None or len(entry.sha256) == 64
        if entry.sha256_prefix:
            assert f"-{entry.sha256_prefix}.pth" in entry.address
            assert (entry.sha256 or entry.sha256_prefix).startswith(
                entry.sha256_prefix
            )
