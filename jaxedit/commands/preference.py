"""`jaxedit preference`: a blind comparison of pictures by people, and the tally of its answers."""

from __future__ import annotations

import argparse
import pathlib
import shlex

from jaxedit.commands import command, network
from jaxedit.errors import UserError
from jaxedit.host import atomic


def add(commands) -> None:
    """Adds the parser of `jaxedit preference`."""
    parser = commands.add_parser(
        "preference", help="let people compare pictures blindly, count answers",
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Blind comparison by people.\n\n"
        "`pictures` writes what each system in a run's table makes of the same inputs, each into\n"
        "a folder. `sheet` writes one page that shows two systems' pictures of the same input,\n"
        "sides and order drawn at random, and saves a judge's answers as a file. It does not know\n"
        "the systems' names; its key, written beside it, stays with you. `tally` counts.\n\n"
        "  jaxedit preference pictures --run runs/mine --output study\n"
        "  jaxedit preference sheet ours=out/ours telea=out/telea --output study/sheet.html\n"
        "  jaxedit preference tally study/sheet.key.json study/answers-*.json",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    pictures = command.add(
        actions, "pictures", write_pictures, "write a run's pictures, one folder a system",
        "The systems are those of the run's evaluation, baselines included; with what they were\n"
        "made from, `reference`. Says which `sheet` compares them.",
    )
    pictures.add_argument("--run", type=pathlib.Path, required=True, metavar="DIRECTORY",
                          help="the folder of a training, --workdir of `jaxedit train`")
    pictures.add_argument("--output", type=pathlib.Path, required=True, metavar="FOLDER",
                          help="a new or empty folder")
    pictures.add_argument("--stage", metavar="STAGE", help="of the run (default: the last)")
    pictures.add_argument("--step", metavar="STEP",
                          help=network.BEST)
    pictures.add_argument("--count", type=int, default=50, metavar="N",
                          help="inputs, the first of the evaluation (default: 50; 0: all)")
    network.add_trust_of_run(pictures)
    sheet = command.add(
        actions, "sheet", make_sheet, "write the page and its key",
        "Pictures of the same file name belong together.",
    )
    sheet.add_argument("systems", nargs="+", metavar="NAME=FOLDER", help="two systems or more")
    sheet.add_argument("--output", type=pathlib.Path, required=True, metavar="FILE.html",
                       help="the page for the judges; its key, FILE.key.json, is written beside it")
    sheet.add_argument("--reference", type=pathlib.Path, metavar="FOLDER",
                       help="what the pictures were made from, shown above each pair")
    sheet.add_argument("--question", default="Which picture looks more realistic?", metavar="TEXT",
                       help="what judges are asked (default: %(default)s)")
    sheet.add_argument("--count", type=int, default=0, metavar="N",
                       help="questions, drawn at random (default: 0, every pair of every picture)")
    sheet.add_argument("--seed", type=int, default=0, metavar="N",
                       help="of the order and the sides that are drawn (default: 0)")
    sheet.add_argument("--overwrite", action="store_true",
                       help="replace a page and its key that exist")
    tally = command.add(
        actions, "tally", count, "count the answers of judges",
        "Prints each pair's share of preferences with its 95 % interval.",
    )
    tally.add_argument("key", type=pathlib.Path, metavar="KEY.json",
                       help="what `sheet` wrote beside its page")
    tally.add_argument("answers", nargs="+", type=pathlib.Path, metavar="ANSWERS.json",
                       help="the files that judges saved, one or more")


def write_pictures(arguments: argparse.Namespace) -> int:
    """`jaxedit preference pictures`."""
    from jaxedit.run import picture_folders, sharding

    if arguments.count < 0:
        raise UserError(f"--count is {arguments.count}; give the number of inputs, 0 for all.")
    atomic.check_place(arguments.output)
    sharding.enable_compilation_cache()
    output = arguments.output
    systems, reference, count = picture_folders.write(
        arguments.run, output, stage=arguments.stage, step=arguments.step, count=arguments.count,
        trust_code=arguments.trust_run_code,
    )
    for folder in (*systems.values(), *([reference] if reference else [])):
        command.tell(f"written: {folder} ({count} pictures)")
    if len(systems) > 1:
        words = ["jaxedit", "preference", "sheet"]
        words += [f"{name}={folder}" for name, folder in systems.items()]
        words += ["--reference", str(reference)] if reference else []
        command.tell("every two of them are compared by (leave out what you do not ask about):")
        print(shlex.join([*words, "--output", str(output / "sheet.html")]))
    return 0


def make_sheet(arguments: argparse.Namespace) -> int:
    """`jaxedit preference sheet`."""
    from jaxedit.apply import preference

    systems: dict[str, pathlib.Path] = {}
    for word in arguments.systems:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise UserError(f"{word!r} is not NAME=FOLDER, such as ours=out/ours.")
        if name in systems:
            raise UserError(f"Two systems are named {name!r}. Give each a name of its own.")
        systems[name] = pathlib.Path(folder)
    places: dict[pathlib.Path, str] = {}
    for name, folder in systems.items():
        other = places.setdefault(folder.resolve(), name)
        if other != name:
            raise UserError(f"{other!r} and {name!r} are both {folder}: nobody could tell them "
                            "apart. Name two folders.")
    if arguments.count < 0:
        raise UserError(f"--count is {arguments.count}; give the number of questions, 0 for all.")
    if not arguments.question.strip():
        raise UserError("--question is empty; ask something, or leave it out.")
    atomic.check_place(arguments.output.parent)
    if arguments.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output {arguments.output} is a web page: let its name end in .html.")
    for path in (arguments.output, preference.key_of(arguments.output)):
        if path.exists() and not arguments.overwrite:
            raise UserError(
                f"{path} already exists, and answers to it could no longer be counted. Choose "
                "another name, or add --overwrite."
            )
    key, questions = preference.write_sheet(
        systems, arguments.output, reference=arguments.reference, question=arguments.question,
        count=arguments.count, seed=arguments.seed,
    )
    command.tell(f"written: {arguments.output} ({questions} questions, for the judges)")
    command.tell(f"written: {key} (which side is which system; keep it)")
    return 0


def count(arguments: argparse.Namespace) -> int:
    """`jaxedit preference tally`."""
    from jaxedit.apply import preference

    print(preference.as_text(preference.tally(arguments.key, arguments.answers)))
    return 0
