"""Maps of suspicion: where they are drawn, in parts of the photograph, and who can draw them."""

import types

import numpy as np
import pytest

from jaxedit.apply import crops, suspicion
from jaxedit.apply.photograph import Photograph
from jaxedit.errors import UserError


def darkness(image):
    """Suspects what is dark."""
    return {"suspicion": (1 - image.mean(axis=-1, keepdims=True)) / 2}


def test_a_map_shows_the_holes_alone_and_in_their_places():
    pixels = np.full((300, 700, 3), 255, np.uint8)
    hole = np.zeros((300, 700), bool)
    hole[20:60, 30:90] = hole[200:280, 600:690] = True
    pixels[20:60, 30:90] = 0
    pixels[200:280, 600:690] = 51
    pixels[100:120] = 0  # dark, but of the photograph
    for resolution in (64, 1024):  # in tiles, and each hole at once
        cutting = crops.Cutting(32, None, resolution, 64)
        found = suspicion.of_filled(darkness, Photograph(pixels), hole, cutting)
        assert found.dtype == np.uint8 and found.shape == hole.shape
        assert not found[~hole].any()
        assert (found[20:60, 30:90] == 255).all() and (found[200:280, 600:690] == 204).all()


def test_who_has_no_discriminator_is_told_so():
    with_task = types.SimpleNamespace(tasks={"suspect": None})
    state = types.SimpleNamespace(params={"generator": {}})
    for filling in (
        lambda **inputs: None,
        types.SimpleNamespace(method=None, variables={"params": {}}),
        types.SimpleNamespace(method=types.SimpleNamespace(tasks={"inpaint": None}),
                              variables=types.SimpleNamespace(params={"discriminator": {}})),
        types.SimpleNamespace(method=with_task, variables=state),
    ):
        with pytest.raises(UserError, match="--save-suspicion wants the discriminator"):
            suspicion.beside(filling)
    able = types.SimpleNamespace(
        method=with_task, variables=types.SimpleNamespace(params={"discriminator": {}}),
        beside=lambda task: task,
    )
    assert suspicion.beside(able) == "suspect"
