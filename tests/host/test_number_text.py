"""Several numbers in one text."""

import pytest

from jaxedit.host import number_text


@pytest.mark.parametrize("text", ["1,2,3,4", " 1, 2 , 3,4 ", "1 2  3 4", "1\t2 3 4"])
def test_commas_or_spaces(text):
    assert number_text.whole(text, 4) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "text",
    ["10;20;30;40", "10,20 30,40", "10,20;30,40", "10 20 30", "10,20,30,40,50", "10,,20,30", "",
     "1.5,2,3,4", "-1,2,3,4", "10x20x30x40", "10,20,30," + "4" * 5000],
)
def test_what_could_mean_something_else_is_none(text):
    assert number_text.whole(text, 4) is None


def test_a_size():
    for text in ("512x256", "512 x 256", "512X256", " 512\u00d7256 "):
        assert number_text.size(text) == (512, 256)
    for text in ("512", "512,256", "512 256", "512x256x3", "x256", "-512x256", "a512x256"):
        assert number_text.size(text) is None
