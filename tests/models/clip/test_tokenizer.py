"""What of a text fits, what is cut, and vocabularies of one's own."""

import json
import pickle

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.models.clip.tokenizer import Tokenizer, learn, load

TEXTS = ["a red car on a road", "a blue car on a road", "a red house by the sea"]


@pytest.fixture(scope="module")
def tokenizer():
    return learn(TEXTS, 560, length=8)


def test_a_learned_vocabulary(tokenizer):
    assert 514 < tokenizer.size <= 560
    tokens = tokenizer.tokens(["A  RED\tcar", "ünï"])
    assert tokens[0].tolist() == [*tokenizer.ids("a red car"), *[tokenizer.filling] * 3]
    assert tokens[1, -1] == tokenizer.end  # bytes that it never saw have their tokens
    plain = learn([], 514, length=8)
    assert plain.size == 514 and len(plain.ids("a red car")) == 9


def test_what_does_not_fit_is_said(tokenizer):
    long = "a red car on a road by the sea"
    assert tokenizer.cut("a red car on a road") == ""
    assert tokenizer.cut(long) == "by the sea"
    kept = tokenizer.tokens(["a red car on a road"])
    np.testing.assert_array_equal(tokenizer.tokens([long]), kept)
    with pytest.raises(UserError, match="more than the 6 tokens.*'by the sea' would be cut off"):
        tokenizer.checked(["a road", long])
    np.testing.assert_array_equal(tokenizer.checked(["a road"]), tokenizer.tokens(["a road"]))


def test_it_travels(tokenizer, tmp_path):
    again = [pickle.loads(pickle.dumps(tokenizer)), load(tokenizer.save(tmp_path / "t"), 8)]
    for other in again:
        np.testing.assert_array_equal(other.tokens(TEXTS), tokenizer.tokens(TEXTS))
    (tmp_path / "t" / "special_tokens_map.json").write_text(
        json.dumps({"pad_token": {"content": "!"}})
    )
    assert load(tmp_path / "t").filling == tokenizer._vocabulary["!"]


def test_bad_folders(tokenizer, tmp_path):
    with pytest.raises(UserError, match="vocab.json: no such file. Give the folder of a CLIP"):
        load(tmp_path)
    folder = tokenizer.save(tmp_path / "tokenizer")
    load(tmp_path)  # the folder of the whole model
    (folder / "merges.txt").write_text("#version\na b c\n")
    with pytest.raises(UserError, match="'a b c' is not two tokens"):
        load(folder)
    (folder / "merges.txt").write_text("#version\nqq xx\n")
    with pytest.raises(UserError, match="do not fit each other"):
        load(folder)
    with pytest.raises(UserError, match="lacks '<.startoftext.>'"):
        Tokenizer({"a": 0}, [])
