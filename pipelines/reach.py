"""From when to when the predictions' log goes, by its first and last lines: for files whose names tell no day."""

import datetime
import itertools
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.configs.load import Project
from retrolabel.pipelines.planning import list_inputs, queries_of, reader_of
from retrolabel.schemas.errors import InputError
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.plan import PREDICTIONS, Input
from retrolabel.transforms.read import BLOCK_BYTES, blocks_of
from retrolabel.transforms.small_files import parse_together, together
from retrolabel.transforms.storage import is_local

_ANY_DAY = datetime.date(1970, 1, 1)  # the patterns name none
_ENOUGH = 256 * 1024
"""Bytes of lines at either end of a plain file: a clock of the log may run back by as much unseen."""


def time_span(project: Project) -> tuple[int, int] | None:
    """The first and the last event time at the ends of the predictions' files, in microseconds of UTC; None without any.

    Plain files are read at both ends; of compressed ones the first block, and that file whole whose first block is the latest.
    """
    if queries_of(project, PREDICTIONS, [_ANY_DAY]):
        return None  # a log store is asked for days, not for its ends
    try:
        # Logs are written to while they are looked at.
        files = [file._replace(fingerprint=None) for file in list_inputs(project, PREDICTIONS, [_ANY_DAY])]
    except InputError:
        return None
    source = project.config.predictions
    reader = reader_of(project, PREDICTIONS)
    packed, plain = [], []
    for file in files:
        if file.compression or file.whole or (file.size <= BLOCK_BYTES and not is_local(file.path)):
            if span := _span(reader, source.time, (next(iter(blocks_of(file, reader))),)):
                packed.append((span, file))
        else:
            plain.append(file)
    ends = itertools.chain.from_iterable(_ends_of(file, reader) for file in plain)
    spans = [span for blocks in together(ends, reader) if (span := _span(reader, source.time, blocks))]
    if packed:
        spans += [span for span, _ in packed]
        latest = max(packed, key=lambda found: found[0])[1]
        spans += [span for block in blocks_of(latest, reader) if (span := _span(reader, source.time, (block,)))]
    return (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else None


def _ends_of(file: Input, reader: LineReader) -> Iterator[Block]:
    yield from blocks_of(file._replace(stop=min(file.size, _ENOUGH)), reader)
    if file.size > _ENOUGH:
        yield from blocks_of(file._replace(start=file.size - _ENOUGH), reader)


def _span(reader: LineReader, time: str, blocks: tuple[Block, ...]) -> tuple[int, int] | None:
    times = pc.min_max(parse_together(blocks, reader)[0].table.column(time).cast(pa.int64())).as_py()
    return (times["min"], times["max"]) if times["min"] is not None else None
