"""What an engine says of a failed job becomes the error that it is."""

import pytest

from retrolabel.pipelines.engine_failure import from_engine, is_failed_job, tells_of_ours
from retrolabel.schemas import errors
from retrolabel.schemas.errors import RetrolabelError, ValidationError

OURS = """Pipeline job-1 failed in state FAILED: java.lang.RuntimeException: Error received from SDK harness for instruction 19: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in apache_beam.runners.common.DoFnRunner.process
    raise ValidationError("nothing was published.")
retrolabel.schemas.errors.ValidationError: nothing was published.
  click: 6 of 552 lines (1.09%) were rejected{ending}
"""


@pytest.mark.parametrize(
    "ending",
    [
        "",
        " [while running 'Build/Commit/Commit']",
        "\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File",
        "\n\n\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient$1.onNext(FnApiControlClient.java:180)",
    ],
)
def test_our_error_comes_back_in_its_class_without_what_stands_around_it(ending):
    error = from_engine(RuntimeError(OURS.replace("{ending}", ending)), "FlinkRunner")
    assert type(error) is ValidationError
    assert str(error) == "nothing was published.\n  click: 6 of 552 lines (1.09%) were rejected"
    assert tells_of_ours(OURS)


def test_every_class_of_error_keeps_its_exit_code():
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, RetrolabelError)]
    assert len(classes) > 7
    for each in classes:
        assert (
            type(from_engine(RuntimeError(f"{each.__module__}.{each.__name__}: what happened"), "PrismRunner")) is each
        )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Pipeline job-1 failed in state FAILED: java.io.IOException: Insufficient number of network buffers",
         "the job on FlinkRunner failed: java.io.IOException: Insufficient number of network buffers\n"),
        ("job failed:\nTraceback (most recent call last):\n  File \"x.py\", line 1\n    f()\nMemoryError: 5 GB\nlater",
         "the job on FlinkRunner failed: MemoryError: 5 GB\n"),
        ("Pipeline job-1 failed in state CANCELLED: unknown error", "the job on FlinkRunner ended as CANCELLED."),
        ("", "the job on FlinkRunner failed: RuntimeError\n"),
        ("x retrolabel.schemas.errors.Problem: no error of ours", "no error of ours"),
    ],
)  # fmt: skip
def test_what_happened_to_the_engine_is_said_in_a_line(said, told):
    error = from_engine(RuntimeError(said), "FlinkRunner")
    assert type(error) is RetrolabelError
    assert str(error).startswith(told)


def test_a_mistake_in_a_program_is_no_failed_job():
    assert not is_failed_job(TypeError("unsupported operand"))
    assert is_failed_job(RuntimeError("Pipeline failed."))
