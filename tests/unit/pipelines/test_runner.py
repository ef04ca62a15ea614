"""What a build in process asks of the C library."""

import platform
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.runners.worker import sdk_worker

from retrolabel.pipelines.runner import choose_runner, keep_freed_memory

REUSED = """
import ctypes, resource
import numpy as np
from retrolabel.pipelines.runner import keep_freed_memory
PR_SET_THP_DISABLE = 41  # with huge pages a block would be a handful of faults, no more than others make meanwhile
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(4 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = faults()
print(first, sum(faults() for _ in range(8)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such parameters")
def test_a_block_that_was_freed_is_used_again_without_asking_the_system() -> None:
    code = REUSED
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    first, later = map(int, result.stdout.split())
    assert 8 * later < first


def test_a_c_library_without_such_parameters_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())

    keep_freed_memory()


def test_pipelines_in_a_row_leave_no_names_of_metrics_behind() -> None:
    kept = []
    for number in range(3):
        chosen = choose_runner([])
        with beam.Pipeline(runner=chosen.runner, options=chosen.options) as pipeline:
            _ = pipeline | f"numbers of {number}" >> beam.Create([1, 2])
        kept.append(len(sdk_worker.SHORT_ID_CACHE._short_id_to_info))

    assert kept[0] > 0
    assert kept == kept[:1] * 3
