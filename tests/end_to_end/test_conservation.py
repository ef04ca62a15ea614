"""Nothing is lost and nothing is made up: random days with defects, in which every number and every label is known."""

import dataclasses
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import retrolabel
from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.transforms.dataset import head_version, read_day_manifest
from tests.support.messy import DAY, expected_accounting, expected_examples, write_logs

GENERATE = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: a day takes a second, and a failing one is a seed already."""

days = given(seed=st.integers(0, 2**63), predictions=st.integers(20, 300), shards=st.sampled_from([1, 2, 8]))


def conserves(seed: int, predictions: int, shards: int) -> None:
    """Builds one random day, and compares its accounting and its labels with what is worked out event by event."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = write_logs(folder, seed, predictions)
        config = folder / "shoes.yaml"
        config.write_text(config.read_text().replace("max_rejected: 0.2", "max_rejected: 1.0"))
        plan, inputs = plan_build(check_project(str(config)), DAY.date(), {}, in_process=True)
        run_pipeline(dataclasses.replace(plan, shards=shards), inputs, choose_runner([]))
        head = head_version(plan.root)
        assert head is not None
        manifest = read_day_manifest(plan.root, head.days[DAY.date().isoformat()])
        for source, expected in expected_accounting(logs).items():
            told = manifest.accounting[source].model_dump()
            assert {name: told[name] for name in expected} == expected, source
            assert (told["rejected"], told["blank"]) == (logs.rejected[source], logs.blank[source])
            assert told["lines"] == expected["parsed"] + logs.rejected[source] + logs.blank[source]
        found = {row["prediction_id"]: row for row in retrolabel.load(plan.root).to_table().to_pylist()}
        wanted = expected_examples(logs)
        assert found.keys() == wanted.keys()
        for key, row in wanted.items():
            for column, value in row.items():
                same = (
                    math.isclose(found[key][column], value, abs_tol=1e-9)
                    if isinstance(value, float)
                    else found[key][column] == value
                )
                assert same, (key, column, found[key][column], value)


@days
@settings(max_examples=5, deadline=None, derandomize=True, database=None, phases=GENERATE)
def test_a_few_random_days_are_conserved(seed, predictions, shards):
    conserves(seed, predictions, shards)


@pytest.mark.slow
@days
@settings(max_examples=200, deadline=None, phases=GENERATE)
def test_many_random_days_are_conserved(seed, predictions, shards):
    conserves(seed, predictions, shards)
