"""Files that hold the same text: a rotated file that is there both as it was and compressed counts once."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from apache_beam.io.filesystem import CompressionTypes

from retrolabel.schemas.manifest import InputFile
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import DAMAGE, Checksummed, Whole, check_length, check_unchanged, reading, text_of
from retrolabel.transforms.storage import beam_filesystems, is_local

_HEAD = 4096
"""Bytes of text by which files are told apart at first; only those that agree in them are read to the end."""

_SUFFIXES = (".gz", ".bz2", ".zst", ".zstd")


def without_copies(files: Sequence[Input]) -> tuple[list[Input], list[InputFile]]:
    """Parts the files of one source into those to read, and those whose text one of the former holds already.

    Local files are compared whatever they are called. On object stores, where a look costs a download, those are compared whose names
    differ in the suffix of the compression alone. Empty files and damaged ones are no copies.

    Args:
        files: of one source, whole.

    Raises:
        InputError: a file changed while it was read.
        StorageError: a file cannot be read.
    """
    copies: dict[Input, InputFile] = {}
    for alike in _groups(files):
        first: dict[str, Input] = {}
        # Plain text first: it is read in parallel.
        for file in sorted(alike, key=lambda file: (file.compression != "", file.name)):
            digest, checksum = _digests(file)
            if digest is None:
                continue
            kept = first.setdefault(digest, file)
            if kept is not file:
                copies[file] = InputFile(source=file.source, path=file.name, bytes=file.size, crc32c=f"{checksum:08x}", lines=0,
                                         copy_of=kept.name)  # fmt: skip
    return [file for file in files if file not in copies], list(copies.values())


def _groups(files: Sequence[Input]) -> Iterator[list[Input]]:
    """Files that may hold the same text."""
    if len(files) < 2:
        return
    alike: dict[object, list[Input]] = defaultdict(list)
    for file in files:
        if file.size and not file.query:
            alike[_head(file) if is_local(file.path) else _stem(file.path)].append(file)
    for group in alike.values():
        sizes = [file.size for file in group if not file.compression]
        packed = len(sizes) < len(group)
        group = [file for file in group if packed or sizes.count(file.size) > 1]
        if len(group) > 1:
            yield group


def _head(file: Input) -> bytes:
    with (
        reading(file.name),
        beam_filesystems().open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stored,
    ):
        return Whole(text_of(stored)).read(_HEAD)


def _stem(path: str) -> str:
    stem, suffix = os.path.splitext(path)
    return stem if suffix in _SUFFIXES else path


def _digests(file: Input) -> tuple[str | None, int]:
    """The SHA-256 of the text, None if the file is damaged, and the CRC-32C of the stored bytes."""
    digest = hashlib.sha256()
    with (
        reading(file.name),
        beam_filesystems().open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as opened,
    ):
        stored = Checksummed(opened, file.name)
        try:
            for piece in text_of(stored):
                digest.update(piece)
        except DAMAGE:
            return None, 0
    if not file.compression:
        check_length(file, stored.length, file.size)
    check_unchanged(file)
    return digest.hexdigest(), stored.checksum
