"""Options and set-up that every test shares."""

from pathlib import Path

import pytest

from tests.parity import golden


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--goldens",
        metavar="PATH",
        default=None,
        help="folder of golden files (PATH/scat/*.json, ...) instead of tests/parity/goldens",
    )


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--goldens")
    if path is not None:
        if not Path(path).is_dir():
            raise pytest.UsageError(f"--goldens={path} is not a folder")
        golden.set_folder(Path(path).resolve())
