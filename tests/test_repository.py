"""The repository as a whole: files compile, imports run downwards, the README tells the truth."""

import ast
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from jaxedit import cli, main
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.report import wording
from jaxedit.run import evaluate, stages, writer

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = ("jaxedit", "configs", "experiments", "tests")
FILES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
# From the bottom to the top: a file imports from its own folder and from those further down.
LEVELS = (
    ("errors",),
    ("host",),
    ("layers", "optim", "report"),
    ("weights",),
    ("models",),
    ("losses", "metrics", "data"),
    ("scenes",),
    ("bounds", "state", "evaluation", "task"),
    ("method", "config"),
    ("methods",),
    ("run",),
    ("apply",),
    ("commands",),
    ("main", "cli"),
    ("api",),
)
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
# What is named by a string runs downwards too, but where something is found and not known: the
# file that finds, what it finds, and why it is found from below.
FOUND = {
    ("data/records.py", "jaxedit.methods"): "a paper declares the keys of its records itself",
    ("data/sources.py", "jaxedit.scenes.source"): "a user names sources; this one draws itself",
    ("data/sources.py", "jaxedit.scenes.portraits"): "likewise",
    ("weights/manifest.py", "jaxedit.methods"): "a paper names its public weights itself",
    ("weights/manifest.py", "jaxedit.models.published"): "and so do the networks they share",
    ("method.py", "jaxedit.methods"): "a configuration names its method",
    ("commands/sweep.py", "jaxedit.main"): "each run of a sweep is a process of its own",
}


def imports(path: pathlib.Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, whose direction nobody sees"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def named(path: pathlib.Path) -> set[str]:
    """Returns the modules that strings of a file name: to be imported by it, or on its behalf."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # "module", "module:name", or the beginning of either.
            match = re.fullmatch(r"(jaxedit(?:\.\w+)+)(?:[.:]\w*)?", node.value)
            found |= {match.group(1)} if match else set()
    return found


def goes_up(path: pathlib.Path) -> list[str]:
    """Returns what a file names that stands above it, or in another paper."""
    parts = path.relative_to(ROOT / "jaxedit").with_suffix("").parts
    file = path.relative_to(ROOT / "jaxedit").as_posix()
    wrong = []
    for name in imports(path) | {one for one in named(path) if (file, one) not in FOUND}:
        pieces = name.split(".")
        if pieces[0] != "jaxedit" or len(pieces) == 1:
            continue
        if pieces[1] == parts[0]:
            # A paper keeps to itself and to the files in methods/, which keep to themselves.
            paper = len(pieces) > 2 and (ROOT / "jaxedit" / "methods" / pieces[2]).is_dir()
            if parts[0] == "methods" and paper and pieces[2] != parts[1]:
                wrong.append(name)
        elif pieces[1] in LEVEL:  # anything else is a name that jaxedit/__init__.py defines
            wrong += [name] if LEVEL[pieces[1]] >= LEVEL[parts[0]] else []
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_compiles_and_is_short(path):
    text = path.read_text()
    compile(text, str(path), "exec")
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize(
    "path", sorted((ROOT / "jaxedit").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_run_downwards(path):
    assert not {n.split(".")[0] for n in imports(path)} & {"torch", "tensorflow", "torchvision"}
    if path != ROOT / "jaxedit" / "__init__.py":
        assert goes_up(path) == []


def test_what_goes_up_is_found(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "jaxedit" / "methods" / "mine").mkdir(parents=True)
    (tmp_path / "jaxedit" / "data").mkdir()
    for place, text, found in (
        ("data/x.py", "import jaxedit.run.train", ["jaxedit.run.train"]),
        ("data/x.py", "Lazy('jaxedit.metrics.lpips:Heads')", ["jaxedit.metrics.lpips"]),
        ("data/x.py", "f'jaxedit.methods.{name}'", ["jaxedit.methods"]),
        ("data/x.py", "'python -m jaxedit.main'; 'jaxedit.host.names'", []),
        ("methods/base.py", "'jaxedit.methods.mine.method:A'", ["jaxedit.methods.mine.method"]),
        ("methods/base.py", "import jaxedit.methods.other_base", []),
        ("methods/mine/x.py", "import jaxedit.methods.base; 'jaxedit.methods.mine.y'", []),
    ):
        file = tmp_path / "jaxedit" / place
        file.write_text(text)
        assert goes_up(file) == found, text


def test_what_is_found_from_below_is_still_there():
    for file, name in FOUND:
        assert name in named(ROOT / "jaxedit" / file), f"{file} no longer names {name}"


PAPERS = re.compile(
    r"(?<![a-z])(scat|dpt|sims|sdic|iedit)(?![a-z])"  # the papers, in any spelling of case
    r"|methods[./](?!(?:<|PAPER|\*|__init__|{))[a-z]+",  # a folder of methods/, by its name
    re.IGNORECASE,
)
# What a paper has outside of its folder in methods/: its verb, and its data sets.
VERBS = {"inpaint.py", "matte.py", "synthesize.py", "bank.py", "invert.py", "directions.py",
         "edit.py", "edit_network.py", "iedit_data.py"}
# The list of verbs names those that are called after their paper.
CALLED_SO = re.compile(r'"iedit-data": \("iedit_data", ')


def names_a_paper(path: pathlib.Path) -> list[str]:
    parts = path.relative_to(ROOT / "jaxedit").parts
    own = parts[0] == "methods" and len(parts) > 2 or parts[:2] == ("data", "layouts")
    if own or (parts[0] == "commands" and path.name in VERBS):
        return []
    text = path.read_text()
    if parts == ("commands", "__init__.py"):
        text = CALLED_SO.sub("", text)
    return [match.group() for match in PAPERS.finditer(text)]


TEXTS = sorted(
    p for p in (ROOT / "jaxedit").rglob("*") if p.suffix in (".py", ".html", ".js", ".css")
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_names_no_paper(path):
    """Another paper moves in without an edit to a shared file: none knows the ones there are."""
    assert names_a_paper(path) == []


def test_a_template_that_one_paper_uses_stands_with_it():
    folder = ROOT / "jaxedit" / "report" / "templates"
    general = "".join(p.read_text() for p in TEXTS if "methods" not in p.parts)
    for path in folder.iterdir():
        assert f'"{path.name}"' in general, f"nothing in a general folder uses {path.name}"


def test_a_named_paper_is_found(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "jaxedit" / "run" / "x.py"
    file.parent.mkdir(parents=True)
    for text, found in (
        ("# as SCAT does", ["SCAT"]), ("scat_loss = 1", ["scat"]), ("scatter, deeper", []),
        ("import jaxedit.methods.matting.data", ["methods.matting"]),
        ("`methods/<paper>` and jaxedit/methods/*/published.py", []),
    ):
        file.write_text(text)
        assert names_a_paper(file) == found


# Who makes levels of numbers alone, and why.
OWN_LEVELS = {
    "host/levels.py": "this is the place",
    "data/images.py": "whole numbers, which are rounded by whole numbers",
    "methods/matting/inference.py": "the published inference cuts off",
}


def test_levels_are_rounded_in_one_place():
    """What casts by itself cuts off, and is one level too dark."""
    own = re.compile(r"(?:255 \*|\* (?:np\.float32\()?255|rint|round\().*astype\((?:np.uint|dtype)")
    found = {p.relative_to(ROOT / "jaxedit").as_posix() for p in FILES
             if p.is_relative_to(ROOT / "jaxedit") and own.search(p.read_text())}
    assert found == set(OWN_LEVELS)


def test_every_room_has_a_level():
    """A new folder or file at the top level must be given its place."""
    rooms = {p.stem for p in (ROOT / "jaxedit").iterdir() if p.name[0] != "_" and
             (p.suffix == ".py" or any(p.rglob("*.py")))}
    assert rooms == set(LEVEL)


def test_tensorflow_and_torch_stay_out():
    program = (
        "import importlib, pkgutil, sys, jaxedit; "
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(jaxedit.__path__, "
        "'jaxedit.')]; "
        "from jaxedit.run import writer; import pathlib, tempfile; "
        "w = writer.Writer(pathlib.Path(tempfile.mkdtemp())); w.row('s', 1, 'train', {'x': 1.0}); "
        "w.close(); from jaxedit.weights import reader; "
        "reader.read(next(pathlib.Path('tests/weights/fixtures').glob('*.pt'))); "
        "print([m for m in ('torch', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`((?:python -m jaxedit|jaxedit )[^`]+)`", text)
    return [line for line in lines + inline if line.strip() and not line.startswith("#")]


def test_the_worked_example_is_short():
    assert len((ROOT / "tests" / "toy_method.py").read_text().splitlines()) < 250


@pytest.mark.parametrize("told", [(ROOT / "README.md").read_text(), writer.__doc__],
                         ids=["README", "writer"])
def test_both_files_of_wall_clock_figures_are_told_of(told):
    assert "`timing.jsonl`" in told and f"`{wording.MEASURING}`" in told


@pytest.mark.parametrize("line", readme_commands())
def test_readme_command_is_understood(line):
    """Each command of the README parses, and every key it sets exists."""
    for command in line.split("&&"):
        words = shlex.split(command)
        if "jaxedit.main" in words:
            arguments = words[words.index("jaxedit.main") + 1 :]
            flags, overrides = main.parse(arguments)
            if flags.config and flags.config != "...":
                config = config_lib.load(str(ROOT / flags.config), overrides)
                assert method_lib.create(config).networks()
            elif flags.mode == "evaluate":  # of runs/CONFIG-PRESET
                name = flags.workdir.name.partition("-")[0]
                assert config_lib.load(str(ROOT / f"configs/{name}.py"), overrides)
        elif words and words[0] == "jaxedit":
            cli.build_parser(words[1:]).parse_args(words[1:])


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "configs").glob("*.py")
                                        if p.stem not in ("__init__", "common")))
def test_every_preset_is_a_sound_configuration(name):
    module = config_lib.load_module(ROOT / "configs" / f"{name}.py")
    for preset in module.PRESETS:
        config = config_lib.load(str(ROOT / "configs" / f"{name}.py:{preset}"))
        again = config_lib.from_json(config_lib.to_json(config))
        assert config_lib.differences(config, again) == []
        method = method_lib.create(config)
        assert method.networks() and method.optimizers(10)
        # As a training does before the first step of each stage.
        for stage in stages.read(config):
            if not stage.build:
                evaluate.check_best(method_lib.create(stage.config), stage.config)


def test_everything_that_is_no_module_is_installed():
    setup = ast.parse((ROOT / "setup.py").read_text())
    (data,) = (word.value for call in ast.walk(setup) if isinstance(call, ast.Call)
               for word in call.keywords if word.arg == "package_data")
    installed = {path for pattern in ast.literal_eval(data)["jaxedit"]
                 for path in (ROOT / "jaxedit").glob(pattern)}
    others = {p for p in (ROOT / "jaxedit").rglob("*")
              if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert others <= installed
