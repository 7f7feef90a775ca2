"""What towers and segmenter train on and by: contrasts, phrases, masks, and the vocabulary."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.iedit import region, text_data, towers_method, vocabulary, words
from jaxedit.methods.iedit.zero_shot import answers, parts
from jaxedit.scenes import world
from tests import shrink


def test_the_contrast_is_the_published_one_where_texts_differ():
    rng = np.random.default_rng(0)
    logits, tokens = rng.normal(size=(5, 5)), np.arange(10).reshape(5, 2)
    loss, right = towers_method.contrast(jnp.asarray(logits), jnp.asarray(tokens))
    of_rows = lambda x: -np.diag(x - np.log(np.exp(x).sum(1, keepdims=True))).mean()
    np.testing.assert_allclose(loss, (of_rows(logits) + of_rows(logits.T)) / 2, rtol=1e-5)
    assert right == (logits.argmax(1) == np.arange(5)).mean()


def test_the_same_text_twice_is_no_wrong_answer():
    tokens = jnp.asarray([[1, 2], [1, 2], [3, 4]])
    told = 50.0 * jnp.asarray([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    loss, right = towers_method.contrast(told, tokens)
    np.testing.assert_allclose(loss, 2 / 3 * np.log(2), rtol=1e-4)
    assert right == 1


def test_words_of_the_table_and_of_scenes_are_one_token_each():
    text = vocabulary.create("", 24)
    said = {word for one in words.shipped().words() for word in one.split()}
    said |= {word for values in world.ATTRIBUTES.values() for one in values for word in one.split()}
    assert all(len(text.ids(word)) == 3 for word in said)
    every = [world.caption(world.world_parameters("train", index)) for index in range(50)]
    assert max(len(text.ids(caption)) for caption in every) <= 14
    assert len(text.ids("qzxj")) > 3  # any other is read all the same
    with pytest.raises(UserError, match="vocab.json"):
        vocabulary.create("no/such/folder", 24)


@pytest.fixture(scope="module")
def source():
    return sources.create("scenes:world:64", "train", train_count=60)


def test_captions_are_shortened_for_training_alone(source):
    text = vocabulary.create("", 24)
    whole = text_data.Told(32, False, (1, 1), False, text, 0.0)
    short = text_data.Told(32, True, (0.8, 1), False, text, 1.0)
    rng = np.random.default_rng(0)
    for index in range(8):
        record = source[index]
        np.testing.assert_array_equal(
            whole(record, rng)["tokens"], text.tokens([record["caption"]])[0]
        )
        known = text.tokens(world.phrases(record["attributes"])).tolist()
        sample = short(record, rng)
        assert sample["tokens"].tolist() in known
        shown = [values[place] for values, place in
                 zip(world.ATTRIBUTES.values(), sample["attributes"], strict=True)]
        assert shown == [record["attributes"][name] for name in world.ATTRIBUTES]
    with pytest.raises(UserError, match="has no caption"):
        whole({"image": record["image"]}, rng)
    assert answers({"attributes": {"subject": "dragon"}}).tolist() == [-1, -1, -1]
    assert [part.tolist() for part in parts(np.arange(22))] == [
        list(range(8)), list(range(8, 16)), list(range(16, 22))]


def asked(train, **changes):
    fields = {"side": 64, "out": 64, "scale": (1.0, 1.0), "text": vocabulary.create("", 24),
              "absent": 0.3, "held_out": ("mug", "fish"), "classes": ()} | changes
    return text_data.Asked(train=train, **fields)


def test_the_segmenter_is_asked_for_what_is_there_and_for_what_is_not(source):
    text, rng = vocabulary.create("", 24), np.random.default_rng(0)
    told = {"train": set(), "eval": set()}
    for name, found in told.items():
        for index in range(60):
            record = source[index]
            sample = asked(name == "train")(record, rng)
            shown, kind = record["attributes"], text_data.ASKED[sample["asked"]]
            found.add(kind)
            tokens = sample["tokens"].tolist()
            says = lambda word, tokens=tokens: text.ids(word)[1] in tokens
            if name == "train":
                assert not says("mug") and not says("fish")
            subject, mask = record["alpha"] > 127, sample["mask"] > 0.5
            if kind == text_data.ABSENT:
                assert not mask.any() and not says(shown["subject"])
            elif says(shown["subject"]):
                np.testing.assert_array_equal(mask, subject)
                assert (kind == text_data.HELD_OUT) == (shown["subject"] in ("mug", "fish"))
            else:
                np.testing.assert_array_equal(mask, ~subject)
                assert all(says(word) for word in shown["setting"].split())
    assert told["train"] == {text_data.KNOWN, text_data.ABSENT}
    assert told["eval"] == set(text_data.ASKED)


def test_a_part_of_the_picture_has_the_same_part_of_the_mask(source):
    record = source[0]
    grey = np.repeat((record["alpha"] > 127)[..., None] * np.uint8(255), 3, -1)
    sample = asked(True, scale=(0.4, 0.6), absent=0.0)(
        {**record, "image": grey}, np.random.default_rng(3)
    )
    share = (sample["image"][..., 0] + 1) / 2
    np.testing.assert_allclose(np.minimum(np.abs(share - sample["mask"]),
                                          np.abs(1 - share - sample["mask"])).max(), 0, atol=0.02)


def test_classes_of_label_maps_are_asked_for_too():
    label = np.zeros((64, 64), np.int32)
    label[:32] = 2
    record = {"id": "a", "image": np.zeros((64, 64, 3), np.uint8), "label": label}
    rng, text = np.random.default_rng(0), vocabulary.create("", 24)
    ask = asked(True, classes=("sky", "mug", "grass", "road"))
    kinds = set()
    for _ in range(40):
        sample = ask(record, rng)
        kind = text_data.ASKED[sample["asked"]]
        word = {tuple(text.tokens([one])[0]): one for one in ("sky", "grass", "road")}[
            tuple(sample["tokens"])]
        kinds.add((kind, word))
        wanted = {"sky": label == 0, "grass": label == 2, "road": label == 3}[word]
        np.testing.assert_array_equal(sample["mask"] > 0.5, wanted)
    assert kinds == {("known words", "sky"), ("known words", "grass"), ("absent words", "road")}
    with pytest.raises(UserError, match="nothing to ask for"):
        asked(True)(record, rng)


def test_a_mask_is_what_is_at_least_half_as_sure_as_the_surest():
    maps = np.float32([[[0.05, 0.09]], [[0.3, 0.16]], [[0.9, 0.46]], [[0.9, 0.4]]])
    assert region.binary(maps)[:, 0].tolist() == [
        [False, False], [True, True], [True, True], [True, False]]


def test_what_cannot_be_is_refused():
    for part, changes, message in (
        ("segmenter", {"segmenter.side": "36"}, "multiple of towers.patch=8"),
        ("segmenter", {"segmenter.layers": "(5,)"}, "extract_layers"),
        ("towers", {"towers.text_heads": "3"}, "does not divide"),
        ("towers", {"towers.vocabulary": "nowhere"}, "vocab.json"),
    ):
        with pytest.raises(UserError, match=message):
            method_lib.create(shrink.iedit("segmenter", part=part, **changes))
