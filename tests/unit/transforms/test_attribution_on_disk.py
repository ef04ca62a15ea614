"""Attribution on disk, where there is none: what is told."""

import resource

import pyarrow as pa
import pytest

from retrolabel.schemas.errors import StorageError
from retrolabel.transforms.kernels import engine
from retrolabel.transforms.kernels.append import append
from retrolabel.transforms.kernels.attribution_on_disk import PREDICTIONS
from retrolabel.transforms.kernels.engine import on_disk


def test_a_disk_that_takes_no_more_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "MEMORY", "10MB")
    rows = pa.table({"id": [f"{number:0100d}" for number in range(400_000)]})
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, allowed[1]))
    try:
        with (
            on_disk(str(tmp_path)) as opened,
            pytest.raises(StorageError, match="no room to bring the rows of a key together"),
        ):
            append(opened, PREDICTIONS, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
