"""Batches: order, augmentation, sharing over processes, state, workers, bad records."""

import os
import pathlib
import subprocess
import sys
import textwrap

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jaxedit
from jaxedit.data import pipeline, sources
from jaxedit.errors import UserError
from tests.data import folders


class Numbers(sources.Source):
    """Records whose image is their number; some are bad."""

    def __init__(self, count=20, bad=(), max_bad_share=0.9):
        super().__init__("numbers", max_bad_share)
        self.count = count
        self.bad = bad

    def __len__(self):
        return self.count

    def name(self, index):
        return f"number {index}"

    def _read(self, index):
        if index in self.bad:
            raise UserError(f"number {index} is broken")
        return {"id": f"n{index}", "image": np.full((2, 2, 3), index, np.uint8)}


def transform(record, rng):
    """Keeps the number and shows the randomness."""
    return {"number": np.int32(record["image"][0, 0, 0]), "noise": rng.random(3)}


def evaluation_transform(record, rng):
    return {**transform(record, rng), "index": np.int32(record["index"])}


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], two[key])


class TestTraining:
    def test_every_epoch_shows_every_record_once_in_a_new_order(self):
        iterator = pipeline.train_iterator(Numbers(20), transform, 4, seed=0)
        epochs = [np.concatenate([b["number"] for b in take(iterator, 5)]) for _ in range(3)]
        for epoch in epochs:
            assert sorted(epoch) == list(range(20))
        assert len({tuple(epoch) for epoch in epochs}) == 3

    def test_records_carry_their_number(self):
        source = Numbers(20, bad={4})
        iterator = pipeline.train_iterator(source, evaluation_transform, 4, seed=0)
        for batch in take(iterator, 5):
            # The record after a bad one takes its place, under the number of that place.
            numbers = np.where(batch["index"] == 4, 5, batch["index"])
            np.testing.assert_array_equal(batch["number"], numbers)

    def test_augmentation_differs_from_epoch_to_epoch(self):
        iterator = pipeline.train_iterator(Numbers(4), transform, 4, seed=0)
        noises = np.concatenate([batch["noise"] for batch in take(iterator, 5)])
        assert len(np.unique(noises[:, 0])) == 20

    @pytest.mark.parametrize("threads", [0, 1, 3])
    def test_threads_change_nothing(self, threads):
        found = take(pipeline.train_iterator(Numbers(), transform, 4, 7, threads=threads), 12)
        assert_equal(found, take(pipeline.train_iterator(Numbers(), transform, 4, 7), 12))

    def test_another_seed_gives_other_batches(self):
        first = take(pipeline.train_iterator(Numbers(), transform, 4, 1), 3)
        second = take(pipeline.train_iterator(Numbers(), transform, 4, 2), 3)
        assert not np.array_equal(first[0]["noise"], second[0]["noise"])

    @pytest.mark.parametrize("processes", [2, 4])
    def test_processes_together_see_what_one_would_have_seen(self, processes):
        # 18 records and batches of 8: epochs end inside a batch.
        whole = take(pipeline.train_iterator(Numbers(18), transform, 8, 3), 9)
        parts = [
            take(
                pipeline.train_iterator(
                    Numbers(18), transform, 8, 3, process_index=index, process_count=processes
                ),
                9,
            )
            for index in range(processes)
        ]
        for step, batch in enumerate(whole):
            for key in batch:
                together = np.stack([part[step][key] for part in parts], axis=1)
                np.testing.assert_array_equal(together.reshape(batch[key].shape), batch[key])

    def test_the_state_restores_mid_stream(self):
        iterator = pipeline.train_iterator(Numbers(), transform, 4, 5)
        take(iterator, 7)
        state = iterator.get_state()
        expected = take(iterator, 8)
        fresh = pipeline.train_iterator(Numbers(), transform, 4, 5, threads=1)
        fresh.set_state(state)
        assert_equal(take(fresh, 8), expected)
        iterator.set_state(state)
        assert_equal(take(iterator, 8), expected)

    def test_the_state_goes_through_orbax(self, tmp_path):
        iterator = pipeline.train_iterator(Numbers(), transform, 4, 5)
        take(iterator, 3)
        with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
            manager.save(3, args=ocp.args.Composite(data=grain.checkpoint.CheckpointSave(iterator)))
        expected = take(iterator, 6)
        fresh = pipeline.train_iterator(Numbers(), transform, 4, 5)
        with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
            manager.restore(
                3, args=ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(fresh))
            )
        assert_equal(take(fresh, 6), expected)

    def test_batches_larger_than_the_source(self):
        batch = next(pipeline.train_iterator(Numbers(3), transform, 8, 0))
        assert np.bincount(batch["number"], minlength=3).tolist() in (
            [3, 3, 2], [3, 2, 3], [2, 3, 3],
        )  # fmt: skip

    def test_bad_records_are_replaced_always_alike(self):
        source = Numbers(20, bad={4, 5})
        found = take(pipeline.train_iterator(source, transform, 5, 0), 8)
        assert_equal(found, take(pipeline.train_iterator(Numbers(20, {4, 5}), transform, 5, 0), 8))
        numbers = np.concatenate([batch["number"] for batch in found])
        assert not {4, 5} & set(numbers) and len(source.skipped) == 2

    def test_too_many_bad_records_reach_the_caller(self):
        source = Numbers(20, bad=set(range(0, 20, 2)), max_bad_share=0.1)
        with pytest.raises(UserError, match="of 20 records cannot be read"):
            take(pipeline.train_iterator(source, transform, 5, 0), 4)

    def test_errors_of_a_transform_name_the_record(self):
        def fails(record, rng):
            if record["id"] == "n3":
                return 1 / 0
            return transform(record, rng)

        with pytest.raises(pipeline.TransformError, match="record 'n3': ZeroDivisionError"):
            take(pipeline.train_iterator(Numbers(), fails, 5, 0), 4)

        def refuses(record, rng):
            raise UserError("wrong size")

        with pytest.raises(UserError, match="Record 'n[0-9]+': wrong size"):
            next(pipeline.train_iterator(Numbers(), refuses, 5, 0))

    def test_numbers_that_do_not_fit_are_named(self):
        with pytest.raises(UserError, match="batch of 6 .* 4 process"):
            pipeline.train_iterator(Numbers(), transform, 6, 0, process_count=4)
        with pytest.raises(UserError, match="seed is -1"):
            pipeline.train_iterator(Numbers(), transform, 6, -1)


class TestEvaluation:
    def run(self, source, batch_size=8, **options):
        return list(pipeline.eval_batches(source, evaluation_transform, batch_size, 0, **options))

    def test_every_record_once_in_order(self):
        batches = self.run(Numbers(20))
        assert [batch["number"].shape for batch in batches] == [(8,)] * 3
        valid = np.concatenate([batch["valid"] for batch in batches])
        assert valid.dtype == bool and valid.tolist() == [True] * 20 + [False] * 4
        names = [name for batch in batches for name in batch["id"]]
        assert names == [f"n{number}" for number in range(20)] + [""] * 4
        numbers = np.concatenate([batch["number"] for batch in batches])[valid]
        assert numbers.tolist() == list(range(20))
        index = np.concatenate([batch["index"] for batch in batches])[valid]
        assert index.tolist() == list(range(20))

    @pytest.mark.parametrize("threads", [0, 1, 4])
    def test_deterministic_and_independent_of_the_batch_size(self, threads):
        first = self.run(Numbers(11), 4, threads=threads)
        second = self.run(Numbers(11), 3)
        noises = [np.concatenate([b["noise"][b["valid"]] for b in run]) for run in (first, second)]
        np.testing.assert_array_equal(*noises)
        assert len(np.unique(noises[0][:, 0])) == 11

    @pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 17])
    def test_processes_share_the_rows_in_equally_many_batches(self, count):
        whole = self.run(Numbers(count), 8)
        parts = [
            self.run(Numbers(count), 8, process_index=index, process_count=4) for index in range(4)
        ]
        assert {len(part) for part in parts} == {len(whole)}
        for step, batch in enumerate(whole):
            shared = {
                key: np.stack([part[step][key] for part in parts], axis=1).reshape(batch[key].shape)
                for key in batch
            }
            np.testing.assert_array_equal(shared["valid"], batch["valid"])
            np.testing.assert_array_equal(shared["id"], batch["id"])
            for key in ("number", "noise", "index"):
                np.testing.assert_array_equal(
                    shared[key][batch["valid"]], batch[key][batch["valid"]]
                )

    def test_limit(self):
        batches = self.run(Numbers(20), 8, limit=5)
        assert len(batches) == 1 and batches[0]["valid"].sum() == 5
        assert len(self.run(Numbers(20), 8, limit=500)) == 3
        with pytest.raises(UserError, match="nothing to evaluate"):
            self.run(Numbers(20), 8, limit=0)

    def test_bad_records_are_left_out_not_replaced(self):
        source = Numbers(10, bad={0, 1, 2, 3, 9})
        batches = self.run(source, 4)
        valid = np.concatenate([batch["valid"] for batch in batches])
        numbers = np.concatenate([batch["number"] for batch in batches])
        assert numbers[valid].tolist() == [4, 5, 6, 7, 8]
        assert len(source.skipped) == 5
        with pytest.raises(UserError, match="not one record"):
            self.run(Numbers(3, bad={0, 1, 2}, max_bad_share=1.0), 4)

    def test_errors_of_a_transform_name_the_record(self):
        def fails(record, rng):
            raise ValueError("no")

        with pytest.raises(pipeline.TransformError, match="record 'n0': ValueError: no"):
            next(pipeline.eval_batches(Numbers(), fails, 4, 0))

    def test_may_be_left_early(self):
        batches = pipeline.eval_batches(Numbers(200), evaluation_transform, 4, 0)
        assert next(batches)["valid"].all()
        batches.close()


WORKERS = """
    import sys
    import numpy as np

    class Recorder:
        # Notes every attempt to import what jaxedit must do without.
        found = []

        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("tensorflow", "torch"):
                self.found.append(name)

    sys.meta_path.insert(0, Recorder())

    from jaxedit.data import mask_files, pipeline, sources, transforms

    class Transform:
        def __init__(self):
            self.masks = mask_files.create("random", 16, 16)

        def __call__(self, record, rng):
            image = transforms.random_resized_crop(record["image"], 16, 16, rng)
            return {"image": transforms.to_unit_range(image), "mask": self.masks(rng)}

    def main(path):
        for name in (f"folder:{path}", "photos"):
            source = sources.create(name, "train")
            options = dict(batch_size=4, seed=1)
            inside = pipeline.train_iterator(source, Transform(), **options)
            outside = pipeline.train_iterator(source, Transform(), **options, workers=2)
            for step in range(4):
                one, two = next(inside), next(outside)
                assert one.keys() == two.keys()
                assert all(np.array_equal(one[key], two[key]) for key in one), step
            state = outside.get_state()
            expected = next(outside)
            fresh = pipeline.train_iterator(source, Transform(), **options, workers=2)
            fresh.set_state(state)
            found = next(fresh)
            assert all(np.array_equal(expected[key], found[key]) for key in found)
        from absl import flags
        assert flags.FLAGS.is_parsed()
        loaded = [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "torch")]
        print("TRIED", Recorder.found, "LOADED", loaded)

    if __name__ == "__main__":
        main(sys.argv[1])
"""


def test_worker_processes_outside_absl_and_without_tensorflow(tmp_path):
    root = folders.write(tmp_path / "folder", 12)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(WORKERS))
    importable = os.pathsep.join(
        [str(pathlib.Path(jaxedit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    done = subprocess.run(
        [sys.executable, script, root],
        env={**os.environ, "PYTHONPATH": importable},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "TRIED [] LOADED []" in done.stdout
    assert "leaked" not in done.stderr


def test_a_worker_that_was_killed_is_one_message():
    def batches(text):
        raise RuntimeError(text)
        yield

    with pytest.raises(UserError, match=r"data worker ended.*\(exit code -9\).*data\.workers=0"):
        pipeline.following(batches("Worker process was terminated unexpectedly with exit code -9."))
    with pytest.raises(RuntimeError, match="another"):
        pipeline.following(batches("another"))
