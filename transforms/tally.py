"""What the steps of a build count: small messages, gathered where the version is committed."""

import msgspec

from retrolabel.schemas.manifest import PartFile

EXAMPLES, MODEL = "examples", "model"
"""What statistics are of."""


class StretchTally(msgspec.Struct, frozen=True, array_like=True):
    """Of a stretch of one file."""

    name: str
    """Of the file, as in the manifest."""
    lines: int
    raw_offset: int
    raw_bytes: int
    crc32c: int
    damaged: str | None


class BlockTally(msgspec.Struct, tag="block", frozen=True):
    """Of blocks parsed together: `lines = blank + rejected + parsed`, `parsed = filtered + out_of_range + no_consent + forgotten + kept`."""

    source: str
    stretches: list[StretchTally]
    """Of each block."""
    lines: int
    blank: int
    reasons: dict[str, int]
    filtered: int
    out_of_range: int
    kept: int
    no_consent: int
    forgotten: int
    latest: int | None
    """The latest event time, in microseconds of UTC."""
    rejected_examples: list[tuple[str, str, int, str]]
    """For each reason the first line: reason, name, offset, detail."""


class SourceTally(msgspec.Struct, tag="source", frozen=True):
    """Of one source in one shard."""

    source: str
    duplicate: int = 0
    conflicting: int = 0
    unique: int = 0
    no_consent: int = 0
    undecided: int = 0
    refused: int = 0
    withdrawn: int = 0
    examples: int = 0
    immature: int = 0
    sampled_out: int = 0
    suppressed: int = 0
    attributed: int = 0
    unattributed: int = 0
    orphan: int = 0


class PartTally(msgspec.Struct, tag="part", frozen=True):
    """One part file, and what is in it."""

    kind: str
    split: str | None
    shard: int
    path: str
    rows: int
    size: int
    sha256: str

    def as_file(self) -> PartFile:
        """As the manifest lists it."""
        return PartFile(kind=self.kind, split=self.split, shard=self.shard, path=self.path, rows=self.rows, bytes=self.size,
                        sha256=self.sha256)  # fmt: skip


class DelayTally(msgspec.Struct, tag="delay", frozen=True):
    """Of one label in one shard: how long predictions waited for their first outcome."""

    label: str
    counts: dict[int, tuple[int, int]]
    """See `DelayCounts`."""


class StatisticsTally(msgspec.Struct, tag="statistics", frozen=True):
    """What is known of one part of a shard, or, once merged, of a group of shards."""

    of: str
    """`EXAMPLES`: rows and their slices, as `kernels/table_statistics.py` encodes them; `MODEL`: `STATISTICS` of
    `kernels/monitor.py`, as Arrow IPC."""
    shard: int
    """Or the group."""
    part: str
    """The split, or the step that measured the model; empty for a group."""
    statistics: bytes
    """A parcel."""


class AnonymityTally(msgspec.Struct, tag="anonymity", frozen=True):
    """Of the groups of equal quasi-identifiers of which one shard has all rows."""

    place: int
    """Of how they were generalized, in the lattice."""
    at_risk: int
    """Rows of the whole day that were in too small groups as logged."""
    groups: int
    """Large enough to be published."""
    smallest: int
    """People of the smallest of these; 0 if there is none."""


class ComparedTally(msgspec.Struct, tag="compared", frozen=True):
    """Of one slice of the keys: what its examples have in common with those of the day's previous build."""

    previous: str
    """The path of that one's manifest."""
    number: int
    """Of the slice."""
    kept: int
    """Examples of both."""
    transitions: dict[str, dict[str, int]]
    """Of each label, how many of these went from what to what."""


Tally = BlockTally | SourceTally | PartTally | DelayTally | StatisticsTally | AnonymityTally | ComparedTally

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Tally] = msgspec.msgpack.Decoder(Tally)


def encode(tally: Tally) -> bytes:
    """A tally as it travels."""
    return _encoder.encode(tally)


def decode(encoded: bytes) -> Tally:
    """A tally as it arrived."""
    return _decoder.decode(encoded)
