"""CLIP's tokenizer against the published one."""

import json

import numpy as np
import pytest

from jaxedit.models.clip.tokenizer import Tokenizer, load
from tests.parity import golden

# Beside a file NAME.json lie its NAME_vocab.json and NAME_merges.txt.
FILES = [path for path in golden.goldens("tokenizer", "iedit") if not path.stem.endswith("_vocab")]


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_iedit_tokenizer(path, tmp_path):
    info = json.loads(path.read_text(encoding="utf-8"))
    assert set(info) == {"name", "model", "bos_id", "eos_id", "pad_id", "note", "cases"}
    for ending in ("vocab.json", "merges.txt"):
        (tmp_path / ending).write_bytes(path.with_name(f"{path.stem}_{ending}").read_bytes())
    tokenizer = load(tmp_path)
    specials = tokenizer.start, tokenizer.end, tokenizer.filling
    assert specials == (info["bos_id"], info["eos_id"], info["pad_id"])
    for case in info["cases"]:
        assert tokenizer.ids(case["text"]) == case["ids_unpadded"], case["text"]
        padded = {key: rows for key, rows in case.items() if key.startswith("ids_padded_to_")}
        assert set(case) == {"text", "ids_unpadded", *padded} and padded
        for key, row in padded.items():
            short = Tokenizer(tokenizer._vocabulary, tokenizer._merges, int(key.split("_")[-1]))
            np.testing.assert_array_equal(short.tokens([case["text"]]), [row], case["text"])
