"""What the variants of a sweep change."""

from jaxedit.report import changes

CONFIGURED = {
    "lr": 0.1, "kind": "adam",
    "stages": ({"name": "a", "overrides": {"steps": 3}},
               {"name": "b", "overrides": {}, "start": (("a:params", "params"),)}),
}


def words(variants):
    return [line.split() for line in changes.lines(variants, CONFIGURED)]


def test_only_what_differs_is_told():
    assert words({"as_is": {"lr": 0.1}, "fast": {"lr": 1.0, "kind": "adam"}}) == [
        ["as_is", "(as", "configured)"], ["fast", "lr=1.0"],
    ]
    assert words({"one": {"kind": "sgd"}, "two": {"kind": "sgd", "lr": 1.0}}) == [
        ["(every", "variant)", "kind=sgd"], ["one", "(as", "configured)"], ["two", "lr=1.0"],
    ]
    assert words({"alone": {"kind": "sgd"}}) == [["alone", "kind=sgd"]]


def test_stages_are_told_by_name():
    a, b = CONFIGURED["stages"]
    lines = changes.lines({
        "same": {"stages": (a, b)},
        "second": {"stages": ({**b, "start": (("x:ema", "params"),)},), "lr": 1.0},
        "alone": {"stages": ({"name": "b", "overrides": {"lr": 2}}, {"name": "c"})},
    }, CONFIGURED)
    assert [line[27:] for line in lines] == [
        "(as configured)",
        "stages: b (start: x:ema); lr=1.0",
        "stages: b (without start; overrides: {'lr': 2}), c",
    ]
