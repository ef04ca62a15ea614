"""Many small files: several make one element and are parsed at once, because an element and a block cost more than a few lines do."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader, Parsed
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import BLOCK_BYTES

SMALL_BYTES = 256 * 2**10
"""A stored file of up to so many bytes is small."""

GROUP_FILES = 256
"""The most files of one element: where files are fetched one by one, the work of an engine is still spread."""


def grouped(files: Iterable[Input]) -> Iterator[tuple[Input, ...]]:
    """Neighbouring small files of one source together, up to a block's bytes; each other one alone."""
    group: list[Input] = []
    size = 0
    for file in files:
        is_small = file.query is None and file.size <= SMALL_BYTES
        if group and not (
            is_small and file.source == group[0].source and len(group) < GROUP_FILES and size + file.size <= BLOCK_BYTES
        ):
            yield tuple(group)
            group, size = [], 0
        if is_small:
            group.append(file)
            size += file.size
        else:
            yield (file,)
    if group:
        yield tuple(group)


def together(blocks: Iterable[Block], reader: LineReader) -> Iterator[tuple[Block, ...]]:
    """Blocks that are to be parsed at once: those whose every line stands for itself, under one head."""
    held: list[Block] = []
    size = 0
    for block in blocks:
        if block.skipped or not _by_line(block, reader):
            yield (block,)
            continue
        if held and block.head != held[0].head:
            yield tuple(held)
            held, size = [], 0
        held.append(block)
        size += len(block.data)
        if size >= BLOCK_BYTES:
            yield tuple(held)
            held, size = [], 0
    if held:
        yield tuple(held)


def _by_line(block: Block, reader: LineReader) -> bool:
    by_line = reader.format.by_line
    return reader.splittable or (by_line is not None and by_line(block.data))


def parse_together(blocks: Sequence[Block], reader: LineReader) -> tuple[Parsed, list[int]]:
    """Parses blocks, one or as `together` gives them.

    Returns:
        What became of their records, and how many lines each has. Rejects tell their own file, in whose order they stand, and offset.
    """
    if len(blocks) == 1:
        parsed = reader.parse(blocks[0])
        return parsed, [parsed.lines]
    texts = [block.data + b"\n" if block.data and block.data[-1:] != b"\n" else block.data for block in blocks]
    parsed = reader.parse(Block(blocks[0].source, "", 0, b"".join(texts), head=blocks[0].head))
    return Parsed(parsed.table, _placed(parsed.rejects, blocks, texts), parsed.lines, parsed.blank), [
        text.count(b"\n") for text in texts
    ]


def _placed(rejects: pa.Table, blocks: Sequence[Block], texts: Sequence[bytes]) -> pa.Table:
    begins = np.cumsum([0, *map(len, texts[:-1])])
    offsets = rejects.column("offset").to_numpy()
    of = np.searchsorted(begins, offsets, side="right") - 1
    places = {
        "path": pa.array([block.path for block in blocks], pa.string()).take(pa.array(of)),
        "offset": pa.array(offsets - begins[of] + np.array([block.offset for block in blocks])[of]),
    }
    columns = [places.get(name, rejects.column(name)) for name in rejects.column_names]
    placed = pa.Table.from_arrays(columns, schema=rejects.schema)
    return placed.sort_by([("path", "ascending"), ("offset", "ascending")])
