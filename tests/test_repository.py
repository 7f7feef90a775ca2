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
from jaxedit.run import evaluate, stages

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
    ("host_stage", "one_network"),
    ("methods",),
    ("run",),
    ("apply",),
    ("commands",),
    ("main", "cli"),
    ("api",),
)
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}


def imports(path: pathlib.Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, whose direction nobody sees"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_compiles_and_is_short(path):
    text = path.read_text()
    compile(text, str(path), "exec")
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize(
    "path", sorted((ROOT / "jaxedit").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_run_downwards(path):
    found = imports(path)
    assert not {n.split(".")[0] for n in found} & {"torch", "tensorflow", "torchvision"}
    if path.name == "__init__.py" and path.parent.name == "jaxedit":
        return
    parts = path.relative_to(ROOT / "jaxedit").with_suffix("").parts
    for name in found:
        pieces = name.split(".")
        if pieces[0] != "jaxedit" or len(pieces) == 1 or pieces[1] == parts[0]:
            continue
        if pieces[1] in LEVEL:  # anything else is a name that jaxedit/__init__.py defines
            assert LEVEL[pieces[1]] < LEVEL[parts[0]], f"{path.name} imports {name}"
    if parts[0] == "methods" and len(parts) > 2:
        papers = {n.split(".")[2] for n in found if n.startswith("jaxedit.methods.")}
        assert papers <= {parts[1]}, f"{path.name} imports another paper: {papers}"


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
    own = parts[0] == "methods" or parts[:2] == ("data", "layouts")
    if own or (parts[0] == "commands" and path.name in VERBS):
        return []
    text = path.read_text()
    if parts == ("commands", "__init__.py"):
        text = CALLED_SO.sub("", text)
    return [match.group() for match in PAPERS.finditer(text)]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "jaxedit").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_core_names_no_paper(path):
    """Another paper moves in without an edit to a shared file: none knows the ones there are."""
    assert names_a_paper(path) == []


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
