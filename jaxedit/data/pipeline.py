"""From a source of records to batches: Grain for training, a plain ordered pass for evaluation.

Both are deterministic functions of (source, transform, seed), whatever the number of processes,
threads or workers: what N processes see together in one step is what one process would have seen.
Batches are dicts of NumPy arrays with the batch as the first axis.
"""

from __future__ import annotations

import atexit
import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grain
import numpy as np
from absl import flags

from jaxedit.data import skipped, sources
from jaxedit.data.sources import BadRecord, Record, Source
from jaxedit.errors import UserError
from jaxedit.host import parent

Sample = Mapping[str, Any]
Transform = Callable[[Record, np.random.Generator], Sample]
Batch = dict[str, Any]
# Where records and batches carry what was skipped on their way: no name that a sample could have.
_NOTE = "what was skipped"


class TransformError(RuntimeError):
    """A transform failed on one record, which the message names."""


@dataclasses.dataclass(frozen=True)
class _Named:
    """A transform whose errors name the record that they arose from."""

    transform: Transform

    def __call__(self, record: Record, rng: np.random.Generator) -> Sample:
        try:
            return self.transform(record, rng)
        except UserError as error:
            raise UserError(f"Record {record.get('id')!r}: {error}") from error
        except Exception as error:
            raise TransformError(
                f"The transform failed on record {record.get('id')!r}: "
                f"{type(error).__name__}: {error}"
            ) from error


@dataclasses.dataclass(frozen=True)
class _Noted:
    """A transform whose samples say what was skipped in making them, the record's reading too."""

    transform: _Named

    def __call__(self, record: Record, rng: np.random.Generator) -> Sample:
        record = dict(record)
        met = record.pop(_NOTE)
        with skipped.noting() as found:
            sample = self.transform(record, rng)
        skipped.add(met, found)
        # Text, since its length differs: arrays of one shape are all that a batch is made of.
        return {**sample, _NOTE: np.array(json.dumps(met) if met else "")}


@dataclasses.dataclass(frozen=True)
class _Handed:
    """Takes the notes from a batch that is handed out, and adds them up.

    Attributes:
      opened: the sources that batches are made of.
      total: where to.
      copied: the batch lies in memory shared with a worker and is copied, to release that at once.
    """

    opened: tuple[Source, ...]
    total: skipped.Skipped
    copied: bool

    def __call__(self, batch: Batch) -> Batch:
        notes = batch[_NOTE]
        for text in filter(None, notes.tolist()):
            found = json.loads(text)
            skipped.count(self.opened, found)
            skipped.add(self.total, found)
        rest = {key: value for key, value in batch.items() if key != _NOTE}
        return {key: np.array(value) for key, value in rest.items()} if self.copied else rest


@dataclasses.dataclass(frozen=True)
class _Numbered:
    """A source whose records carry their number as `index`, and what was skipped for them."""

    source: Source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Record:
        # A bad record is replaced by another, but the number stays that of its place.
        with skipped.noting() as found:
            record = self.source[index]
        return {**record, "index": int(index), _NOTE: found}


def train_iterator(
    source: Source,
    transform: Transform,
    batch_size: int,
    seed: int,
    *,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = 2,
    workers: int = 0,
    prefetch: int = 4,
    total: skipped.Skipped | None = None,
) -> grain.DatasetIterator:
    """Returns an endless iterator over training batches, shuffled anew in every epoch.

    Its position is `iterator.get_state()` / `set_state()`, which `grain.checkpoint.CheckpointSave`
    and `CheckpointRestore` store with Orbax; a restored iterator yields exactly what the first
    would have yielded next, random augmentation included.

    To each record, `index` (its number) is added before the transform.

    Args:
      source: where records come from.
      transform: from (record, generator) to a sample: a dict of arrays of fixed shapes.
      batch_size: samples per step over all processes.
      seed: of the order and of the augmentation; 0 <= seed < 2**32.
      process_index: which of the processes this is.
      process_count: of how many; batches hold `batch_size / process_count` samples.
      threads: that make batches ahead in this process; 0 makes them when they are asked for.
      workers: worker processes to use instead; for transforms that hold Python's lock. The calling
        script then needs an `if __name__ == "__main__"` guard.
      prefetch: batches made ahead (by each worker).
      total: is added what was skipped in making the batches that were handed out; what workers
        skipped is counted in `source` too, and in the further ones of `transform`.

    Raises:
      UserError: the numbers do not fit together.
    """
    local = _local_batch_size(batch_size, process_count)
    _check_seed(seed)
    dataset = (
        grain.MapDataset.source(_Numbered(source))
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(_Noted(_Named(transform)))
        # After the augmentation, whose randomness thus belongs to the sample's place in the whole
        # stream and not to the process that happens to make it.
        .slice(slice(process_index, None, process_count))
        .batch(local, drop_remainder=True)
    )
    if workers:
        batches = _with_workers(dataset, workers, prefetch)
    else:
        batches = dataset.to_iter_dataset(_read_options(threads, prefetch))
    opened = (source, *sources.open_all(transform))
    total = {} if total is None else total
    with _starting(workers):  # in threads that begin here
        iterator = iter(batches.map(_Handed(opened, total, copied=workers > 0)))
    # Threads and workers that outlive the interpreter's modules die noisily.
    atexit.register(_close, weakref.ref(iterator))
    return iterator


def resume(batches: grain.DatasetIterator, position: Any, workers: int = 0) -> None:
    """Puts an iterator of `workers` worker processes where it was."""
    with _starting(workers):
        batches.set_state(position)


def following(batches: Iterator[Batch], workers: int = 0) -> Batch:
    """Returns the next batch of an iterator of `workers` worker processes.

    Each worker starts when its first batch is asked for. A signal that comes meanwhile is answered
    when the batch is there.

    Raises:
      UserError: a worker process was ended from outside, for example for want of memory.
    """
    try:
        with _starting(workers):
            return next(batches)
    except RuntimeError as error:
        if "Worker process was terminated" not in str(error):
            raise
        code = re.search(r"exit code (-?\d+)", str(error))
        raise UserError(
            f"A data worker ended unexpectedly (exit code {code[1] if code else 'unknown'}); -9 "
            "often means that memory ran out: fewer data.workers, a smaller data.prefetch or "
            "data.workers=0 need less. Start the same command again to go on from the last "
            "checkpoint."
        ) from error


def _starting(workers: int) -> contextlib.AbstractContextManager:
    return parent.starting_workers() if workers else contextlib.nullcontext()


def _with_workers(dataset: grain.MapDataset, workers: int, prefetch: int) -> grain.IterDataset:
    if not flags.FLAGS.is_parsed():
        # Grain reads its debug flags when it starts a worker, which absl forbids before parsing.
        flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=max(1, prefetch))
    prepare = functools.partial(parent.start_worker, os.getpid())
    return dataset.to_iter_dataset(_read_options(1, 1)).mp_prefetch(options, prepare)


def _close(reference: weakref.ref) -> None:
    iterator = reference()
    if iterator is not None:
        iterator.close()


def _read_options(threads: int, prefetch: int) -> grain.ReadOptions:
    if threads == 0:
        return grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(prefetch, threads))


def eval_batches(
    source: Source,
    transform: Transform,
    batch_size: int,
    seed: int,
    *,
    process_index: int = 0,
    process_count: int = 1,
    limit: int | None = None,
    threads: int = 2,
) -> Iterator[Batch]:
    """Yields every record once, in order, in batches of one size.

    To each record, `index` (its number) is added before the transform, whose generator depends on
    (seed, index) alone. To each batch come

    - `valid`, bool (B,): False for rows that fill up the last batch and for records that could
      not be read (the source counts them); such rows repeat another sample,
    - `id`, object (B,): the records' ids; empty where `valid` is False.

    All processes get equally many batches, also where the records run out earlier for some.

    Args:
      source: where records come from.
      transform: from (record, generator) to a sample: a dict of arrays of fixed shapes.
      batch_size: rows per step over all processes.
      seed: of the transform's randomness, such as masks.
      process_index: which of the processes this is; it gets rows `process_index`,
        `process_index + process_count`, ... of each batch.
      process_count: of how many; batches hold `batch_size / process_count` rows.
      limit: stop after this many records; None takes all.
      threads: that prepare records ahead; 0 prepares them when they are asked for.

    Raises:
      UserError: the numbers do not fit together, or no record can be read.
    """
    local = _local_batch_size(batch_size, process_count)
    _check_seed(seed)
    total = len(source) if limit is None else min(limit, len(source))
    if total < 1:
        raise UserError(f"{source.description}: nothing to evaluate (limit {limit}).")
    rows = [
        start + row
        for start in range(0, total, batch_size)
        for row in range(process_index, batch_size, process_count)
    ]
    transform = _Named(transform)

    def sample(index: int) -> Sample | None:
        """Returns the sample of record `index`; None past the end or where it is bad."""
        if index >= total:
            return None
        try:
            record = source.read(index)
        except BadRecord:
            return None
        made = transform({**record, "index": index}, np.random.default_rng([seed, index]))
        return {**made, "id": record["id"]}

    filler = None
    pending = []
    for made in _in_order(sample, rows, threads, ahead=2 * local):
        pending.append(made)
        if len(pending) < local:
            continue
        filler = next((row for row in pending if row is not None), filler)
        if filler is None:
            filler = _first_sample(sample, total, source)
        yield _stack(pending, filler)
        pending = []


def _in_order(
    function: Callable[[int], Any], arguments: list[int], threads: int, ahead: int
) -> Iterator[Any]:
    """Yields `function` of each argument in turn, computed up to `ahead` places in advance."""
    if threads == 0:
        yield from map(function, arguments)
        return
    with concurrent.futures.ThreadPoolExecutor(threads, "jaxedit-eval") as pool:
        waiting: collections.deque = collections.deque()
        try:
            for argument in arguments:
                waiting.append(pool.submit(function, argument))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _first_sample(sample: Callable[[int], Sample | None], total: int, source: Source) -> Sample:
    """Returns any sample, for a process whose first batch has no row of its own."""
    for index in range(total):
        made = sample(index)
        if made is not None:
            return made
    raise UserError(f"{source.description}: not one record can be read.")


def _stack(rows: list[Sample | None], filler: Sample) -> Batch:
    valid = np.array([row is not None for row in rows])
    filled = [filler if row is None else row for row in rows]
    batch: Batch = {
        key: np.stack([np.asarray(row[key]) for row in filled]) for key in filler if key != "id"
    }
    ids = ["" if row is None else row["id"] for row in rows]
    return {**batch, "valid": valid, "id": np.array(ids, dtype=object)}


def _local_batch_size(batch_size: int, process_count: int) -> int:
    if batch_size < 1 or batch_size % process_count:
        raise UserError(
            f"A batch of {batch_size} samples cannot be shared evenly by {process_count} "
            "process(es). Choose a multiple."
        )
    return batch_size // process_count


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"The seed is {seed}; it must lie in [0, 2**32).")
