"""JSON of damaged files ends in ValueError, whatever is wrong with it."""

import json
import math

import pytest

from jaxedit.host import json_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe", "utf-8"),
        (b"[" * 10**5, "nested too deep"),
        (b'{"a":' * 10**5, "nested too deep"),
        (b'{"a": 1' + b"0" * 400 + b"}", "401 digits"),
        (b"1" + b"0" * 5000, "5001 digits"),
        ("{'a': 1}", "double quotes"),
    ],
)
def test_what_is_no_json(text, words):
    with pytest.raises(ValueError, match=words):
        json_text.loads(text)


def test_what_is():
    assert json_text.loads(b'\xef\xbb\xbf{"a": [1, -2, 1e3, "\\u00e9\\ud83d\\ude00"]}') == {
        "a": [1, -2, 1000.0, "é😀"]
    }
    assert math.isnan(json_text.loads("[NaN]")[0])
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    text = json.dumps({name: [name]})
    assert json_text.loads(text) == {name: [name]}
    shown = json_text.loads(text, printable=True)
    assert shown == {r"caf\udce9": [r"caf\udce9"]} and str(shown).encode("utf-8")
