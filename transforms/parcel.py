"""Large results on their way to the commit: on an engine they travel themselves, in this process a reference to a file that was spilled.

The in-process runner keeps several copies of what is shuffled in memory.
"""

import os
import pathlib
import uuid

from retrolabel.transforms.storage import create, using

_HERE, _IN_FILE = b"=", b"@"


def send(data: bytes, spill: str | None) -> bytes:
    """What travels in place of the data: itself, or where it stands.

    Args:
        data: any bytes; none travel as none.
        spill: the folder for spilled data, where all steps run in this process; None to send the data itself.
    """
    if not data or spill is None:
        return _HERE + data if data else b""
    path = os.path.join(spill, f"{uuid.uuid4().hex}.parcel")
    with using(spill, "write"), create(path) as file:
        file.write(data)
    return _IN_FILE + path.encode()


def receive(message: bytes) -> bytes:
    """The data that was sent."""
    return pathlib.Path(message[1:].decode()).read_bytes() if message[:1] == _IN_FILE else message[1:]
