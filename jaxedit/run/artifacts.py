"""Host stages: a stage that makes an artefact (a memory bank, a data set, a cache), not a network.

Layout under a run directory, on a file system that all processes share:

    artifacts/<stage>/                 the finished files, and manifest.json
    artifacts/<stage>.partial/part-I/  what process I has made so far; the lock stands there too

The finished folder appears at once, by a rename; until then a killed run goes on from the parts.
`manifest.json` (`host/manifests.py`) holds `stage`, `method`, `facts` (what `Method.merge`
returned), `seconds` and the `files`. Later stages get the artefact by `method.create`, by the
starting value `artifact:STAGE:FILE`, and as source of records by `artifact:STAGE`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import pathlib
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxedit import config as config_lib
from jaxedit.data import array_record, sources
from jaxedit.data.sources import Source
from jaxedit.errors import UserError
from jaxedit.host import atomic, json_text, locks, manifests
from jaxedit.layers.convolution import formulation
from jaxedit.method import Method
from jaxedit.report import wording
from jaxedit.run import damage, run_lock, sharding, stages
from jaxedit.run.preemption import Preempted, StopRequest
from jaxedit.state import Artifact, State, among

MANIFEST = manifests.NAME
_PREFIX = f"{sources.ARTIFACT}:"
_TICK = 5.0  # seconds between notes of the time taken


def finished(run_dir: pathlib.Path, stage: str) -> Artifact | None:
    """Returns the artefact of a stage if it is finished; all processes together.

    Nothing of what it was made from is needed any more. Raises like `load`.
    """
    folder = _folder(run_dir, stage)
    found = is_finished(run_dir, stage)
    if jax.process_count() > 1:  # what a shared file system shows may differ for a while
        found = bool(multihost_utils.broadcast_one_to_all(np.array(found)))
    if not found:
        if folder.exists():
            raise UserError(
                f"The artefact {folder} has no {MANIFEST}: nothing says what it should hold. "
                "Put it back from a copy, or remove that folder to have it built again."
            )
        return None
    work = work_folder(folder)
    if sharding.is_first_process() and work.exists():  # of a run killed after the rename
        with contextlib.suppress(UserError, OSError), locks.hold(work, fleeting=True):
            locks.clear(work)
    return load(run_dir, stage)


def is_finished(run_dir: pathlib.Path, stage: str) -> bool:
    """Whether this process sees a finished artefact of a stage."""
    return manifests.is_sealed(_folder(run_dir, stage))


def build(
    run_dir: pathlib.Path,
    stage: str,
    method: Method,
    source: Source,
    start: State,
    stop: StopRequest | None = None,
) -> Artifact:
    """Returns the artefact of a stage, made now, or gone on with where an earlier start ended.

    Args:
      run_dir: the run directory.
      stage: the stage's name.
      method: builds and merges.
      source: the stage's training records.
      start: what `Method.build` starts from.
      stop: asked between two pieces, where there is one process; several go on until they are
        killed, which loses no more than a piece of each.

    Raises:
      Preempted: the run was asked to stop; the pieces that are done stay.
      UserError: what was found is damaged, or the method cannot build.
    """
    return build_in(_folder(run_dir, stage), method, source, start, stop)


def hold(folder: pathlib.Path) -> contextlib.AbstractContextManager[bool]:
    """Holds an artefact that is built, or cleared away after a failure.

    One process at a time does so, or the processes of one run, which enter together. The lock
    stands in its `work_folder`, of which nothing else stays.

    Args:
      folder: of the artefact; it need not be there.

    Raises:
      UserError: another process holds it, or its place cannot be written to.
    """
    return run_lock.hold(work_folder(folder.resolve()), "another output", fleeting=True)


def build_in(
    folder: pathlib.Path,
    method: Method,
    source: Source,
    start: State,
    stop: StopRequest | None = None,
) -> Artifact:
    """Does what `build` does in any folder; its name is what the stage is called.

    Raises:
      UserError: as `build` and `hold`, or the folder is there already.
    """
    with hold(folder):
        atomic.check_new(folder)  # another process may have made it since the caller's look
        return _build_in(folder, method, source, start, stop)


def _build_in(
    folder: pathlib.Path,
    method: Method,
    source: Source,
    start: State,
    stop: StopRequest | None,
) -> Artifact:
    stage = folder.name
    work, index, count = work_folder(folder), jax.process_index(), jax.process_count()
    if sharding.is_first_process():
        _prepare(work, _identity(method, count, source))
    sharding.barrier(f"build_{stage}")
    part = work / f"part-{index}"
    part.mkdir(exist_ok=True)
    resumed = any(part.iterdir())
    atomic.remove_leftovers(part, alone=True)  # of a writer that was killed, on any machine
    clock = _Clock(work / "seconds", stage)
    # Around the loop, since a generator's body runs in the context of whoever asks for more.
    with formulation.preferring(method.convolution), _understood(work, resumed):
        shares = method.build(source, part, start, process_index=index, process_count=count)
        for share in shares or ():
            clock.tick(share)
            if stop is not None and stop.asked:
                clock.note()
                stop.end(f"{stage} is {share:.0%} built, kept in {work}")
    clock.note()
    sharding.barrier(f"built_{stage}")
    if sharding.is_first_process():
        with _understood(work, resumed):
            _finish(work, folder, stage, method, count, clock.seconds)
    sharding.barrier(f"finished_{stage}")
    return verified(folder)


def load(run_dir: pathlib.Path, stage: str) -> Artifact:
    """Returns the finished artefact of a stage; every file is compared with the manifest.

    Raises:
      UserError: it is not finished, damaged, or cannot be read just now.
    """
    folder = _folder(run_dir, stage)
    if not manifests.is_sealed(folder):
        raise UserError(
            f"{run_dir} holds no artefact of stage {stage!r}: start the command that trains the "
            "run again, which builds it."
        )
    return verified(folder)


def of_stages(run_dir: pathlib.Path, stages: Iterable[str]) -> dict[str, Artifact]:
    """Returns stage -> finished artefact; raises like `load`."""
    return {stage: load(run_dir, stage) for stage in stages}


def with_sources(
    config: config_lib.ConfigDict, artifacts: Mapping[str, Artifact]
) -> config_lib.ConfigDict:
    """Returns a stage's configuration with `artifact:STAGE[:FOLDER]` turned into where that is.

    An artefact, or a folder in it, is a source of records if it holds the shards of an
    `array_record` source or the `images/` of a `folder` source.

    Raises:
      UserError: there is no such artefact, or it holds no records.
    """

    def resolved(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple(resolved(one) for one in value)
        if isinstance(value, str) and _PREFIX in value:
            found = [
                dataclasses.replace(part, name=_source(part.name, artifacts))
                if part.name.startswith(_PREFIX) else part
                for part in sources.parts(value)
            ]
            return "+".join(map(str, found))
        return value

    found = config.copy_and_resolve_references()
    with found.unlocked(), found.ignore_type():
        for key, value in config_lib.flatten(config).items():
            group, _, rest = key.partition(".")
            if group == "stages" or resolved(value) == value:
                continue
            node = found
            *groups, last = key.split(".")
            for name in groups:
                node = node[name]
            node[last] = resolved(value)
    return found.lock()


def _source(value: str, artifacts: Mapping[str, Artifact]) -> str:
    stage, _, inside = value.removeprefix(_PREFIX).partition(":")
    folder = among(artifacts, stage, _PREFIX + stage).folder / inside
    if (folder / array_record.INDEX).is_file():
        return f"array_record:{folder}"
    if (folder / "images").is_dir():
        return f"folder:{folder}"
    raise UserError(
        f"{value} holds no records: {folder} has neither {array_record.INDEX} with its shards nor "
        "a folder images/."
    )


def _folder(run_dir: pathlib.Path, stage: str) -> pathlib.Path:
    return run_dir.resolve() / "artifacts" / stage


def work_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns where the pieces of an artefact stand until it is finished as `folder`."""
    return folder.with_name(folder.name + stages.WORK)


def _identity(method: Method, process_count: int, source: Any) -> dict[str, Any]:
    """Returns what parts must agree in to belong together."""
    text = config_lib.to_json(method.config)
    return {
        "config": hashlib.sha256(text.encode()).hexdigest(), "processes": process_count,
        "source": None if source is None else source.fingerprint(),
    }


def _prepare(work: pathlib.Path, identity: Mapping[str, Any]) -> None:
    """Keeps the parts of an earlier start, but those of another configuration or split."""
    note = work / "build.json"
    try:
        found = json_text.loads(note.read_bytes()) if note.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{note} cannot be read ({damage.first_line(error)}): it says what the pieces beside "
            f"it are of. Put it back from a copy, or remove {work} to have all built anew."
        ) from error
    work.mkdir(parents=True, exist_ok=True)
    if found != identity and not locks.is_empty(work):
        print(
            f"{work} is of another configuration, source or number of processes: built anew.",
            file=sys.stderr, flush=True,
        )
        locks.clear(work)
    atomic.write_text(note, json.dumps(identity))


@contextlib.contextmanager
def _understood(work: pathlib.Path, resumed: bool) -> Iterator[None]:
    """Names the pieces of an earlier start where going on with them fails; they may be damaged."""
    try:
        yield
    except (UserError, Preempted, OSError):
        raise
    except Exception as error:
        if not resumed:
            raise
        raise UserError(
            f"The artefact that an earlier start began in {work} cannot be finished "
            f"({type(error).__name__}: {damage.first_line(error)}): a piece may be damaged. Remove "
            "that folder to have all built anew."
        ) from error


def _finish(
    work: pathlib.Path, folder: pathlib.Path, stage: str, method: Method, count: int,
    seconds: float,
) -> None:
    whole = work / "whole"
    shutil.rmtree(whole, ignore_errors=True)  # of a run that was killed here
    whole.mkdir()
    facts = method.merge([work / f"part-{index}" for index in range(count)], whole)
    manifests.seal(whole, {
        "stage": stage,
        "method": method.config.method,
        "facts": facts,
        "seconds": round(seconds, 1),
    })
    whole.rename(folder)
    with contextlib.suppress(OSError):  # the artefact is finished; `finished` looks again
        locks.clear(work)


def verified(folder: pathlib.Path) -> Artifact:
    """Returns the artefact in a folder that has a manifest; every file is compared with it.

    Raises:
      UserError: it is damaged, or cannot be read just now.
    """
    path = folder / MANIFEST
    return _verified(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _verified(path: pathlib.Path, modified: int) -> Artifact:
    del modified  # part of the key: one process reads every byte once
    folder = path.parent
    try:
        found = damage.retry(lambda: manifests.damages(folder))
        facts = damage.retry(lambda: manifests.about_of(folder)).get("facts")
    except OSError as error:
        raise damage.cannot_read_now(folder, damage.first_line(error)) from error
    if not found and not isinstance(facts, Mapping):
        found = [f"{MANIFEST} is damaged"]
    if found:
        raise UserError(
            f"The artefact in {folder} is damaged: {'; '.join(found[:3])}. Put that folder back "
            "from a copy, or remove it and start the command that made it again, which builds it "
            "anew."
        )
    return Artifact(folder.name, folder, facts)


def _seconds(path: pathlib.Path) -> float:
    """Returns the seconds that earlier starts have noted; says so where they cannot be read."""
    try:
        found = float(path.read_text()) if path.exists() else 0.0
        if math.isfinite(found) and found >= 0:
            return found
        reason = f"it holds {found}"
    except (OSError, ValueError) as error:
        reason = damage.first_line(error)
    print(f"{path} cannot be read ({reason}): the time is counted anew.", file=sys.stderr)
    return 0.0


class _Clock:
    """Says how far a build is, and adds its seconds up over the starts of the run."""

    def __init__(self, path: pathlib.Path, stage: str):
        self._path, self._stage = path, stage
        self._before = _seconds(path)
        self._started = self._noted = time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._started

    def tick(self, share: float) -> None:
        """Takes note of the share done, now and then."""
        if time.monotonic() - self._noted > _TICK:
            self._noted = time.monotonic()
            self.note()
            if sharding.is_first_process():
                seconds = wording.duration(self.seconds)
                print(f"{self._stage}: {share:.0%} built in {seconds}", file=sys.stderr, flush=True)

    def note(self) -> None:
        """Puts the seconds so far on disk."""
        if sharding.is_first_process():
            atomic.write_text(self._path, str(self.seconds))
