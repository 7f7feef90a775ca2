"""Puts a trained run's network among the weights that come with the package, with its card.

    python experiments/ship.py runs/judge scenes-judge --what "labels the embedded scenes" \
        --licence CC0-1.0 --data "scenes=this project's own, CC0-1.0" \
        --recipe "python -m jaxedit.main --config=configs/segmentation.py:judge"

Averages take the place of the parameters that they average. The figures on the card are those that
the run has measured; the recipe is the command as anybody could give it. Values of the
configuration that name places of one's own machine are replaced by `--set KEY=VALUE`, and refused
otherwise.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re

import jax
import numpy as np

from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.run import readers
from jaxedit.weights import shipped

SHIPPED = pathlib.Path(__file__).parents[1] / "jaxedit" / "shipped"


def variables(state, networks: tuple[str, ...] = ()) -> dict:
    """Returns what of a state is needed to apply its networks; `networks` alone where given."""
    chosen = lambda tree: {k: v for k, v in tree.items() if not networks or k in networks}
    kept = {
        "params": chosen({**state.params, **state.ema}), "stats": chosen(state.stats),
        "extra": dict(state.extra),
    }
    return jax.tree.map(np.asarray, {key: tree for key, tree in kept.items() if tree})


def figures(run: pathlib.Path, stage: str | None, step: int) -> dict:
    """Returns what the run's evaluation says: system -> figures over all samples.

    Args:
      run: the run's folder.
      stage: whose network it is; None is the one that was measured.
      step: of the network.

    Raises:
      UserError: the run has measured another network.
    """
    other = run / "evaluations" / f"{stage}.json"
    file = other if other.is_file() else run / "evaluation.json"
    measured = json.loads(file.read_text())
    wanted, found = (stage or measured["stage"], step), (measured["stage"], measured["step"])
    if wanted != found:
        raise UserError(
            f"{run} has measured stage {found[0]!r} at step {found[1]}, not {wanted[0]!r} at "
            f"{wanted[1]}. Run it with --mode=evaluate first."
        )
    built = f"array_record:{run.resolve()}/artifacts/"  # by an earlier stage of the run
    source = measured["source"].replace(built, "artifact:")
    return {"on": f"{measured['count']} of {source}", "step": measured["step"]} | {
        system: {name: round(value, 4) for name, value in groups["all"].items()
                 if value is not None}
        for system, groups in measured["table"].items()
    }


def own_places(text: str) -> list[str]:
    """Returns absolute paths in a card, which nobody else has."""
    return re.findall(r'"[^"]*?(?:^|[":= ])(/[A-Za-z][^"]*)"', text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("name")
    for word in ("what", "licence", "recipe"):
        parser.add_argument(f"--{word}", required=True)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=LICENCE")
    parser.add_argument("--stage", help="of the run (default: the last)")
    parser.add_argument("--step", help="of the stage (default: the last)")
    parser.add_argument("--networks", nargs="+", default=(), help="these alone (default: all)")
    parser.add_argument("--default-for", nargs="*", default=(), metavar="TASK")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=pathlib.Path, default=SHIPPED)
    given = parser.parse_args()
    config, _, state = readers.load_run(given.run, given.step, given.stage)
    measured = figures(given.run, given.stage, int(state.step))
    for change in given.set:
        key, _, value = change.partition("=")
        before = str(config_lib.flatten(config).get(key) or "")
        config_lib.override(config, key, value)
        count, of, source = measured["on"].partition(" of ")
        if source == before:  # the figures name the same place
            measured["on"] = f"{count}{of}{value}"
    card = {
        "what": given.what, "licence": given.licence, "recipe": given.recipe,
        "data": [dict(zip(("name", "licence"), one.split("=", 1), strict=True))
                 for one in given.data],
        "figures": measured,
        "config": json.loads(config_lib.to_json(config)),
    }
    if given.default_for:
        card["default_for"] = list(given.default_for)
    if found := own_places(json.dumps(card)):
        parser.error(f"the card names {found[0]}: replace it with --set KEY=VALUE")
    given.output.mkdir(exist_ok=True)
    path = shipped.write(given.output, given.name, variables(state, tuple(given.networks)), card)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
