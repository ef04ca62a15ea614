"""Files of a dataset: written once, or created only if absent, on local disks and on the stores that Beam reads.

Local files are written beside their place, synced, and moved or linked into it: no reader ever sees half a file. Object stores make an
object visible whole. Nothing here imports Beam until a path asks for it.
"""

import contextlib
import errno
import fcntl
import functools
import importlib
import importlib.util
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Literal

from retrolabel.schemas.errors import StorageError

TEMPORARY = ".tmp-"
"""Begins the name of a file that is being written."""


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's file system."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """A path below a folder or a URL."""
    return "/".join([folder.rstrip("/"), *names])


def read_bytes(path: str) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read.
    """
    return b"".join(pieces_of(path, -1))


def pieces_of(path: str, size: int) -> Iterator[bytes]:
    """The content of a file, so many bytes at a time; -1 for all at once.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read.
    """
    with using(path, "read"), _opened(path) as file:
        while piece := file.read(size):
            yield piece


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if is_local(path):
        with open(path, "rb") as local:
            yield local
        return
    beam = beam_filesystems()
    if not beam.exists(path):
        raise FileNotFoundError(path)
    with _unless_removed(path), beam.open(path, compression_type="uncompressed") as stored:
        yield stored


def write_once(path: str, data: bytes, modified: float | None = None) -> None:
    """Stores content under a name that it decides itself: a file that is there already is the same, or torn and replaced.

    Args:
        path: of the file.
        data: its content.
        modified: on a local disk, since when (epoch seconds) it counts as written; by default since now.

    Raises:
        StorageError: the storage is full, or refuses.
    """
    with using(path, "write"):
        if path.startswith("hdfs://"):
            beam_filesystems().get_filesystem(path).write_once(path, data)
            return
        if path.startswith("s3://") and len(data) <= _ONE_REQUEST:
            _put_on_s3(path, data)
            return
        if not is_local(path):
            with beam_filesystems().create(path, compression_type="uncompressed") as file:
                file.write(data)
            return
        with contextlib.suppress(FileNotFoundError):  # nobody wrote it yet, or `gc` takes it away at the moment
            if os.path.getsize(path) == len(data) and read_bytes(path) == data:
                os.utime(path)  # to `gc` it is young again: this build is about to list it
                _sync_folder(path)  # a build that was killed may have moved it here and not come to this
                return
        temporary = _write_beside(path, data)
        if modified is not None:
            os.utime(temporary, (modified, modified))
        os.replace(temporary, path)
        _sync_folder(path)


def create_if_absent(path: str, data: bytes) -> bool:
    """Creates a file in one step, unless there is one of that name.

    Returns:
        Whether it was created.

    Raises:
        StorageError: the storage is full, or refuses.
    """
    with using(path, "write"):
        if path.startswith("gs://"):
            return _create_on_gcs(path, data)
        if path.startswith("s3://"):
            return _create_on_s3(path, data)
        if path.startswith("azfs://"):
            return _create_on_azure(path, data)
        if path.startswith("hdfs://"):
            return bool(beam_filesystems().get_filesystem(path).create_if_absent(path, data))
        if not is_local(path):
            return _create_and_look(path, data)
        temporary = _write_beside(path, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):  # `gc --older-than 0s` was quicker
                os.unlink(temporary)
        _sync_folder(path)
        return True


def list_files(folder: str) -> dict[str, tuple[int, float]]:
    """Every file below a folder: its path relative to the folder, with size in bytes and time of modification (epoch seconds).

    Raises:
        StorageError: it cannot be listed; one that is not there has no files.
    """
    found: dict[str, tuple[int, float]] = {}
    with using(folder, "list"):
        if is_local(folder):
            for parent, _, names in os.walk(folder, onerror=_unless_gone):
                for name in names:
                    path = os.path.join(parent, name)
                    with contextlib.suppress(FileNotFoundError):
                        status = os.stat(path)
                        found[os.path.relpath(path, folder).replace(os.sep, "/")] = status.st_size, status.st_mtime
            return found
        inside = join(folder, "")
        # Beam's patterns cannot quote a character: any may stand where one of these does, and what is beside the folder is left out.
        for match in beam_filesystems().match([re.sub(r"[\[*?]", "?", inside) + "**"]):
            for file in match.metadata_list:
                if file.path.startswith(inside):
                    found[file.path.removeprefix(inside)] = file.size_in_bytes, file.last_updated_in_seconds
    return found


def _unless_gone(error: OSError) -> None:
    """A folder that may not be listed is not empty: without this, a build would take itself for the first."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def modified(path: str) -> float | None:
    """When a file was last changed, in epoch seconds; None if it is gone."""
    with using(path, "look at"), contextlib.suppress(FileNotFoundError):
        if is_local(path):
            return os.stat(path).st_mtime
        beam = beam_filesystems()
        if beam.exists(path):
            with _unless_removed(path):
                changed: float = beam.last_updated(path)
            return changed
    return None


def delete(path: str) -> None:
    """Removes a file; one that is gone already is fine.

    Raises:
        StorageError: the storage refuses.
    """
    with using(path, "remove"), contextlib.suppress(FileNotFoundError):
        if is_local(path):
            os.unlink(path)
        elif path.startswith("azfs://"):
            _remove_on_azure(path)
        elif path.startswith("gs://"):
            _remove_on_gcs(path)
        elif (beam := beam_filesystems()).exists(path):
            with _unless_removed(path):
                beam.delete([path])


def remove_empty_folders(folder: str) -> None:
    """Removes the folders without files below a folder, itself too; object stores have none."""
    if folder.startswith("hdfs://"):
        with using(folder, "remove"), contextlib.suppress(FileNotFoundError):
            beam_filesystems().get_filesystem(folder).remove_empty_folders(folder)
    if is_local(folder):
        for parent, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(parent)


def create(path: str, mode: Literal["wb", "ab"] = "wb") -> BinaryIO:
    """Opens a local file, in a folder that is made if need be, however often `gc` takes it away while it is empty."""
    folder = os.path.dirname(path) or "."
    for _ in range(_ATTEMPTS):
        _make_folder(folder)
        with contextlib.suppress(FileNotFoundError):
            return open(path, mode)
        _refuse_dangling(path)
    raise StorageError(f"cannot write {path!r}: its folder is not there, however often it is made")


@contextlib.contextmanager
def locked(path: str, *, wait: bool) -> Iterator[bool | None]:
    """Holds the system's lock of a local file, which is given back when its holder dies.

    Args:
        path: of the file, which is made if need be and stays.
        wait: until whoever holds it gives it back.

    Yields:
        Whether it is held; None where the file system has no locks.
    """
    with using(path, "write"):
        file = create(path, "ab")
    with file:
        held: bool | None = True
        with using(path, "lock"):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                held = False
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                held = None
        yield held


def _write_beside(path: str, data: bytes) -> str:
    """Writes and syncs a temporary file in the folder of `path`, which is made if need be."""
    temporary = os.path.join(os.path.dirname(path) or ".", f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with create(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


def _make_folder(folder: str) -> None:
    """Makes a folder and those above it, each synced into the one that holds it."""
    if not os.path.isdir(folder):
        _refuse_dangling(folder)
        _make_folder(os.path.dirname(folder) or ".")
        with contextlib.suppress(FileNotFoundError):  # `gc` took the one above away: it is made again
            with contextlib.suppress(FileExistsError):  # another writer was first; a file of that name fails later
                os.mkdir(folder)
            _sync_folder(folder)


def _refuse_dangling(path: str) -> None:
    if os.path.islink(path) and not os.path.exists(path):
        raise StorageError(
            f"cannot write below {path!r}: it is a link to {os.readlink(path)!r}, which is not there. "
            "Hint: is a disk not mounted? Else make that folder, or remove the link"
        )


def settle(root: str, folders: Iterable[str]) -> None:
    """Makes folders below a dataset's folder survive a power cut: a build that was killed may have made some and not come to that.

    Args:
        root: the dataset's folder; on a store that has no folders nothing happens.
        folders: relative to it.
    """
    if not is_local(root):
        return
    with using(root, "write"):
        above = {root}
        for folder in folders:
            names = folder.split("/")
            above |= {os.path.join(root, *names[: count + 1]) for count in range(len(names))}
        for path in sorted(above):
            _sync_folder(path)
    path = os.path.dirname(os.path.abspath(root))
    while path != os.path.dirname(path):
        with contextlib.suppress(OSError):  # not ours: it may be of another file system, or forbidden to be read
            _sync_folder(path)
        path = os.path.dirname(path)


def _sync_folder(path: str) -> None:
    """Makes the entry of a new file survive a power cut."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def using(path: str, verb: str) -> Iterator[None]:
    """Turns what a storage says into an error that says what to do; a file that is not there is for the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"cannot {verb} {path!r}: {told(error, path)}") from None
    except Exception as error:
        # Beam's own, of a URL whose filesystem is not installed, and what the clients of stores raise.
        if is_local(path) or not (isinstance(error, ValueError | ImportError) or _is_of_client(error)):
            raise
        raise StorageError(f"cannot {verb} {path!r}: {told(error, path)}") from None


@contextlib.contextmanager
def _unless_removed(path: str) -> Iterator[None]:
    """An object that `gc` or retention removes between a look and what is done with it is not there."""
    try:
        yield
    except Exception:
        if beam_filesystems().exists(path):
            raise
        raise FileNotFoundError(path) from None


def _is_of_client(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in _CLIENTS


def told(error: Exception, path: str) -> str:
    """What went wrong, without the layers that Beam puts around it, and what to do about it where that is known."""
    inner = next(iter((getattr(error, "exception_details", None) or {}).values()), error)
    extra = _EXTRAS.get(path.partition("://")[0])
    if extra and (isinstance(inner, ImportError) or "Unable to get filesystem" in str(inner)):
        return f"pip install 'retrolabel[{extra}]' brings what reads {path.partition('://')[0]}://"
    return _ADVICE.get(getattr(inner, "errno", None) or 0) or str(getattr(inner, "strerror", None) or inner)


_CLIENTS = ("apache_beam", "azure", "botocore", "google", "hdfs", "requests", "urllib3")
"""Packages whose errors are no `OSError`."""

_ATTEMPTS = 1000
"""To make a folder: each needs a sweep that comes in the moment between the folder and its first file."""

_ONE_REQUEST = 64 << 20
"""Bytes up to which S3 is sent an object whole; a larger one goes in parts, so that a lost connection does not cost all of it."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without locks answer, as NFS without its lock daemon."""

_EXTRAS = {"gs": "gcp", "s3": "aws", "azfs": "azure", "hdfs": "hdfs"}


_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space and run again (`retrolabel gc` removes what killed builds left)",
    errno.EDQUOT: "the quota is used up: free some space and run again",
    errno.EROFS: "the file system is read-only",
    errno.ESTALE: "the file system took it away (stale file handle): see that it is mounted, and run again",
    errno.EACCES: "permission denied: check who owns the file and its folder",
    errno.EPERM: "permission denied, or a file system without hard links, which a commit needs",
}


@functools.cache
def _mend_filesystems() -> None:
    """Puts ours in the place of Beam's, of those whose clients are installed."""
    for module, client in (("hdfs", "hdfs"), ("s3", "boto3")):
        if importlib.util.find_spec(client):
            importlib.import_module(f"retrolabel.transforms.{module}")


def beam_filesystems() -> Any:
    """Beam's `FileSystems`, ready to be used."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    _mend_filesystems()
    if FileSystems._pipeline_options is None:  # noqa: SLF001 - no build has set them, and that of S3 needs some
        FileSystems.set_options(PipelineOptions([]))
    return FileSystems


def _create_and_look(path: str, data: bytes) -> bool:
    """The best that a filesystem of which nothing is known allows: of two commits in one moment the later one stands.

    The earlier one sees that when it looks again, unless it looked in between: builds of one dataset should not run at once there.
    """
    beam = beam_filesystems()
    if beam.exists(path):
        return False
    with beam.create(path, compression_type="uncompressed") as file:
        file.write(data)
    return read_bytes(path) == data


def _create_on_gcs(path: str, data: bytes) -> bool:
    import google.cloud.storage
    from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed

    bucket, _, name = path.removeprefix("gs://").partition("/")
    try:
        google.cloud.storage.Client().bucket(bucket).blob(name).upload_from_string(data, if_generation_match=0)
    except PreconditionFailed:
        return False
    except GoogleAPICallError as error:
        raise StorageError(f"cannot write {path!r}: {error.message}") from None
    return True


def _remove_on_gcs(path: str) -> None:
    """By its name: Beam takes it for a pattern, and removes what matches."""
    import google.cloud.storage
    from google.api_core.exceptions import NotFound

    bucket, _, name = path.removeprefix("gs://").partition("/")
    with contextlib.suppress(NotFound):
        google.cloud.storage.Client().bucket(bucket).blob(name).delete()


def _create_on_azure(path: str, data: bytes) -> bool:
    from azure.core.exceptions import AzureError, ResourceExistsError

    try:
        with _azure_blob(path) as blob:
            blob.upload_blob(data, overwrite=False)
    except ResourceExistsError:
        return False
    except AzureError as error:
        raise StorageError(f"cannot write {path!r}: {str(error).splitlines()[0]}") from None
    return True


def _remove_on_azure(path: str) -> None:
    """By itself: Beam removes in batches, of whose answers Azurite says that the blob is not there, and leaves it."""
    from azure.core.exceptions import AzureError, ResourceNotFoundError

    try:
        with contextlib.suppress(ResourceNotFoundError), _azure_blob(path) as blob:
            blob.delete_blob()
    except AzureError as error:
        raise StorageError(f"cannot remove {path!r}: {str(error).splitlines()[0]}") from None


def _azure_blob(path: str) -> Any:
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import BlobClient

    account, container, name = path.removeprefix("azfs://").split("/", 2)
    settings = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if settings:
        return BlobClient.from_connection_string(settings, container, name)
    return BlobClient(f"https://{account}.blob.core.windows.net", container, name, credential=DefaultAzureCredential())


def _create_on_s3(path: str, data: bytes) -> bool:
    from botocore.exceptions import ClientError

    while True:
        try:
            _put_on_s3(path, data, IfNoneMatch="*")
        except ClientError as error:
            code = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code == 409:  # another request on the same key was under way; it has an end
                continue
            if code == 412:
                return False
            raise
        return True


def _put_on_s3(path: str, data: bytes, **conditions: str) -> None:
    """In one request: Beam's upload begins, sends and completes in three, and what is begun and not completed is stored, and paid for."""
    from retrolabel.transforms import s3

    bucket, _, name = path.removeprefix("s3://").partition("/")
    s3.client("s3").put_object(Bucket=bucket, Key=name, Body=data, **conditions)
