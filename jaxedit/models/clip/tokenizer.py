"""CLIP's tokenizer: byte pairs of lower-case text, on a checkpoint's own vocabulary.

Radford et al., 2021, section 2.4. The work is done by the `tokenizers` library; this says what its
parts are, adds start, end and filling, and tells what a text lost where it was too long.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.atomic import atomic_folder
from jaxedit.weights import convert, manifest, published_folder

START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_VOCABULARY, _MERGES = "vocab.json", "merges.txt"
_ADVICE = "Give the folder of a CLIP tokenizer, with vocab.json and merges.txt."


class Tokenizer:
    """Texts to rows of tokens. Picklable.

    Attributes:
      length: tokens of a row, with start and end.
      start, end, filling: numbers of the special tokens; rows are filled on the right.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        length: int = 77,
        filling: str = END,
    ):
        """Makes a tokenizer.

        Args:
          vocabulary: token -> number, the special ones among them.
          merges: pairs of tokens that become one, the first ones first.
          length: tokens of a row.
          filling: the token behind the end of a text.

        Raises:
          UserError: a token that is needed is missing.
        """
        for token in (START, END, filling):
            if token not in vocabulary:
                raise UserError(f"The vocabulary lacks {token!r}, so it is not a CLIP's. {_ADVICE}")
        if length < 2:
            raise UserError(f"Texts of {length} tokens: start and end alone are two.")
        self._vocabulary, self._merges = dict(vocabulary), [tuple(pair) for pair in merges]
        self._filling, self.length = filling, length
        self.start, self.end = vocabulary[START], vocabulary[END]
        self.filling = vocabulary[filling]
        self._engine = self._build()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_engine"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._engine = self._build()

    def _build(self) -> tokenizers.Tokenizer:
        try:
            model = models.BPE(
                self._vocabulary, self._merges, unk_token=END, end_of_word_suffix=_WORD_END
            )
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"Vocabulary and merges do not fit each other: {error}.") from error
        engine = _engine(model)
        engine.add_special_tokens([START, END])
        return engine

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self._vocabulary)

    def ids(self, text: str) -> list[int]:
        """Returns all tokens of a text, between start and end."""
        return [self.start, *self._engine.encode(text).ids, self.end]

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """Returns int32 (texts, length); of what is too long the end is left out, see `cut`."""
        found = np.full((len(texts), self.length), self.filling, np.int32)
        for row, encoded in zip(found, self._engine.encode_batch(list(texts)), strict=True):
            kept = [self.start, *encoded.ids[: self.length - 2], self.end]
            row[: len(kept)] = kept
        return found

    def cut(self, text: str) -> str:
        """Returns the end of a text that its row has no place for, or ""."""
        encoded = self._engine.encode(text)
        if len(encoded.ids) <= self.length - 2:
            return ""
        return text[encoded.offsets[self.length - 2][0] :]

    def spelled(self, text: str) -> list[str]:
        """Returns the words of which the vocabulary knows no more than the letters.

        Words are told apart as tokens are; one counts where its pieces are shorter than two
        characters, on average, and it has three or more.
        """
        encoded, pieces = self._engine.encode(text), {}
        for word, (first, end) in zip(encoded.word_ids, encoded.offsets, strict=True):
            begun, _, count = pieces.get(word, (first, end, 0))
            pieces[word] = begun, end, count + 1
        return [text[first:end] for first, end, count in pieces.values()
                if 2 < end - first < 2 * count]

    def checked(self, texts: Sequence[str]) -> np.ndarray:
        """Returns what `tokens` does.

        Raises:
          UserError: a text is too long; the message says what would be cut off.
        """
        for text in texts:
            if rest := self.cut(text):
                raise UserError(
                    f"The text {text!r} has more than the {self.length - 2} tokens that this "
                    f"network reads: {rest!r} would be cut off. Shorten it."
                )
        return self.tokens(texts)

    def save(self, target: str | pathlib.Path) -> pathlib.Path:
        """Writes vocab.json and merges.txt into a new folder `target`, and returns it."""
        with atomic_folder(target) as temporary:
            self.write(temporary)
        return pathlib.Path(target)

    def write(self, place: pathlib.Path) -> None:
        """Writes vocab.json and merges.txt into a folder that is there."""
        text = json.dumps(self._vocabulary, ensure_ascii=False)
        (place / _VOCABULARY).write_text(text, encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in self._merges)]
        (place / _MERGES).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _engine(model: models.Model) -> tokenizers.Tokenizer:
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = normalizers.Sequence([
        normalizers.NFC(), normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
        normalizers.Lowercase(),
    ])
    engine.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(_WORDS), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    return engine


def load(folder: str | pathlib.Path, length: int = 77) -> Tokenizer:
    """Reads the tokenizer of a published folder, or of its `tokenizer` folder.

    Raises:
      UserError: the folder is incomplete, or is not that of a CLIP tokenizer.
    """
    folder = pathlib.Path(folder)
    if not (folder / _VOCABULARY).is_file() and (folder / "tokenizer" / _VOCABULARY).is_file():
        folder = folder / "tokenizer"
    vocabulary = published_folder.read_json(folder / _VOCABULARY, _ADVICE)
    return Tokenizer(vocabulary, _read_merges(folder / _MERGES), length, _filling(folder))


def of_weights(
    name: str, length: int = 77, weights_dir: str | pathlib.Path | None = None
) -> Tokenizer:
    """Returns the tokenizer that published weights come with; arguments as of `convert.load`.

    Raises:
      PretrainedWeightsMissing: the weights are not here; the message says how to get them.
      UserError: there are no such weights, or they come without one.
    """
    kept = getattr(manifest.get(name), "keep", ())
    place = next((path.removesuffix(_MERGES) for path in kept if path.endswith(_MERGES)), None)
    if place is None:
        raise UserError(f"The weights {name!r} come without a tokenizer. {_ADVICE}")
    file = lambda end: convert.load_file(name, place + end, weights_dir).decode("utf-8")
    vocabulary = json_text.loads(file(_VOCABULARY))
    return Tokenizer(vocabulary, _merges(file(_MERGES), f"{name}: {place}{_MERGES}"), length)


def _read_merges(path: pathlib.Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file. {_ADVICE}")
    return _merges(path.read_text(encoding="utf-8"), str(path))


def _merges(text: str, path: str) -> list[tuple[str, str]]:
    lines = text.split("\n")[1:]  # behind a header
    pairs = [tuple(line.split()) for line in lines if line.strip()]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise UserError(f"{path}: {' '.join(wrong)!r} is not two tokens. Download it again.")
    return pairs


def _filling(folder: pathlib.Path) -> str:
    """Returns the token that the folder's own notes fill rows with."""
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            token = published_folder.read_json(folder / name, _ADVICE).get("pad_token")
            token = token.get("content") if isinstance(token, Mapping) else token
            if token:
                return token
    return END


def learn(texts: Sequence[str], size: int, length: int = 77) -> Tokenizer:
    """Returns a tokenizer of one's own: the byte pairs that are commonest in `texts`.

    Args:
      texts: what it is to be for, for example all captions of a training set.
      size: how many tokens at most; all bytes, each also as a word's end, and both special ones
        take 514.
      length: tokens of a row.
    """
    single, alphabet = _alphabet()
    merges: list[tuple[str, str]] = []
    if size > len(alphabet) + 2:
        engine = _engine(models.BPE(end_of_word_suffix=_WORD_END))
        trainer = trainers.BpeTrainer(
            vocab_size=size - 2, end_of_word_suffix=_WORD_END, show_progress=False,
            initial_alphabet=single,
        )
        engine.train_from_iterator(texts, trainer)
        learned = json.loads(engine.to_str())["model"]["merges"]
        merges = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in learned]
        merges = merges[: size - len(alphabet) - 2]
    return of_merges(merges, length)


def of_merges(merges: Sequence[tuple[str, str]], length: int = 77) -> Tokenizer:
    """Returns the tokenizer whose tokens are all bytes, `merges` and both special ones."""
    _, alphabet = _alphabet()
    names = list(dict.fromkeys([*alphabet, *(a + b for a, b in merges), START, END]))
    return Tokenizer({name: number for number, name in enumerate(names)}, merges, length)


def _alphabet() -> tuple[list[str], list[str]]:
    """Returns the symbols of single bytes, and those with the same at a word's end."""
    single = sorted(pre_tokenizers.ByteLevel.alphabet())
    return single, [*single, *(symbol + _WORD_END for symbol in single)]
