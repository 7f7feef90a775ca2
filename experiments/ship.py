"""Puts a trained run's network among the weights that come with the package, with its card.

    python experiments/ship.py runs/judge scenes-judge --what "labels the embedded scenes" \
        --licence CC0-1.0 --data "scenes=this project's own, CC0-1.0" \
        --recipe "python -m jaxedit.main --config=configs/segmentation.py:judge"

Averages take the place of the parameters that they average. What is frozen is not written again:
where the stage began with other weights of the package, or with an earlier stage whose result is
there now (`--from STAGE=NAME`), the card says so, and applying these weights reads those too; the
frozen networks must be those weights, as they are stored.

The figures on the card are those that the run has measured; the recipe is the command as anybody
could give it. Values of the configuration that name places of one's own machine are replaced by
`--set KEY=VALUE`, and refused otherwise.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.host.names import check_choice
from jaxedit.method import Method
from jaxedit.run import checkpoint, readers, stages, starting
from jaxedit.state import State, find
from jaxedit.weights import shipped

SHIPPED = pathlib.Path(__file__).parents[1] / "jaxedit" / "shipped"


def variables(
    state: State, networks: Sequence[str] = (), extra: Sequence[str] | None = None
) -> dict[str, Any]:
    """Returns what of a state is needed to apply its networks.

    Args:
      state: of a run.
      networks: of `params` and `stats` these alone; () is all.
      extra: of `extra` these alone; None is all.

    Raises:
      UserError: the state has no such network, or no such value.
    """
    for name in networks:
        check_choice("The network", name, state.params)
    for name in extra or ():
        check_choice("The value of extra", name, state.extra)
    chosen = lambda tree: {k: v for k, v in tree.items() if not networks or k in networks}
    kept = {
        "params": chosen(_averaged(state.params, state.ema)), "stats": chosen(state.stats),
        "extra": {k: v for k, v in state.extra.items() if extra is None or k in extra},
    }
    return jax.tree.map(np.asarray, {key: tree for key, tree in kept.items() if tree})


def _averaged(params: Any, averages: Any) -> Any:
    """Returns parameters with averages in the places of those that have one: all, or a part."""
    if not isinstance(averages, Mapping):
        return averages
    return {key: _averaged(node, averages[key]) if key in averages else node
            for key, node in params.items()}


def start_of(
    stage: stages.Stage, earlier: Sequence[str], standing: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns what a stage has frozen of weights of the package, as pairs; and what else it has.

    Args:
      stage: of the run.
      earlier: names of the run's stages.
      standing: earlier stage -> the weights that its result has become.

    Raises:
      UserError: the stage starts from no such stage, or the package has no such weights.
    """
    pairs, others = [], []
    for source, target in stage.start:
        if not target.startswith("frozen/"):
            continue
        kind, name, path = starting.parse(source, earlier)
        if kind == "stage" and name in standing:
            kind, name, path = "weights", standing[name], shipped.inside(path)
        if kind == "weights" and name in shipped.names():
            pairs.append((f"weights:{name}:{path}", target))
        else:
            others.append(f"{target} (of {source})")
    used = {source.split(":")[1] for source, _ in pairs}
    for name, weights in standing.items():
        if weights not in used:
            raise UserError(
                f"--from {name}={weights}: stage {stage.name!r} has nothing frozen of a stage "
                f"{name!r}, or no weights {weights!r} are in jaxedit/shipped."
            )
    return pairs, others


def check_same(method: Method, state: State, pairs: Sequence[tuple[str, str]]) -> None:
    """Raises UserError unless what a state has frozen is what pairs bring, as it is stored."""
    brought = starting.filled(State(step=np.int32(0)), method, pairs)
    for source, target in pairs:
        ours, theirs = (jax.tree.map(shipped.stored, find(one, target)) for one in (state, brought))
        same = jax.tree.structure(ours) == jax.tree.structure(theirs) and all(
            jax.tree.leaves(jax.tree.map(np.array_equal, ours, theirs))
        )
        if not same:
            raise UserError(f"The run's {target} is not what {source} holds: these networks were "
                            "trained with another. Ship that one first, or name it.")


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


def references(
    given: argparse.Namespace, method: Method, state: State
) -> list[tuple[str, str]]:
    """Returns what of other weights the card names, compared with what the run has."""
    every = stages.read(checkpoint.read_run_config(given.run))
    saved = [one for one in every
             if checkpoint.has_checkpoint(given.run / "checkpoints" / one.name)]
    stage = next((one for one in saved if one.name == given.stage), saved[-1])
    standing = dict(one.split("=", 1) for one in given.standing)
    pairs, others = start_of(stage, [one.name for one in every], standing)
    check_same(method, state, pairs)
    if others:
        print(f"left out, since the package has none of it: {', '.join(others)}")
    return pairs


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
    parser.add_argument("--extra", nargs="*", metavar="NAME",
                        help="of what the state carries beside its networks (default: all)")
    parser.add_argument("--from", action="append", default=[], dest="standing",
                        metavar="STAGE=NAME", help="what is frozen of an earlier stage is that of "
                        "these weights, which are in the package already")
    parser.add_argument("--default-for", nargs="*", default=(), metavar="TASK")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=pathlib.Path, default=SHIPPED)
    given = parser.parse_args()
    config, method, state = readers.load_run(given.run, given.step, given.stage)
    pairs = references(given, method, state)
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
    if pairs:
        card["start"] = pairs
    if given.default_for:
        card["default_for"] = list(given.default_for)
    if found := own_places(json.dumps(card)):
        parser.error(f"the card names {found[0]}: replace it with --set KEY=VALUE")
    given.output.mkdir(exist_ok=True)
    kept = variables(state, given.networks, given.extra)
    path = shipped.write(given.output, given.name, kept, card)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
