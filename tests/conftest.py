"""Options and set-up that every test shares."""

import gc
import os
import signal
from pathlib import Path

# Before JAX wakes up: eight virtual devices, so that every sharded path is a real one. Nearly all
# the time of these small programs goes into compiling them: the compiler, in processes that tests
# start too, leaves out what only makes programs fast, and writes its loops in the older of its two
# ways, in a quarter of the time. Parity turns both back on.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")

import pytest  # noqa: E402

from jaxedit.run import sharding  # noqa: E402
from tests import memory  # noqa: E402
from tests.parity import golden  # noqa: E402

# The files that take longest, from the longest on: with `-n` they start first, so that no worker
# is left with one of them when the other has nothing more to do.
HEAVY = (
    "methods/sdic/test_chain.py",
    "methods/sims/test_method.py",
    "methods/matting/test_method.py",
    "parity/test_train_step.py",
    "methods/sdic/test_update.py",
    "methods/sdic/test_generator.py",
    "run/test_train.py",
    "run/test_multiprocess.py",
    "parity/test_matting_network.py",
    "parity/test_sdic_inversion.py",
    "methods/iedit/test_autoencoder.py",
    "run/test_export.py",
    "methods/scat/test_method.py",
    "run/test_artifacts.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--goldens",
        metavar="PATH",
        default=None,
        help="folder of golden files (PATH/scat/*.json, ...) instead of tests/parity/goldens",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores Ctrl-C and hands that on; tests of Ctrl-C send real ones.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if getattr(config.option, "dist", "no") == "load":
        # With `-n`, a file stays on one worker, in the order of collection: the tiny runs that
        # its tests share are trained once, and what it compiled can be forgotten after it.
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False
    sharding.enable_compilation_cache()
    # Tracing makes objects by the million that live on: looking through them all, again and again,
    # took a sixteenth of the suite. What dies is collected after each module, see `memory`.
    gc.set_threshold(100_000, 50, 100)
    path = config.getoption("--goldens")
    if path is not None:
        if not Path(path).is_dir():
            raise pytest.UsageError(f"--goldens={path} is not a folder")
        golden.set_folder(Path(path).resolve())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several workers
        rank = {Path(__file__).parent / name: number for number, name in enumerate(HEAVY)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_itemcollected(item: pytest.Item) -> None:
    """`-k scat` finds every test of the paper, those whose names do not say it too."""
    match item.path.relative_to(Path(__file__).parent).parts:
        case "methods", paper, _:
            item.extra_keyword_matches.add(paper)


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Programs of one module are of no use to the next and hold hundreds of megabytes."""
    yield
    memory.forget()
