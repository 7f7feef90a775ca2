"""Options and set-up that every test shares."""

import os
from pathlib import Path

# Before JAX wakes up: eight virtual devices, so that every sharded path is a real one.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest  # noqa: E402

from jaxedit.run import sharding  # noqa: E402
from tests.parity import golden  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--goldens",
        metavar="PATH",
        default=None,
        help="folder of golden files (PATH/scat/*.json, ...) instead of tests/parity/goldens",
    )


def pytest_configure(config: pytest.Config) -> None:
    sharding.enable_compilation_cache()
    path = config.getoption("--goldens")
    if path is not None:
        if not Path(path).is_dir():
            raise pytest.UsageError(f"--goldens={path} is not a folder")
        golden.set_folder(Path(path).resolve())
