"""Which word may take another's place in a caption: the shipped table, one's own, or WordNet.

The paper replaces a noun or an adjective by an antonym or by a co-hyponym (sister term) of WordNet;
how it chooses is not known to us. The shipped table holds groups of sister terms and pairs of
antonyms; WordNet is an option, since its data must be fetched apart.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple, Protocol

from jaxedit.data import rows
from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.scenes import world

NOUN, ADJECTIVE = "noun", "adjective"
TABLE, WORLD, WORDNET = "table", "world", "wordnet"
_HOW_TO_GET = (
    "WordNet needs the package nltk (`pip install nltk`) and its data (`python -m nltk.downloader "
    "wordnet`). The shipped table needs neither: pairs.words='table'."
)
_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "wolf": "wolves",
    "leaf": "leaves", "mouse": "mice", "sheep": "sheep", "fish": "fish", "deer": "deer",
    "bison": "bison", "moose": "moose", "caribou": "caribou", "goldfish": "goldfish",
    "clownfish": "clownfish", "bighorn sheep": "bighorn sheep", "cactus": "cacti",
    "aircraft": "aircraft",
}  # fmt: skip
_SINGULAR = {plural: word for word, plural in _IRREGULAR.items() if plural != word}


class Word(NamedTuple):
    """What may take a word's place.

    Attributes:
      kind: NOUN or ADJECTIVE.
      others: the words that may.
    """

    kind: str
    others: tuple[str, ...]


class Words(Protocol):
    """Where words are looked up.

    Attributes:
      longest: words of the longest entry.
      things: nouns that may be added to a scene.
    """

    longest: int
    things: tuple[str, ...]

    def find(self, word: str) -> Word | None:
        """Returns what may take the place of a word in lower case, or None."""


class Table:
    """Words in a dict. Picklable.

    Args:
      words: word, in lower case -> what may take its place; a key may be several words.
      things: nouns that may be added to a scene.
    """

    def __init__(self, words: Mapping[str, Word], things: Sequence[str]):
        self._words, self.things = dict(words), tuple(things)
        self.longest = max((len(word.split()) for word in words), default=1)

    def find(self, word: str) -> Word | None:
        return self._words.get(word)

    def words(self) -> dict[str, Word]:
        """Returns the whole table."""
        return dict(self._words)


@functools.cache
def shipped() -> Table:
    """Returns the table that comes with jaxedit."""
    text = (resources.files("jaxedit.methods.iedit") / "words.json").read_bytes()
    found = json_text.loads(text)
    words: dict[str, Word] = {}

    def add(word: str, kind: str, others: Sequence[str]) -> None:
        known = words[word].others if word in words else ()
        kind = words[word].kind if word in words else kind
        words[word] = Word(kind, tuple(dict.fromkeys((*known, *others))))

    for key, kind in (("nouns", NOUN), ("adjectives", ADJECTIVE)):
        for group in found[key].values():
            for word in group:
                add(word, kind, [other for other in group if other != word])
    for one, other in found["antonyms"]:
        add(one, ADJECTIVE, [other])
        add(other, ADJECTIVE, [one])
    return Table(words, [word for group in found["things"] for word in found["nouns"][group]])


def read(path: str | pathlib.Path) -> Table:
    """Returns a person's own table, a JSON file {"word": ["replacement", ...]}.

    A word that the shipped table has as an adjective is one here too; others are nouns.

    Raises:
      UserError: there is no such file, or it has another form.
    """
    path = pathlib.Path(path)
    example = 'Write {"cat": ["dog", "rabbit"], "red": ["blue"]}.'
    if not path.is_file():
        raise UserError(f"The word table {path} does not exist. {example}")
    try:
        found = json_text.loads(rows.read_text(path))
    except ValueError as error:
        raise UserError(f"The word table {path} is not valid JSON: {error}. {example}") from error
    if not isinstance(found, dict) or not found:
        raise UserError(f"The word table {path} holds no words. {example}")
    words = {}
    for word, others in found.items():
        sound = isinstance(others, list) and others and all(
            isinstance(one, str) and one.strip() for one in others
        )
        if not sound or not word.strip():
            raise UserError(f"The word table {path}: {word!r} has {others!r}. {example}")
        known = shipped().find(word.lower())
        others = tuple(one.strip().lower() for one in others if one.strip().lower() != word.lower())
        words[" ".join(word.lower().split())] = Word(known.kind if known else NOUN, others)
    nouns = [one for word in words.values() if word.kind == NOUN for one in word.others]
    return Table(words, tuple(dict.fromkeys(nouns)))


class WordNet:
    """WordNet through nltk: sister terms of nouns, antonyms of adjectives, the commonest sense.

    Colours go through their noun sense: adjectives have no hypernyms. Lemmas of several words, with
    capitals, or never counted in WordNet's own texts are left out.
    """

    longest = 1

    def __init__(self, corpus: Any = None):
        self._corpus = _corpus() if corpus is None else corpus
        self.things = shipped().things
        self._find = functools.lru_cache(maxsize=4096)(self._look_up)

    def find(self, word: str) -> Word | None:
        return self._find(word)

    def __getstate__(self) -> dict:
        return {}

    def __setstate__(self, state: Mapping) -> None:
        del state
        self.__init__()

    def _look_up(self, word: str) -> Word | None:
        adjectives, nouns = self._senses(word, "as"), self._senses(word, "n")
        colour = next((one for one in nouns if self._below(one, "color.n.01")), None)
        if colour is not None and adjectives:
            return self._made(ADJECTIVE, word, self._sisters(colour))
        often = lambda senses: sum(lemma.count() for one in senses for lemma in one.lemmas()
                                   if lemma.name() == word)
        if adjectives and often(adjectives) > often(nouns):
            return self._made(ADJECTIVE, word, self._opposites(adjectives[0], word))
        if nouns and self._below(nouns[0], "physical_entity.n.01"):
            return self._made(NOUN, word, self._sisters(nouns[0]))
        return None

    def _senses(self, word: str, kinds: str) -> list[Any]:
        named = lambda one: word in [lemma.name() for lemma in one.lemmas()]
        return [one for one in self._corpus.synsets(word) if one.pos() in kinds and named(one)]

    def _below(self, sense: Any, top: str) -> bool:
        return any(one.name() == top for path in sense.hypernym_paths() for one in path)

    def _sisters(self, sense: Any) -> list[Any]:
        return [lemma for above in sense.hypernyms() for one in above.hyponyms() if one != sense
                for lemma in one.lemmas()]

    def _opposites(self, sense: Any, word: str) -> list[Any]:
        own = [lemma for lemma in sense.lemmas() if lemma.name() == word]
        found = [other for lemma in own for other in lemma.antonyms()]
        # A satellite's opposite is that of the adjective that it stands around.
        return found or [other for head in sense.similar_tos() for lemma in head.lemmas()
                         for other in lemma.antonyms()]

    def _made(self, kind: str, word: str, lemmas: Sequence[Any]) -> Word | None:
        names = [lemma.name() for lemma in lemmas
                 if lemma.name().isalpha() and lemma.name().islower() and lemma.count() > 0]
        others = tuple(name for name in dict.fromkeys(names) if name != word)
        return Word(kind, others) if others else None


def _corpus() -> Any:
    try:
        from nltk.corpus import wordnet

        wordnet.synsets("dog")  # read when it is first used
    except (ImportError, LookupError) as error:
        raise UserError(f"{_HOW_TO_GET} ({type(error).__name__})") from error
    return wordnet


def of_world() -> Table:
    """Returns the table of the small world of scenes: nothing leads out of it."""
    words = {
        word: Word(ADJECTIVE if name == "colour" else NOUN,
                   tuple(other for other in values if other != word))
        for name, values in world.ATTRIBUTES.items() for word in values
    }
    return Table(words, world.SUBJECTS)


def create(name: str) -> Words:
    """Returns what `pairs.words` names: "table", "world", "wordnet", or the path of a JSON file."""
    if name == TABLE:
        return shipped()
    if name == WORLD:
        return of_world()
    return WordNet() if name == WORDNET else read(name)


def plural(word: str) -> str:
    """Returns the plural of a noun."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"


def singulars(word: str) -> tuple[str, ...]:
    """Returns what `word` may be the plural of; whether there are such nouns, ask."""
    if word in _SINGULAR:
        return (_SINGULAR[word],)
    if not word.endswith("s") or word.endswith("ss"):
        return ()
    return tuple(one for one in (word[:-1], word[:-2], f"{word[:-3]}y") if plural(one) == word)
