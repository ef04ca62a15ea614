"""Bringing rows together that belong together: the shuffle.

Between the steps of a stage, rows travel as `Partition`s, objects of this process. Across the shuffle travel bytes: on an engine the
rows themselves (Arrow IPC, lz4), which its shuffle service stores; in this process references to segments that were spilled to
disk, because the in-process runner would hold several copies of shuffled bytes in RAM.
"""

import contextlib
import dataclasses
import os
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from retrolabel.transforms.kernels.arrange import HASH
from retrolabel.transforms.kernels.hashing import shard_of
from retrolabel.transforms.parallel import ParallelDo
from retrolabel.transforms.storage import create, using

FLUSH_BYTES = 4 * 2**20
"""How much is gathered for a shard before it is sent through an engine's shuffle."""

KEPT_BYTES = 64 * 2**20
"""How many bytes of a shard, as they travelled, are kept in memory before the others wait in a file."""

Sent = tuple[int, bytes]
"""A shard, and encoded rows or references to spilled ones."""

Place = tuple[str, str, int, int]
"""Where spilled rows stand: stream, path, offset and length of one Arrow IPC message."""


Run = tuple[str, pa.Table]
"""Rows as they were sent, with the name of their stream."""


@dataclasses.dataclass(frozen=True)
class Partition:
    """Rows of one stream, in the order of the column `HASH`."""

    stream: str
    table: pa.Table

    def shards(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Each shard that has rows here, and where they begin and end."""
        shards = shard_of(self.table.column(HASH).to_numpy(), count)
        bounds = np.searchsorted(shards, np.arange(count + 1))
        for shard in np.flatnonzero(np.diff(bounds)).tolist():
            yield shard, int(bounds[shard]), int(bounds[shard + 1])


class PartitionCoder(beam.coders.Coder):
    """Partitions travel inside a stage only; should a runner cut there all the same, they travel as Arrow IPC."""

    def encode(self, partition: Partition) -> bytes:
        return msgspec.msgpack.encode((partition.stream, to_ipc(partition.table)))

    def decode(self, encoded: bytes) -> Partition:
        stream, rows = msgspec.msgpack.decode(encoded)
        return Partition(stream, from_ipc(rows))

    def estimate_size(self, partition: Partition) -> int:
        return int(partition.table.nbytes)

    def is_deterministic(self) -> bool:
        return False


beam.coders.registry.register_coder(Partition, PartitionCoder)


@dataclasses.dataclass(eq=False)
class ExchangeRows(beam.PTransform):
    """Gathers the rows of each shard: one element a shard, to be opened with `restore`."""

    shards: int
    """A power of two."""
    spill: str | None
    """The folder for spilled segments, where all steps run in this process; None to send the rows themselves."""

    def expand(self, streams: Any) -> beam.PCollection[tuple[int, Iterable[bytes]]]:
        """From one or several PCollections of partitions.

        Each is sent by itself, next to the step that made it, and only what is sent is flattened: rows that flow together before would be
        encoded and held by the runner.
        """
        send = SpillRows(self.shards, self.spill) if self.spill else SendRows(self.shards)
        streams = (streams,) if isinstance(streams, beam.PCollection) else streams
        sent = [
            partitions | f"Send{number}" >> beam.ParDo(send).with_output_types(Sent)
            for number, partitions in enumerate(streams)
        ]
        return tuple(sent) | "Flatten" >> beam.Flatten() | "GroupByShard" >> beam.GroupByKey()


class SpillRows(beam.DoFn):
    """Writes partitions to one segment file a stream and bundle, and sends each shard the places of its rows.

    A bundle that is tried again writes new files; the old ones are never referred to, and go with the folder.
    """

    def __init__(self, shards: int, folder: str) -> None:
        self.shards = shards
        self.folder = folder

    def start_bundle(self) -> None:
        """A bundle has its own files."""
        self.files: dict[str, tuple[str, pa.OSFile]] = {}
        self.places: dict[int, list[Place]] = defaultdict(list)

    def process(self, partition: Partition) -> Iterable[Sent]:
        """Appends to the stream's segment, a message a shard: a reader touches nothing but its own."""
        if not partition.table.num_rows:
            return ()
        schema = partition.table.schema
        with using(self.folder, "write"):
            if partition.stream not in self.files:
                path = os.path.join(self.folder, f"{uuid.uuid4().hex}.arrow")
                create(path).close()
                opened = pa.OSFile(path, "wb")
                opened.write(schema.serialize())
                self.files[partition.stream] = path, opened
            name, segment = self.files[partition.stream]
            (batch,) = partition.table.combine_chunks().to_batches()
            at = segment.tell()
            for shard, begin, end in partition.shards(self.shards):
                message = batch.slice(begin, end - begin).serialize()
                segment.write(message)
                self.places[shard].append((partition.stream, name, at, message.size))
                at += message.size
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Closes the segments and sends the places."""
        with using(self.folder, "write"):
            for _, segment in self.files.values():
                segment.close()
        for shard, places in self.places.items():
            encoded = b"@" + msgspec.msgpack.encode(places)
            yield WindowedValue((shard, encoded), GlobalWindow().max_timestamp(), [GlobalWindow()])


class SendRows(beam.DoFn):
    """Sends each shard its rows, gathered into pieces worth a shuffle's while."""

    def __init__(self, shards: int) -> None:
        self.shards = shards

    def start_bundle(self) -> None:
        """A bundle starts with nothing gathered."""
        self.gathered: dict[tuple[int, str], list[pa.Table]] = defaultdict(list)
        self.sizes: dict[tuple[int, str], int] = defaultdict(int)

    def process(self, partition: Partition) -> Iterator[Sent]:
        """Gathers; sends what has become large."""
        for shard, begin, end in partition.shards(self.shards):
            rows, to = partition.table.slice(begin, end - begin), (shard, partition.stream)
            self.gathered[to].append(rows)
            self.sizes[to] += rows.nbytes
            if self.sizes[to] >= FLUSH_BYTES:
                yield self._take(to)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Sends the rest."""
        for to in list(self.gathered):
            yield WindowedValue(self._take(to), GlobalWindow().max_timestamp(), [GlobalWindow()])

    def _take(self, to: tuple[int, str]) -> Sent:
        rows = pa.concat_tables(self.gathered.pop(to)).combine_chunks()
        self.sizes.pop(to)
        return to[0], b"=" + msgspec.msgpack.encode((to[1], to_ipc(rows)))


class ShardDo(ParallelDo):
    """`ParallelDo` over shards. An engine gives what it shuffled piece by piece, and only to the bundle's own thread."""

    def process(self, element, *side_inputs):  # type: ignore[no-untyped-def]  # as in ParallelDo
        """Takes all of a shard before the pool gets it."""
        shard, sent = element
        yield from super().process((shard, sent if isinstance(sent, list) else Kept(sent)), *side_inputs)


class Kept:
    """What was sent to a shard, to be read in any thread, and again: small shards from memory, large ones from a file without a name."""

    def __init__(self, sent: Iterable[bytes]) -> None:
        self.file = tempfile.SpooledTemporaryFile(KEPT_BYTES)  # noqa: SIM115  # it is closed with this object
        with using(tempfile.gettempdir(), "write"):
            for message in sent:
                self.file.write(len(message).to_bytes(8, "little"))
                self.file.write(message)

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(0)
        while length := self.file.read(8):
            yield self.file.read(int.from_bytes(length, "little"))

    def __del__(self) -> None:
        self.file.close()


def restore(sent: Iterable[bytes]) -> Mapping[str, pa.Table]:
    """The rows of one shard, by stream, in any order."""
    return together(runs(sent))


def together(runs: Iterable[Run]) -> Mapping[str, pa.Table]:
    """One table of each stream."""
    streams: dict[str, list[pa.Table]] = defaultdict(list)
    for stream, rows in runs:
        streams[stream].append(rows)
    return {stream: pa.concat_tables(tables).combine_chunks() for stream, tables in streams.items()}


def runs(sent: Iterable[bytes], wanted: Callable[[str], bool] = bool) -> Iterator[Run]:
    """The rows of one shard, of the wanted streams, as they were sent; nothing is held that was given."""
    with contextlib.ExitStack() as closing:
        opened: dict[str, tuple[pa.OSFile, pa.Schema]] = {}
        for message in sent:
            if message[:1] == b"=":
                stream, rows = msgspec.msgpack.decode(memoryview(message)[1:])
                if wanted(stream):
                    yield stream, from_ipc(rows)
                continue
            for stream, path, at, length in msgspec.msgpack.decode(memoryview(message)[1:]):
                if not wanted(stream):
                    continue
                if path not in opened:
                    segment = closing.enter_context(pa.OSFile(path, "rb"))
                    opened[path] = segment, pa.ipc.read_schema(segment)
                segment, schema = opened[path]
                segment.seek(at)
                batch = pa.ipc.read_record_batch(segment.read_buffer(length), schema)
                yield stream, pa.Table.from_batches([batch])


def taken(coming: Iterator[Run], size: int) -> tuple[list[Run], bool]:
    """Runs until they exceed a size in bytes, and whether those are all that come."""
    held: list[Run] = []
    for stream, rows in coming:
        held.append((stream, rows))
        size -= rows.nbytes
        if size < 0:
            return held, False
    return held, True


def given_up(held: list[Run]) -> Iterator[Run]:
    """The runs, each forgotten when it is taken."""
    while held:
        yield held.pop()


def to_ipc(table: pa.Table) -> bytes:
    """Rows as they travel: Arrow IPC, lz4."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(rows: bytes) -> pa.Table:
    """Rows as they arrived."""
    return pa.ipc.open_stream(pa.py_buffer(rows)).read_all()
