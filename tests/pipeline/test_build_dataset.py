"""The pipeline as an engine may run it: bundles repeated, iterables that can be read once more only, rows through the shuffle."""

import dataclasses
import hashlib
import time
from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.worker.data_plane import ClosableOutputStream
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment

from retrolabel.pipelines.build import BuildDataset
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner, in_process_runner
from retrolabel.transforms import compare, exchange
from retrolabel.transforms.dataset import read_day_manifest, read_version
from tests.support.messy import DAY, write_logs


def build(folder, runner=None, **changes) -> dict[str, str]:
    """Builds the messy day with a changed plan; returns the digest of every file of the dataset."""
    project = check_project(str(folder / "shoes.yaml"))
    plan, inputs = plan_build(project, DAY.date(), {}, in_process=True)
    plan = dataclasses.replace(plan, **{"root": str(folder / "out"), "shards": 4, **changes})
    with beam.Pipeline(runner=runner or choose_runner([]).runner) as pipeline:
        _ = pipeline | BuildDataset(plan, inputs)
    return {
        str(path.relative_to(folder / "out")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "out").rglob("*")
        if path.is_file() and "_tmp" not in path.parts
    }


@pytest.fixture(scope="module")
def by_reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    write_logs(folder, seed=3, predictions=200)
    return build(folder, spill=str(folder / "spill"))


def logs(tmp_path):
    write_logs(tmp_path, seed=3, predictions=200)
    return tmp_path


def test_rows_through_the_shuffle_give_the_bytes_of_references_to_spilled_ones(tmp_path, by_reference, monkeypatch):
    monkeypatch.setattr(exchange, "FLUSH_BYTES", 2000)
    assert build(logs(tmp_path), spill=None) == by_reference
    assert sum(name.endswith(".parquet") for name in by_reference) > 4


def test_more_shards_than_groups_give_one_answer(tmp_path):
    """Their statistics are merged in two steps, in one order."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    runner = fn_runner.FnApiRunner(use_state_iterables=True)
    by_reference = build(logs(tmp_path / "a"), shards=64, spill=str(tmp_path / "spill"))
    assert build(logs(tmp_path / "b"), runner, shards=64, spill=None) == by_reference
    assert any("statistics-" in name for name in by_reference)


def test_a_terabyte_is_told_to_an_engine_by_its_files(tmp_path):
    """Not by the 120,000 stretches that its workers will cut it into, which an engine would take in one message."""
    project = check_project(str(logs(tmp_path) / "shoes.yaml"))
    plan, inputs = plan_build(project, DAY.date(), {}, in_process=False)
    day = [
        inputs[0]._replace(path=f"gs://shop-logs/serving/{number}.log", size=10**9, stop=10**9)
        for number in range(1000)
    ]
    pipeline = beam.Pipeline(runner=choose_runner([]).runner)
    _ = pipeline | BuildDataset(plan, tuple(day))
    assert len(pipeline.to_runner_api().SerializeToString()) < 1_000_000


def test_bundles_that_run_three_times_change_nothing(tmp_path, by_reference):
    runner = in_process_runner(PipelineOptions(["--direct_runner_bundle_repeat=2"]))
    runner._bundle_repeat = 2
    assert build(logs(tmp_path), runner, spill=str(tmp_path / "spill")) == by_reference


def test_grouped_values_need_no_length_and_no_index(tmp_path, by_reference):
    runner = fn_runner.FnApiRunner(use_state_iterables=True)
    assert build(logs(tmp_path), runner, spill=None) == by_reference


def test_grouped_values_are_asked_of_the_engine_by_the_thread_that_may(tmp_path, by_reference, monkeypatch):
    """A worker on its own, which Dataflow tells of a large shard piece by piece, over gRPC, and no pool of threads."""
    monkeypatch.setattr(exchange, "KEPT_BYTES", 2000)
    runner = fn_runner.FnApiRunner(EmbeddedPythonGrpcEnvironment.default(), use_state_iterables=True)
    assert build(logs(tmp_path), runner, spill=None) == by_reference


def test_metrics_of_beam_tell_the_numbers_of_the_manifest(tmp_path):
    project = check_project(str(logs(tmp_path) / "shoes.yaml"))
    plan, inputs = plan_build(project, DAY.date(), {}, in_process=True)
    pipeline = beam.Pipeline(runner=choose_runner([]).runner)
    _ = pipeline | BuildDataset(plan, inputs)
    found = pipeline.run().metrics().query(MetricsFilter().with_namespace("retrolabel"))
    counted = {counter.key.metric.name: counter.committed for counter in found["counters"]}
    manifest = read_day_manifest(plan.root, read_version(plan.root).days[str(DAY.date())])
    for source, counts in manifest.accounting.items():
        assert counted[f"lines_{source}"] == counts.lines
        assert counted[f"rejected_{source}"] == counts.rejected
        assert counted[f"rows_{source}"] == counts.parsed - counts.filtered - counts.out_of_range
        assert counted[f"bytes_{source}"] == sum(file.bytes for file in manifest.inputs if file.source == source)
        assert counted[f"duplicate_{source}"] == counts.duplicate
    assert counted["examples_written"] == manifest.accounting["predictions"].examples
    assert counted["immature_predictions"] == manifest.accounting["predictions"].immature
    parts = {spread.key.metric.name: spread.committed for spread in found["distributions"]}["part_bytes"]
    kinds = ("examples", "rejects")
    assert (parts.count, parts.sum) == (
        sum(part.kind in kinds for part in manifest.files),
        sum(part.bytes for part in manifest.files if part.kind in kinds),
    )


def test_no_rows_travel_pickled(tmp_path):
    """Whatever crosses a shuffle is an integer with bytes: a pickled Arrow slice would carry its whole parent along."""
    project = check_project(str(logs(tmp_path) / "shoes.yaml"))
    plan, inputs = plan_build(project, DAY.date(), {}, in_process=False)
    pipeline = beam.Pipeline()
    _ = pipeline | BuildDataset(plan, inputs)
    grouped: list[str] = []

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            if isinstance(node.transform, beam.GroupByKey):
                (given,) = node.inputs
                grouped.append(str(given.element_type))

    pipeline.visit(Visitor())
    assert len(grouped) >= 4
    assert not [
        found for found in grouped if "Partition" in found or "Part]" in found or "Block" in found or "Any" in found
    ]
    assert sum("bytes" in found for found in grouped) >= 4


def test_the_race_that_drops_buffered_elements_stays_disarmed():
    """With a time limit, Beam's stream clears what was written while it was flushing; the pinned runner sets the limit to 0."""
    in_process_runner(PipelineOptions([]))
    assert worker_handlers.DATA_BUFFER_TIME_LIMIT_MS == 0
    delivered: list[bytes] = []

    def slow(data: bytes) -> None:
        if data:
            time.sleep(0.05)
            delivered.append(data)

    stream = ClosableOutputStream.create(slow, slow, worker_handlers.DATA_BUFFER_TIME_LIMIT_MS)
    for letter in (b"A", b"B", b"C"):
        stream.write(letter * 10)
    stream.close()
    assert b"".join(delivered) == b"A" * 10 + b"B" * 10 + b"C" * 10


@pytest.mark.parametrize("shards", [2, 16])
def test_what_changed_is_compared_on_the_workers_and_as_the_commit_would(tmp_path, monkeypatch, shards):
    def build_twice(name: str, previous: Callable[[str], str | None]) -> dict[str, object]:
        folder = tmp_path / name
        write_logs(folder, seed=3, predictions=200)
        build(folder, spill=str(folder / "spill"))
        clicks = (folder / "logs/clicks/c.log").read_text().splitlines()
        (folder / "logs/clicks/c.log").write_text("\n".join(clicks[: len(clicks) // 2] + clicks[-1:]))
        first = read_version(str(folder / "out")).days[str(DAY.date())]
        build(folder, spill=str(folder / "spill"), build="b" * 16, shards=shards, previous=previous(first))
        record = read_version(str(folder / "out"))
        assert record.version == 2
        assert record.changes is not None
        return dict(record.changes)

    by_commit = build_twice("by_commit", lambda first: None)
    assert by_commit["labels"]["clicked"]["changed"] > 0
    assert (
        build_twice("gone", lambda first: f"{DAY.date()}/0123456789abcdef/manifest-0123456789abcdef.json") == by_commit
    )
    monkeypatch.setattr(compare, "changes_between", lambda *_: pytest.fail("the commit compared"))
    assert build_twice("by_workers", lambda first: first) == by_commit
