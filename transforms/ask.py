"""From slices of a log store to blocks of whole lines."""

import contextlib
from collections.abc import Iterator, Sequence

import google_crc32c

from retrolabel.transforms.apis import apis
from retrolabel.transforms.apis.interface import NotThereError, Query, rfc3339
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.plan import Input

BLOCK_BYTES = 8 * 2**20


def slices_of(source: str, queries: Sequence[Query], begin: int, end: int) -> Iterator[Input]:
    """Cuts what is asked into slices of about a block each; a slice is to a build what a file is.

    Args:
        source: the name of the source.
        queries: what is asked: one for each resource, such as the index of a day.
        begin: the first moment, in microseconds of UTC.
        end: the first moment after it.

    Raises:
        NotThereError: none of the resources exists.
        InputError: the store refuses, or does not answer.
    """
    missing: list[NotThereError] = []
    for query in queries:
        try:
            for part in apis()[query.format].slices(query, begin, end):
                name = f"{query.resource}/{rfc3339(part.begin)}/{rfc3339(part.end)}"
                yield Input(source, query.resource, name, part.size, part.begin, part.end, "", None, query=query)
        except NotThereError as error:
            missing.append(error)
    if len(missing) == len(queries):
        raise missing[0]


def any_reaches(queries: Sequence[Query], moment: int) -> bool:
    """Whether a store holds an event at or after a moment, in microseconds of UTC.

    Raises:
        InputError: the store refuses, or does not answer.
    """
    for query in queries:
        with contextlib.suppress(NotThereError):
            if apis()[query.format].reaches(query, moment):
                return True
    return False


def blocks_of_slice(part: Input, query: Query) -> Iterator[Block]:
    """Reads one slice; a block's offset is its place in the text of the slice.

    Raises:
        InputError: the store refuses, or did not answer in time.
    """
    offset, held = 0, bytearray()
    for piece in apis()[query.format].lines(query, part.start, part.stop):
        held += piece
        if len(held) >= BLOCK_BYTES:
            yield _block(part, offset, bytes(held))
            offset += len(held)
            held.clear()
    yield _block(part, offset, bytes(held))


def _block(part: Input, offset: int, text: bytes) -> Block:
    return Block(part.source, part.name, offset, text, (), offset, len(text), google_crc32c.value(text))
