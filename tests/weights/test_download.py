"""Downloads from a real server: whole, broken off, gone on with, wrong, absent."""

import dataclasses
import hashlib
import socket

import pytest

from jaxedit.errors import UserError
from jaxedit.weights import download
from jaxedit.weights.entry import File
from tests.weights.server import serving

DATA = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "WAITS", (0, 0))
    with serving() as running:
        running.files["a/weights.pt"] = DATA
        yield running


@pytest.fixture
def file(server):
    return File(server.address("a/weights.pt"), "a/w.pt", hashlib.sha256(DATA).hexdigest(),
                bytes=len(DATA))


def fetch(file, folder):
    told = []
    path = download.fetch(file, folder, told.append)
    assert path == folder / file.path and path.read_bytes() == DATA
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return told


def test_a_file_is_fetched_once(server, file, tmp_path, capsys):
    assert fetch(file, tmp_path) == []
    assert "w.pt: 100%" in capsys.readouterr().err
    fetch(file, tmp_path)
    assert server.requests == [("a/weights.pt", None)]
    (tmp_path / "a/w.pt").write_bytes(DATA[:-1] + b"x")  # damaged since
    fetch(file, tmp_path)
    assert len(server.requests) == 2


def test_a_connection_that_breaks_off_is_gone_on_with(server, file, tmp_path):
    server.plans = [{"stop": 700_000}, {"status": 503}, {"stop": 1_300_000}]
    told = fetch(file, tmp_path)
    assert "the connection broke off; trying again" in told[0] and "503" in told[1]
    starts = [int(wanted[6:-1]) for _, wanted in server.requests[1:]]
    assert 0 < starts[0] == starts[1] < starts[2] < len(DATA)


def test_a_later_command_goes_on_where_the_first_stopped(server, file, tmp_path):
    server.plans = [{"stop": 900_000}] + [{"status": 500}] * 3
    with pytest.raises(UserError, match=r"server answered 500.*goes on from the ([\d,]+) bytes"):
        download.fetch(file, tmp_path, print)
    kept = (tmp_path / "a/w.pt.part").stat().st_size
    assert 500_000 < kept <= 900_000 and not (tmp_path / "a/w.pt").exists()
    fetch(file, tmp_path)
    assert server.requests[-1][1] == f"bytes={kept}-"


@pytest.mark.parametrize(
    ("tags", "ranges", "digest"), [(True, True, False), (False, True, False), (True, False, True)],
    ids=["changed since", "nothing tells", "no ranges"],
)
def test_what_cannot_be_trusted_starts_anew(server, file, tmp_path, tags, ranges, digest):
    """A changed file, one that nothing identifies, and a server that knows no ranges."""
    server.tags, server.ranges = tags, ranges
    if not digest:
        file = dataclasses.replace(file, sha256=None)
    if tags and ranges:
        server.files["a/weights.pt"] = DATA[::-1]
    server.plans = [{"stop": 900_000}] + [{"status": 500}] * 3
    with pytest.raises(UserError):
        download.fetch(file, tmp_path, print)
    server.files["a/weights.pt"] = DATA
    fetch(file, tmp_path)


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ([{"status": 404}], r"answered 404 \(Not Found\). The file may have moved"),
        ([{"status": 403}], r"answered 403 \(Forbidden\): a person has to sign in"),
        ([{"type": "text/html; charset=utf-8"}], "sent a web page in place of the file"),
        ([{"stop": 0}] * 9, r"cannot be downloaded: the connection broke off.*again\.$"),
    ],
)
def test_answers_that_are_no_file(server, file, tmp_path, plans, message):
    server.plans = list(plans)
    with pytest.raises(UserError, match=message):
        download.fetch(file, tmp_path, print)
    assert not (tmp_path / "a/w.pt").exists()
    assert len(server.requests) == (1 if len(plans) == 1 else 3)  # only passing errors: again


def test_another_file_of_the_same_size_and_of_another_size(server, file, tmp_path):
    server.files["a/weights.pt"] = DATA[:-1] + b"x"
    with pytest.raises(UserError, match=f"its SHA-256 is not {file.sha256}. It was removed"):
        download.fetch(file, tmp_path, print)
    server.files["a/weights.pt"] = DATA + b"x"
    with pytest.raises(UserError, match="it has 2,097,153 bytes, the published one 2,097,152"):
        download.fetch(file, tmp_path, print)
    assert list((tmp_path / "a").iterdir()) == []


def test_no_connection_at_all(file, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/w.pt"
    with pytest.raises(UserError, match="the server refused the connection. Check the connection"):
        download.fetch(dataclasses.replace(file, address=address), tmp_path, print)
    gone = dataclasses.replace(file, address="http://nowhere.invalid/w.pt")
    with pytest.raises(UserError, match="cannot be resolved: this machine seems to be offline"):
        download.fetch(gone, tmp_path, print)


def test_a_proxy_is_used(server, file, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.address(""))
    monkeypatch.setenv("http_proxy", server.address(""))
    fetch(dataclasses.replace(file, address="http://nowhere.invalid/a/weights.pt"), tmp_path)
    assert server.requests == [("a/weights.pt", None)]


def test_a_folder_that_cannot_be_made(file, tmp_path):
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written.*JAXEDIT_WEIGHTS"):
        download.fetch(file, tmp_path, print)
