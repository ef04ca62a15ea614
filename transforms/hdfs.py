"""HDFS, by WebHDFS: Beam's filesystem for it, which finds its server in the URL and lists whole trees.

Beam's own takes one server from pipeline options, which readers of a dataset have none of; lists a folder without those below it;
and raises what is neither an `OSError` nor an error of Beam's.
https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

import functools
import getpass
import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import hdfs
import requests
from apache_beam.io import hadoopfilesystem
from apache_beam.io.filesystem import FileMetadata, FileSystem

from retrolabel.transforms.storage import TEMPORARY

WEB_PORT = 9870
"""Of a namenode since Hadoop 3.0."""

_TIMEOUT = 60.0
"""Seconds without a byte after which a server counts as gone."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def _told(method: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """What the client raises of its own becomes an `OSError`, as it is with other filesystems."""

    @functools.wraps(method)
    def telling(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
        try:
            return method(*arguments, **named)
        except hdfs.HdfsError as error:
            if error.exception == "FileNotFoundException":
                raise FileNotFoundError(_first_line(error)) from None
            raise OSError(_first_line(error)) from None
        except requests.RequestException as error:
            raise OSError(_unreachable(error)) from None

    return telling


class HdfsFileSystem(hadoopfilesystem.HadoopFileSystem):
    """Files named `hdfs://HOST[:PORT]/path`: a namenode's web server, or an HttpFS gateway.

    The user is `HADOOP_USER_NAME`, else who runs the process, as with Hadoop's own tools where there is no Kerberos.
    """

    def __init__(self, pipeline_options: Any) -> None:
        FileSystem.__init__(self, pipeline_options)
        self._full_urls = True

    @classmethod
    def scheme(cls) -> str:
        """The beginning of the URLs."""
        return "hdfs"

    def _parse_url(self, url: str) -> tuple[str, str]:
        """Begins every operation of Beam's; an instance serves one of them."""
        server, slash, path = url.removeprefix("hdfs://").partition("/")
        if not server:
            raise ValueError(f"{url!r} names no server: write hdfs://namenode:{WEB_PORT}/path")
        self._hdfs_client = _client(server, os.environ.get("HADOOP_USER_NAME") or getpass.getuser())
        return server, slash + path or "/"

    def _list(self, url: str) -> Iterator[FileMetadata]:
        """Every file below a folder; none if it is not there. The server is asked folder by folder, and itself lists in pages."""
        server, path = self._parse_url(url)
        try:
            for (folder, _), _, files in self._hdfs_client.walk(path, status=True, ignore_missing=True):
                for name, status in files:
                    found = f"hdfs://{server}{folder.rstrip('/')}/{name}"
                    yield FileMetadata(found, status["length"], status["modificationTime"] / 1000)
        except hdfs.HdfsError as error:
            if error.exception != "FileNotFoundException":
                raise OSError(_first_line(error)) from None
        except requests.RequestException as error:
            raise OSError(_unreachable(error)) from None

    @_told
    def exists(self, url: str) -> bool:
        """Whether there is a file or folder of that name."""
        found: bool = super().exists(url)
        return found

    @_told
    def metadata(self, url: str) -> FileMetadata:
        """Size and time of modification of a file."""
        return super().metadata(url)

    @_told
    def create(self, *arguments: Any, **named: Any) -> Any:
        """A new file, with the folders above it; others see it grow."""
        return super().create(*arguments, **named)

    @_told
    def open(self, *arguments: Any, **named: Any) -> Any:
        """A file, to be read."""
        return super().open(*arguments, **named)

    @_told
    def create_if_absent(self, url: str, data: bytes) -> bool:
        """Creates a file in one step, unless there is one of that name; whether it was created.

        A rename shows the file whole, and the namenode refuses it a name that is taken.
        """
        _, path = self._parse_url(url)
        temporary = f"{path.rpartition('/')[0]}/{TEMPORARY}{uuid.uuid4().hex}"
        try:
            self._hdfs_client.write(temporary, data)
            self._hdfs_client.rename(temporary, path)
        except hdfs.HdfsError:
            self._hdfs_client.delete(temporary)
            if self._hdfs_client.status(path, strict=False) is None:
                raise
            return False
        return True

    @_told
    def write_once(self, url: str, data: bytes) -> None:
        """Creates a file, or finds it there and makes it young again; one of other content is replaced in one step.

        An HttpFS gateway cannot do that: there the file is removed first, and for a moment not there.
        """
        _, path = self._parse_url(url)
        status = self._hdfs_client.status(path, strict=False)
        if status and status["length"] == len(data) and self._content(path) == data:
            self._hdfs_client.set_times(path, modification_time=round(time.time() * 1000))
            return
        temporary = f"{path.rpartition('/')[0]}/{TEMPORARY}{uuid.uuid4().hex}"
        try:
            self._hdfs_client.write(temporary, data)
            # The client's own rename knows no options. A namenode that takes them answers with nothing, a gateway that does not with whether
            # the name was free.
            answer = self._hdfs_client._rename(temporary, destination=path, renameoptions="OVERWRITE")  # noqa: SLF001
            while answer.content and not answer.json()["boolean"]:
                self._hdfs_client.delete(path)
                answer = self._hdfs_client._rename(temporary, destination=path)  # noqa: SLF001
        except hdfs.HdfsError:
            self._hdfs_client.delete(temporary)
            raise

    def _content(self, path: str) -> bytes:
        with self._hdfs_client.read(path) as reader:
            content: bytes = reader.read()
        return content

    @_told
    def remove_empty_folders(self, url: str) -> None:
        """Removes the folders without files below a folder, and itself; the server refuses those that something is in."""
        _, top = self._parse_url(url)
        folders = [folder for folder, _, _ in self._hdfs_client.walk(top, ignore_missing=True)]
        for folder in sorted(folders, reverse=True):  # those inside a folder before it
            try:
                self._hdfs_client.delete(folder, recursive=False)
            except hdfs.HdfsError as error:
                if error.exception != "PathIsNotEmptyDirectoryException":
                    raise


class _Downloader(hadoopfilesystem.HdfsDownloader):
    """Beam's, whose errors are told too when they come while the file is read."""

    @_told
    def get_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""
        data: bytes = super().get_range(start, end)
        return data


@functools.cache
def _client(server: str, user: str) -> hdfs.InsecureClient:
    """Keeps its connections; threads may share it."""
    address = server if ":" in server else f"{server}:{WEB_PORT}"
    return hdfs.InsecureClient(f"http://{address}", user=user, timeout=_TIMEOUT)


def _unreachable(error: requests.RequestException) -> str:
    asked = urlsplit(str(error.request.url)) if error.request else None
    where = f"{asked.scheme}://{asked.netloc}" if asked else "the server"
    return (
        f"{where} does not answer ({type(error).__name__}). hdfs:// names the web server of the namenode, by default port {WEB_PORT}, "
        "or an HttpFS gateway"
    )


def _first_line(error: hdfs.HdfsError) -> str:
    said: Any = error.message  # bytes where the answer was not JSON
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return text.partition("\n")[0]


# Beam takes two filesystems of one scheme for an error: its own steps aside.
hadoopfilesystem.HadoopFileSystem.scheme = classmethod(lambda _: "")
hadoopfilesystem.HdfsDownloader = _Downloader
