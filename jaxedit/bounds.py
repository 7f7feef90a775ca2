"""What a configuration's values may be: one rule a key, held to before anything starts.

The rules of the keys that the core reads stand here, in `CORE`; those of a paper's own keys in its
module's `BOUNDS` (see `method.bounds`), a table of the same kind. A rule looks at one value alone:
what two keys must be to each other, their reader checks.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Collection, Mapping
from typing import Any

from jaxedit.errors import UserError
from jaxedit.host.names import not_one_of

_LARGEST = 2**31 - 2  # steps are counted in int32
_LARGEST_FLOAT32 = 3.4028234e38


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the value of a key may be.

    Attributes:
      says: what is expected, as it follows "expected".
      example: a value that keeps to it.
      holds: whether a value keeps to it.
      known: the values that will do, of a rule that lists them.
    """

    says: str
    example: Any
    holds: Callable[[Any], bool]
    known: tuple = ()


def whole(least: int, most: int = _LARGEST, *, example: int) -> Rule:
    """A whole number from `least` to `most`."""

    def holds(value: Any) -> bool:
        is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return is_whole and least <= value <= most

    largest = "" if most == _LARGEST else f" and at most {most}"
    return Rule(f"a whole number of at least {least}{largest}", example, holds)


def real(
    least: float = -math.inf, most: float = math.inf, *, above: float = -math.inf,
    below: float = math.inf, example: float,
) -> Rule:
    """A finite number, in float32 too; where given of at least, at most, above or below a limit."""

    def holds(value: Any) -> bool:
        is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_real or not abs(value) <= _LARGEST_FLOAT32:
            return False
        return least <= value <= most and above < value < below

    limits = {"at least": least, "above": above, "at most": most, "below": below}
    said = [f"{word} {limit:g}" for word, limit in limits.items() if math.isfinite(limit)]
    return Rule("a finite number " + " and ".join(said), example, holds)


def learning_rate(example: float) -> Rule:
    """A factor of the gradient, or of a normalised one; far above any with which a network learns.

    A larger one is a slip of the exponent's sign, which trains up to the first infinite loss.
    """
    return real(0, 100, example=example)


def loss_weight(example: float = 1.0) -> Rule:
    """A term's factor in a loss: 0 leaves it out; far above any that a sum of terms survives."""
    return real(0, 1e6, example=example)


def channels(example: int) -> Rule:
    """The width of a layer."""
    return whole(1, 2**14, example=example)


def epsilon(example: float) -> Rule:
    """What an optimizer adds to a divisor; above 1 it is no longer a guard but the divisor."""
    return real(0, 1, example=example)


def weight_decay(example: float) -> Rule:
    """A share of the parameters that is taken off, times the learning rate."""
    return real(0, 1, example=example)


def flag() -> Rule:
    """True or False."""
    return Rule("true or false", True, lambda value: isinstance(value, bool))


def text(example: str) -> Rule:
    """Any text."""
    return Rule("a text", example, lambda value: isinstance(value, str))


def one_of(*known: Any) -> Rule:
    """One of the values that are listed."""
    return Rule(f"one of {', '.join(map(repr, known))}", known[0], lambda v: v in known, known)


def several(each: Rule, count: int | None = None, *, rising: bool = False, example: tuple) -> Rule:
    """A sequence of values that keep to `each`: `count` of them, each at least the one before."""

    def holds(value: Any) -> bool:
        return (
            isinstance(value, tuple | list)
            and (count is None or len(value) == count)
            and all(map(each.holds, value))
            and (not rising or list(value) == sorted(value))
        )

    many = "a sequence" if count is None else f"a sequence of {count}"
    order = ", none smaller than the one before" if rising else ""
    return Rule(f"{many}, each {each.says}{order}", example, holds)


def check(
    config: Any, rules: Mapping[str, Rule], *, where: str = "", only: Collection[str] | None = None
) -> None:
    """Holds a configuration to rules; arguments as of `faults`.

    Raises:
      UserError: values break their rules; the message has them all.
    """
    refuse(faults(config, rules, where=where, only=only))


def faults(
    config: Any, rules: Mapping[str, Rule], *, where: str = "", only: Collection[str] | None = None
) -> list[str]:
    """Returns a line for each value that breaks its rule: key, value, rule and an example.

    Args:
      config: nested groups of keys; a key that it lacks is not looked at.
      rules: dotted key -> rule.
      where: what the lines begin with, for example the stage.
      only: the dotted keys to look at; None is all that have a rule.
    """
    found_faults = []
    for key, rule in rules.items():
        if only is not None and key not in only:
            continue
        found, value = lookup(config, key)
        if not found or rule.holds(value):
            continue
        if rule.known:
            line = not_one_of(f"{where}{key}", value, rule.known)
        else:
            line = f"{where}{key}={value!r}: expected {rule.says}, for example {rule.example!r}."
        found_faults.append(line)
    return found_faults


def refuse(lines: list[str]) -> None:
    """Raises UserError with all of `lines`, if there are any."""
    if len(lines) == 1:
        raise UserError(lines[0])
    if lines:
        raise UserError(f"{len(lines)} values will not do:\n  " + "\n  ".join(lines))


def lookup(config: Any, key: str) -> tuple[bool, Any]:
    """Returns (whether there is such a dotted key, its value)."""
    for part in key.split("."):
        if not hasattr(config, "keys") or part not in config:
            return False, None
        config = config[part]
    return True, config


_SEED = whole(0, 2**32 - 1, example=0)
_NAMES = several(text("train"), example=("train",))

CORE = {
    "method": text("mypaper.method"),
    "preset": text("demo"),
    "image_size": whole(1, 8192, example=256),
    "train.steps": whole(0, example=1000),
    "train.batch_size": whole(1, 2**20, example=8),
    "train.seed": _SEED,
    "train.accumulate": whole(1, 2**20, example=1),
    "train.log_every": whole(1, example=50),
    "train.evaluate_every": whole(0, example=500),
    "train.checkpoint_every": whole(1, example=500),
    "checkpoint.keep_last": whole(0, example=2),
    "checkpoint.keep_best": whole(0, example=1),
    "evaluate.source": text("folder:PATH"),
    "evaluate.split": one_of("", "train", "eval", "all"),
    "evaluate.compare": _NAMES,
    "evaluate.stages": _NAMES,
    "evaluate.batch_size": whole(1, 2**20, example=8),
    "evaluate.limit": whole(0, example=64),
    "evaluate.limit_in_training": whole(0, example=32),
    "evaluate.seed": _SEED,
    "evaluate.baselines": flag(),
    "evaluate.pictures": whole(0, 4096, example=8),
    "evaluate.metrics": several(text("psnr"), example=("psnr", "ssim")),
    "data.source": text("folder:PATH"),
    "data.threads": whole(0, 1024, example=2),
    "data.workers": whole(0, 1024, example=4),
    "data.prefetch": whole(0, 2**16, example=4),
    "layers.convolution": one_of("auto", "xla"),
    "sharding.mode": one_of("jit", "pmap"),
    "sharding.parameters": one_of("replicated", "fsdp"),
    "precision.compute": one_of("float32", "bfloat16"),
    "remat": flag(),
}
