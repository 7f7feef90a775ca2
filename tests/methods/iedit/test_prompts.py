"""Edit prompts: which word is exchanged for which, in good English, the same on every machine."""

import json
import pickle

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.iedit import prompts, words
from jaxedit.methods.iedit.words import Table, Word

SMALL = Table({
    "cat": Word(words.NOUN, ("otter",)), "wolf": Word(words.NOUN, ("fox",)),
    "red": Word(words.ADJECTIVE, ("orange",)), "brick wall": Word(words.NOUN, ("barn",)),
    "hat": Word(words.NOUN, ("cap",)), "wall": Word(words.NOUN, ("fence",)),
}, ("hat", "umbrella"))  # fmt: skip


def replaced(caption: str, rng: int = 0):
    return prompts.replace(caption, SMALL, np.random.default_rng(rng))


@pytest.mark.parametrize(("caption", "prompt", "source", "target"), [
    ("a cat asleep", "an otter asleep", "cat", "otter"),
    ("A cat asleep.", "An otter asleep.", "cat", "otter"),
    ("Cats asleep", "Otters asleep", "cats", "otters"),
    ("two wolves", "two foxes", "wolves", "foxes"),
    ("a red old hut", "an orange old hut", "red old", "orange old"),
    ("a big, red cat's", "a big, orange cat's", None, None),
    ("before the brick wall", "before the barn", "brick wall", "barn"),
    ("on the wall", "on the fence", "wall", "fence"),
    ("the Red Sea", None, None, None),
    ("nothing of it", None, None, None),
    ("", None, None, None),
])
def test_one_word_is_exchanged_with_article_number_and_capital(caption, prompt, source, target):
    edit = replaced(caption)
    assert (edit and edit.prompt) == prompt
    if source is not None:
        assert (edit.source_phrase, edit.target_phrase) == (source, target)
        assert edit.rule == prompts.REPLACE


def test_an_adjective_is_looked_for_with_its_noun():
    table = Table({"red": Word("adjective", ("blue",)), "cat": Word("noun", ())}, ())
    edit = prompts.replace("a red striped cat", table, np.random.default_rng(0))
    assert (edit.removed, edit.added) == ("red", "blue")
    assert (edit.source_phrase, edit.target_phrase) == ("red cat", "blue cat")
    edit = prompts.replace("it is red", table, np.random.default_rng(0))
    assert edit.source_phrase == "red"


def test_a_thing_is_added_that_is_not_there_yet():
    edit = prompts.append("a cat in a hat.", SMALL, np.random.default_rng(0))
    assert edit.prompt == "a cat in a hat with an umbrella."
    assert (edit.removed, edit.added, edit.source_phrase, edit.target_phrase) == (
        "", "umbrella", "", "umbrella")
    assert prompts.append("hats and an umbrella", SMALL, np.random.default_rng(0)) is None


@pytest.mark.parametrize(("caption", "prompt"), [
    ("a man with a red hat on the grass", "a man on the grass"),
    ("a man beside the brick wall.", "a man."),
    ("a man, and a cat", "a man"),
    ("with a hat", None),  # nothing would be left
    ("a cat and dogs", None),
    ("a man with long hair", None),
])
def test_a_side_thing_is_taken_away(caption, prompt):
    edit = prompts.remove(caption, SMALL, np.random.default_rng(0))
    assert (edit and edit.prompt) == prompt
    assert edit is None or (edit.added == edit.target_phrase == "" and edit.removed)


def test_what_is_drawn_depends_on_seed_and_name_alone():
    table = words.shipped()
    caption = "a small white dog beside a red car in a street"
    draw = lambda key, seed=0, shares=(0.0, 0.0): prompts.edit(caption, table, key, seed, shares)
    assert draw("a") == draw("a")
    assert len({draw(str(key)).prompt for key in range(40)}) > 20
    assert len({draw("a", seed).prompt for seed in range(40)}) > 20
    rules = [draw(str(key), 0, (0.3, 0.3)).rule for key in range(300)]
    for rule in prompts.RULES:
        assert 60 < rules.count(rule) < 160
    # A caption from which nothing can be taken has a word replaced.
    assert prompts.edit("a cat", SMALL, "a", 0, (0.0, 1.0)).rule == prompts.REPLACE


def test_the_changed_words_of_ones_own_prompts():
    assert prompts.difference("a red cat on a mat", "an orange cat on a mat") == ("red", "orange")
    assert prompts.difference("a cat", "a cat with a hat") == ("", "with hat")
    assert prompts.difference("The cat.", "the cat") == ("", "")


def test_the_shipped_table_is_sound():
    table = words.shipped().words()
    assert len(table) > 250 and len(words.shipped().things) > 50
    for word, (kind, others) in table.items():
        assert others and word not in others and len(set(others)) == len(others)
        assert kind in (words.NOUN, words.ADJECTIVE) and word == word.lower()
    assert "green" in table["red"].others and "small" in table["large"].others
    assert "dog" in table["cat"].others and "cat" in table["dog"].others
    for word in ("man", "berry", "pie", "box", "day", "wolf", "glass"):
        assert word in words.singulars(words.plural(word))
    assert words.singulars("glass") == words.singulars("cat") == ()


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"Cat": ["Dog"], "red": ["blue", "red"]}))
    table = pickle.loads(pickle.dumps(words.create(str(path))))
    assert table.find("cat") == Word(words.NOUN, ("dog",))
    assert table.find("red") == Word(words.ADJECTIVE, ("blue",))
    assert table.find("dog") is None and table.things == ("dog",)
    for text, message in (
        ("[]", "holds no words"), ("{", "not valid JSON"), ('{"cat": "dog"}', "'cat' has 'dog'"),
        ('{"cat": []}', "'cat' has"), ('{"cat": [1]}', "'cat' has"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            words.create(str(path))
    with pytest.raises(UserError, match="does not exist.*Write"):
        words.create(str(tmp_path / "none.json"))


class Sense:
    """A sense as nltk has it, as far as it is read."""

    def __init__(self, name, pos, lemmas, above=(), similar=()):
        self._name, self._pos, self.below = name, pos, []
        self._above, self._similar = list(above), list(similar)
        self._lemmas = [Lemma(self, word, count) for word, count in lemmas]
        for one in above:
            one.below.append(self)

    name = lambda self: self._name
    pos = lambda self: self._pos
    lemmas = lambda self: self._lemmas
    hypernyms = lambda self: self._above
    hyponyms = lambda self: self.below
    similar_tos = lambda self: self._similar

    def hypernym_paths(self):
        paths = [path for one in self._above for path in one.hypernym_paths()] or [[]]
        return [[*path, self] for path in paths]


class Lemma:
    def __init__(self, sense, word, count):
        self.sense, self._word, self._count, self.opposite = sense, word, count, []

    name = lambda self: self._word
    count = lambda self: self._count
    antonyms = lambda self: self.opposite


def test_wordnet_gives_sisters_of_nouns_and_colours_and_opposites_of_adjectives():
    thing = Sense("physical_entity.n.01", "n", [("physical_entity", 0)])
    animal = Sense("animal.n.01", "n", [("animal", 9)], [thing])
    dog = Sense("dog.n.01", "n", [("dog", 40), ("hound", 2)], [animal])
    Sense("cat.n.01", "n", [("cat", 9), ("true_cat", 1), ("moggy", 0)], [animal])
    colour = Sense("color.n.01", "n", [("color", 9)])
    shades = Sense("chromatic_color.n.01", "n", [("chromatic_color", 0)], [colour])
    red = Sense("red.n.01", "n", [("red", 3)], [shades])
    Sense("blue.n.01", "n", [("blue", 4), ("Azure", 4)], [shades])
    scarlet = Sense("red.s.01", "s", [("red", 30)])
    wet, dry = Sense("wet.a.01", "a", [("wet", 9)]), Sense("dry.a.01", "a", [("dry", 9)])
    wet.lemmas()[0].opposite, dry.lemmas()[0].opposite = [dry.lemmas()[0]], [wet.lemmas()[0]]
    damp = Sense("damp.s.01", "s", [("damp", 5)], similar=[wet])
    idea = Sense("idea.n.01", "n", [("idea", 9)])
    known = {"dog": [dog], "red": [red, scarlet], "wet": [wet], "damp": [damp], "idea": [idea]}

    class Corpus:
        def synsets(self, word):
            return known.get(word, [])

    found = words.WordNet(Corpus())
    assert found.find("dog") == Word(words.NOUN, ("cat",))  # no "true_cat", "moggy", "hound"
    assert found.find("red") == Word(words.ADJECTIVE, ("blue",))
    assert found.find("wet") == found.find("damp")._replace(others=("dry",))
    assert found.find("idea") is None and found.find("nobody") is None
    assert prompts.replace("a wet dog", found, np.random.default_rng(0)) is not None


def test_without_wordnet_the_message_says_what_to_do():
    # nltk is no dependency; where somebody has it with its data, it is used.
    try:
        from nltk.corpus import wordnet

        wordnet.synsets("dog")
    except (ImportError, LookupError):
        with pytest.raises(UserError, match="nltk.downloader wordnet.*pairs.words='table'"):
            words.create("wordnet")
    else:
        assert "cat" in words.create("wordnet").find("dog").others
