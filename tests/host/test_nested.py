"""Nested dicts by dotted keys."""

from jaxedit.host import nested


def test_there_and_back():
    tree = {"a": {"b": 1, "c": {"d": (2, {"e": 3})}}, "f": None}
    flat = {"a.b": 1, "a.c.d": (2, {"e": 3}), "f": None}
    assert nested.flatten(tree) == flat and nested.unflatten(flat) == tree
    assert nested.flatten({"a": {"b": {}}, "c": {1: 2}}, ": ") == {"c: 1": 2}
    assert nested.flatten(7.5) == {"": 7.5}
