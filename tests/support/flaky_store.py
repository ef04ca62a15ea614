"""An object store in memory that Beam finds by its scheme, `flaky://`, and that can be told to meet trouble.

Objects become visible whole, when they are closed, as those of S3 and Google Cloud Storage do. Every request is counted.
"""

import dataclasses
import io
from collections.abc import Iterator

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

FILES: dict[str, bytes] = {}
WRITTEN_AT = 1_763_600_000.0


@dataclasses.dataclass
class Trouble:
    """What happens to one request of the store; none by default."""

    request: int = -1
    """Which, counted from 0."""
    after: bool = False
    """Whether it is done all the same before an error is told."""
    breaks_off: bool = False
    """Whether, of a download, half is given as if it were all, and no error is told."""
    lag: int = 0
    """How many listings pass until an object is listed."""
    requests: list[str] = dataclasses.field(default_factory=list)
    """Those made so far: what was asked, of which path."""
    listings_left: dict[str, int] = dataclasses.field(default_factory=dict)

    def meets(self, what: str, path: str) -> bool:
        """Counts a request; whether it is the one."""
        self.requests.append(f"{what} {path}")
        return len(self.requests) - 1 == self.request

    def ask(self, what: str, path: str, is_done: bool = False) -> None:
        """Counts a request, and tells an error if it is the one."""
        if self.meets(what, path) and not self.breaks_off and self.after == is_done:
            raise ConnectionResetError(104, "Connection reset by peer")


TROUBLE = Trouble()


def reset(**trouble: int | bool) -> None:
    """Begins to count, and says what is to happen."""
    TROUBLE.__init__(**trouble)  # type: ignore[misc]


class _Upload(io.BytesIO):
    """Becomes visible whole when it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def close(self) -> None:
        if not self.closed:
            chosen = TROUBLE.meets("put", self.path)
            if not chosen or TROUBLE.after or TROUBLE.breaks_off:
                FILES[self.path] = self.getvalue()
                TROUBLE.listings_left[self.path] = TROUBLE.lag
            super().close()
            if chosen and not TROUBLE.breaks_off:
                raise ConnectionResetError(104, "Connection reset by peer")


class FlakyFileSystem(FileSystem):
    """Beam finds it by its scheme."""

    @classmethod
    def scheme(cls):
        return "flaky"

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def has_dirs(self):
        return False

    def mkdirs(self, path):
        raise AssertionError("an object store has no folders")

    def _list(self, dir_or_prefix) -> Iterator[FileMetadata]:
        TROUBLE.ask("list", dir_or_prefix)
        for path, data in list(FILES.items()):
            if path.startswith(dir_or_prefix):
                left = TROUBLE.listings_left.get(path, 0)
                TROUBLE.listings_left[path] = left - 1
                if left <= 0:
                    yield FileMetadata(path, len(data), WRITTEN_AT)

    def create(self, path, mime_type="application/octet-stream", compression_type="auto"):
        return _Upload(path)

    def open(self, path, mime_type="application/octet-stream", compression_type="auto"):
        chosen = TROUBLE.meets("get", path)
        if chosen and not TROUBLE.breaks_off:
            raise ConnectionResetError(104, "Connection reset by peer")
        if path not in FILES:
            raise BeamIOError("not found", {path: KeyError(path)})
        data = FILES[path]
        return io.BytesIO(data[: len(data) // 2] if chosen else data)

    def exists(self, path):
        TROUBLE.ask("look", path)
        return path in FILES

    def delete(self, paths):
        for path in paths:
            TROUBLE.ask("delete", path)
            if path not in FILES:
                raise BeamIOError("not found", {path: KeyError(path)})
            del FILES[path]

    def copy(self, source_file_names, destination_file_names):
        raise AssertionError("nothing is copied")

    def rename(self, source_file_names, destination_file_names):
        raise AssertionError("nothing is renamed")

    def size(self, path):
        return len(FILES[path])

    def last_updated(self, path):
        TROUBLE.ask("look", path)
        if path not in FILES:
            raise BeamIOError("not found", {path: KeyError(path)})
        return WRITTEN_AT

    def checksum(self, path):
        raise NotImplementedError

    def metadata(self, path):
        TROUBLE.ask("look", path)
        return FileMetadata(path, len(FILES[path]), WRITTEN_AT)
