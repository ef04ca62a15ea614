"""An object store in memory behind Beam's interface: `memory://bucket/name`. It counts what is asked of it."""

import io
import posixpath
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressedFile, CompressionTypes, FileMetadata, FileSystem

OBJECTS: dict[str, bytes] = {}
OPENED: list[str] = []
"""The names of objects in the order in which they were opened."""


class MemoryStore(FileSystem):
    """Only what reading logs needs."""

    @classmethod
    def scheme(cls) -> str:
        return "memory"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        return posixpath.split(path)

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        return (self.metadata(path) for path in sorted(OBJECTS) if path.startswith(dir_or_prefix))

    def open(
        self,
        path: str,
        mime_type: str = "application/octet-stream",
        compression_type: str = CompressionTypes.AUTO,
    ) -> object:
        OPENED.append(path)
        stored = io.BytesIO(OBJECTS[path])
        if compression_type == CompressionTypes.UNCOMPRESSED:
            return stored
        return CompressedFile(stored, compression_type=CompressionTypes.detect_compression_type(path))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(OBJECTS[path]), 1.0)

    def exists(self, path: str) -> bool:
        return path in OBJECTS

    def size(self, path: str) -> int:
        return len(OBJECTS[path])

    def last_updated(self, path: str) -> float:
        return 1.0

    def checksum(self, path: str) -> str:
        return ""

    def mkdirs(self, path: str) -> None:
        raise NotImplementedError

    create = copy = rename = delete = mkdirs
