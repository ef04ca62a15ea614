"""Statistics, schemas and anomalies at rest: the protos of TensorFlow Metadata, as text or binary.

https://github.com/tensorflow/metadata: `statistics.proto`, `schema.proto`, `anomalies.proto`. `.pbtxt` is text, as
`tfdv.load_schema_text` and `load_anomalies_text` read it; anything else is binary, as `tfdv.load_stats_binary` does.
"""

from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
from tensorflow_metadata.proto.v0.schema_pb2 import Schema
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatistics, DatasetFeatureStatisticsList

from retrolabel.schemas.errors import InputError

_Message = TypeVar("_Message", DatasetFeatureStatisticsList, Schema, Anomalies)

__all__ = ["Anomalies", "DatasetFeatureStatistics", "DatasetFeatureStatisticsList", "Schema", "to_bytes"]


def to_bytes(message: Message, path: str) -> bytes:
    """The content of a file: the same message gives the same bytes."""
    content: bytes
    if path.endswith(".pbtxt"):
        content = text_format.MessageToString(message).encode()
    else:
        content = message.SerializeToString(deterministic=True)
    return content


def statistics_from(content: bytes, path: str) -> DatasetFeatureStatisticsList:
    """Reads statistics.

    Raises:
        InputError: the content is something else.
    """
    return _read(DatasetFeatureStatisticsList, content, path)


def schema_from(content: bytes, path: str) -> Schema:
    """Reads a schema.

    Raises:
        InputError: the content is something else.
    """
    return _read(Schema, content, path)


def anomalies_from(content: bytes, path: str) -> Anomalies:
    """Reads anomalies.

    Raises:
        InputError: the content is something else.
    """
    return _read(Anomalies, content, path)


def _read(kind: type[_Message], content: bytes, path: str) -> _Message:
    message = kind()
    try:
        if path.endswith(".pbtxt"):
            text_format.Parse(content.decode(), message)
        else:
            message.ParseFromString(content)
    except (text_format.ParseError, UnicodeDecodeError, DecodeError) as error:
        told = str(error).splitlines()[0] if isinstance(error, text_format.ParseError) else "damaged"
        raise InputError(f"{path!r} is no {kind.DESCRIPTOR.name} of TensorFlow Metadata ({told}); "
                         "text ends in .pbtxt, anything else is binary") from None  # fmt: skip
    return message
