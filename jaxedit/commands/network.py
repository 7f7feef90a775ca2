"""What the verbs that apply a network share: which one (--run | --weights), and common options."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable, Sequence

from jaxedit.commands import command, counting
from jaxedit.errors import UserError
from jaxedit.weights import shipped

BEST = (
    "a checkpoint's step, 'last', or 'best': the one that was best when it was measured while "
    "training, by the figure that the run's report names (default: last)"
)


def add_options(
    parser: argparse.ArgumentParser, classical: Sequence[str],
    weights: str = "weights by name, published ones or those that come with jaxedit: `jaxedit "
    "weights list` shows them",
) -> None:
    """Adds the choice of what does the work: a run, published weights or a classical method.

    `classical` are the names of such methods; a verb that has none gives none. `weights` says what
    its --weights may be.
    """
    group = parser.add_argument_group(
        "what does the work, one of", None if classical else "(default: what comes with jaxedit "
        "for this, where anything does)",
    )
    network = group.add_mutually_exclusive_group()
    network.add_argument("--run", type=pathlib.Path, metavar="DIRECTORY",
                         help="a network of your own: the folder of a training, --workdir of "
                         "`jaxedit train`, which is runs/CONFIG-PRESET where none was named")
    network.add_argument("--weights", metavar="NAME", help=weights)
    if classical:
        network.add_argument("--classical", choices=classical,
                             help="a classical method, which needs no network and no training")
    parser.set_defaults(classical=None, has_classical=bool(classical))
    parser.add_argument("--step", metavar="STEP",
                        help=f"with --run: {BEST}")
    counting.only(parser, "--step", lambda a: a.run is not None,
                  "chooses a checkpoint of --run; nothing else has any.")
    add_trust_of_run(parser)


def add_trust_of_run(parser: argparse.ArgumentParser) -> None:
    """Adds --trust-run-code to a verb that has --run, without which it changes nothing."""
    add_trust(parser, "with --run: ")
    counting.only(parser, "--trust-run-code", lambda a: a.run is not None,
                  "is about the code of a --run, and none is named. Leave it out.")


def add_trust(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Adds what a run of somebody else's may need, see `readers.load_run`; `prefix` of the help."""
    parser.add_argument("--trust-run-code", action="store_true",
                        help=f"{prefix}go on where a run of somebody else's brings a method of "
                        "its own: their code then runs on this machine")


def add_common_options(parser: argparse.ArgumentParser, **bucket: str) -> None:
    add_file_options(parser, **bucket)
    parser.add_argument("--compare", type=pathlib.Path, metavar="SHEET",
                        help="also write a picture that shows the result beside those of the "
                        "classical methods, .png; a folder where PHOTO is one")


def add_file_options(
    parser: argparse.ArgumentParser,
    bucket: str = "few lengths, 64, 128, 192, 256, 384, 512, 768 and so on",
) -> None:
    """Adds what every verb on photographs and folders of them has; `bucket` is that by default."""
    parser.add_argument("--overwrite", action="store_true",
                        help="replace results that exist")
    parser.add_argument("--skip-existing", action="store_true",
                        help="leave photos alone whose results exist, to go on with a folder")
    only_of_existing(parser)
    parser.add_argument("--bucket", type=int, metavar="PIXELS",
                        help="pad what the network sees to sides that are multiples of this, from "
                        "1, and cut the padding off again. A program is compiled for every padded "
                        "size: small multiples compute less, large ones compile less often in a "
                        f"folder of many sizes (default: {bucket})")
    counting.only(parser, "--bucket", lambda a: a.classical is None,
                  "is for networks, which are compiled; leave it out with --classical.")


def only_of_existing(parser: argparse.ArgumentParser) -> None:
    """Refuses --overwrite and --skip-existing together; of a verb that has both."""
    counting.only(parser, "--overwrite", lambda a: not a.skip_existing,
                  "replaces results that exist, and --skip-existing leaves them alone: leave one "
                  "of them out.")


def check(arguments: argparse.Namespace, task: str, published: str = "") -> None:
    """Puts the weights that come with jaxedit where the person has named nothing.

    Args:
      arguments: of a verb that has called `add_options`.
      task: the task's name.
      published: which weights --weights may name, for the message where there are none; by default
        those that say so of themselves.

    Raises:
      UserError: none come with it.
    """
    if arguments.run is not None or arguments.weights or arguments.classical:
        return
    arguments.weights = shipped.default(task)
    if arguments.weights is None:
        ways = ["--run DIRECTORY", "--weights NAME"]
        ways += ["--classical METHOD"] if getattr(arguments, "has_classical", True) else []
        if not published:
            from jaxedit.weights import manifest

            able = [name for name, one in manifest.entries().items() if task in one.tasks]
            published = f"published for it are {', '.join(able)}" if able else ""
        raise UserError(
            f"Name what does the work: {', '.join(ways[:-1])} or {ways[-1]}. No weights that come "
            "with jaxedit are meant for any photo" + (f"; {published}" if published else "")
            + ". `jaxedit weights list` says where weights are, `jaxedit weights get NAME` fetches "
            "them or says how, and `jaxedit train` makes a run of your own."
        )
    what = shipped.get(arguments.weights).what
    command.tell(f"using the weights {arguments.weights!r}, which come with jaxedit: {what}")


def exit_code(failures: list[str], jobs: list, what: str = "photos") -> int:
    """Returns 1 where jobs failed, of which it says how many; `what` they are, in the plural."""
    if failures:
        done = "; the others are done" if len(failures) < len(jobs) else ""
        command.tell(f"{len(failures)} of {len(jobs)} {what} failed{done}.")
    return 1 if failures else 0


def load_applier(
    arguments: argparse.Namespace, task: str, classical: Callable[[str], Callable]
) -> Callable:
    """Returns what `arguments` name, as a callable on the inputs of a task.

    Args:
      arguments: of a verb that has called `add_options`.
      task: the task's name.
      classical: from the name of a classical method to the same kind of callable.
    """
    if arguments.classical is not None:
        return classical(arguments.classical)
    from jaxedit.apply import applier
    from jaxedit.run import sharding

    sharding.enable_compilation_cache()
    options = {"bucket": arguments.bucket, "say": command.tell}
    if arguments.run is not None:
        return applier.from_run(
            arguments.run, task, step=arguments.step, trust_code=arguments.trust_run_code,
            **options,
        )
    return applier.from_weights(arguments.weights, task, **options)
