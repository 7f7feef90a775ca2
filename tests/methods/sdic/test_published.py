"""A pickle of stylegan2-ada becomes weights by name: generator, average code, discriminator."""

from pathlib import Path

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sdic import published
from jaxedit.weights import convert, manifest, reader
from jaxedit.weights.entry import Bundle, File

ADA = Path(__file__).parents[2] / "weights" / "fixtures" / "ada.pkl"


def bundle(size, **widths):
    return Bundle(
        name="small", what="", address="https://example.com", licence="",
        files=(File("https://example.com/ada.pkl"),), networks=published.pickled(size, **widths),
    )


def test_a_pickle_is_converted(tmp_path, monkeypatch):
    widths = {"channel_multiplier": 0.001, "most_channels": 2}
    small = bundle(8, style_width=3, mapping_layers=1, **widths)
    monkeypatch.setattr(manifest, "get", lambda name: small)
    convert.convert("small", ADA, weights_dir=tmp_path)
    found = convert.load("small", tmp_path)
    theirs = reader.read(ADA, nested=("G_ema",)) | reader.read(ADA, nested=("D",))
    np.testing.assert_array_equal(found["average"]["codes"], theirs["mapping.w_avg"])
    np.testing.assert_array_equal(found["generator"]["params"]["convs_1"]["bias"],
                                  theirs["synthesis.b8.conv1.bias"])
    np.testing.assert_array_equal(found["discriminator"]["params"]["score"]["bias"],
                                  theirs["b4.out.bias"])


def test_one_of_another_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "get", lambda name: bundle(16, style_width=3))
    with pytest.raises(UserError, match="do not fit this network"):
        convert.convert("small", ADA, weights_dir=tmp_path)
