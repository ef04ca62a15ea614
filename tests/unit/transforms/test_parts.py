"""Part files as others read them."""

import struct

import fastavro
import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from retrolabel.schemas.errors import IntegrityError
from retrolabel.transforms.parts import decode, encode

ROWS = pa.table(
    {
        "text": pa.array(["", "naïve", None]),
        "flag": pa.array([True, False, None]),
        "small": pa.array([-(2**31), 2**31 - 1, None], pa.int32()),
        "large": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
        "real": pa.array([0.5, float("-inf"), None], pa.float64()),
        "at": pa.array([-1, 1_763_600_000_000_001, None], pa.timestamp("us", tz="UTC")),
        "words": pa.array([["a", ""], [], None], pa.list_(pa.string())),
        "numbers": pa.array([[-1, 300, 0], [], None], pa.list_(pa.int64())),
        "reals": pa.array([[0.25], [], None], pa.list_(pa.float64())),
        "flags": pa.array([[True, False], [], None], pa.list_(pa.bool_())),
    }
)


def example_class():
    """tf.Example, from its definition in tensorflow/core/example, without TensorFlow."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(parent, name, *fields):
        made = parent.add(name=name)
        for number, (field, label, kind, of) in enumerate(fields, 1):
            made.field.add(name=field, number=number, label=label, type=kind, type_name=of)
        return made

    one, many, of = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED, kinds.TYPE_MESSAGE
    message(file.message_type, "BytesList", ("value", many, kinds.TYPE_BYTES, None))
    message(file.message_type, "FloatList", ("value", many, kinds.TYPE_FLOAT, None))
    message(file.message_type, "Int64List", ("value", many, kinds.TYPE_INT64, None))
    feature = message(file.message_type, "Feature", *(
        (f"{kind.lower()}_list", one, of, f".tensorflow.{kind}List") for kind in ("Bytes", "Float", "Int64")
    ))  # fmt: skip
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message(file.message_type, "Features", ("feature", many, of, ".tensorflow.Features.FeatureEntry"))
    entry = message(features.nested_type, "FeatureEntry", ("key", one, kinds.TYPE_STRING, None),
                    ("value", one, of, ".tensorflow.Feature"))  # fmt: skip
    entry.options.map_entry = True
    message(file.message_type, "Example", ("features", one, of, ".tensorflow.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def records(data: bytes):
    """TFRecord's frames, their checksums checked as TensorFlow masks them."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        record = data[position + 12 : position + 12 + length]
        for checked, place in ((data[position : position + 8], position + 8), (record, position + 12 + length)):
            plain = google_crc32c.value(checked)
            masked = (((plain >> 15) | (plain << 17)) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack_from("<I", data, place)[0] == masked
        yield record
        position += 16 + length


def test_tensorflow_reads_what_is_written():
    example = example_class()
    found = []
    for record in records(encode(ROWS, "tfrecord")):
        message = example.FromString(record)
        features = message.features.feature
        found.append(
            {name: (features[name].WhichOneof("kind"), list(getattr(features[name], features[name].WhichOneof("kind")).value))
             for name in features}
        )  # fmt: skip
    assert found == [
        {
            "text": ("bytes_list", [b""]),
            "flag": ("int64_list", [1]),
            "small": ("int64_list", [-(2**31)]),
            "large": ("int64_list", [-(2**63)]),
            "real": ("float_list", [0.5]),
            "at": ("int64_list", [-1]),
            "words": ("bytes_list", [b"a", b""]),
            "numbers": ("int64_list", [-1, 300, 0]),
            "reals": ("float_list", [0.25]),
            "flags": ("int64_list", [1, 0]),
        },
        {
            "text": ("bytes_list", ["naïve".encode()]),
            "flag": ("int64_list", [0]),
            "small": ("int64_list", [2**31 - 1]),
            "large": ("int64_list", [2**63 - 1]),
            "real": ("float_list", [float("-inf")]),
            "at": ("int64_list", [1_763_600_000_000_001]),
            "words": ("bytes_list", []),
            "numbers": ("int64_list", []),
            "reals": ("float_list", []),
            "flags": ("int64_list", []),
        },
        {},
    ]


def test_avro_is_read_by_fastavro_with_times_and_nulls(tmp_path):
    (tmp_path / "part.avro").write_bytes(encode(ROWS, "avro"))
    with (tmp_path / "part.avro").open("rb") as file:
        reader = fastavro.reader(file)
        rows = list(reader)
    assert rows == ROWS.to_pylist()
    types = {field["name"]: field["type"] for field in reader.writer_schema["fields"]}
    assert types["at"] == ["null", {"type": "long", "logicalType": "timestamp-micros"}]


def test_parquet_builds_dictionaries_only_where_values_repeat():
    table = pa.table({"key": [f"k{n}" for n in range(5000)], "kind": ["boot", "heel"] * 2500})
    group = pq.ParquetFile(pa.BufferReader(encode(table, "parquet"))).metadata.row_group(0)
    dictionaries = {group.column(n).path_in_schema: group.column(n).has_dictionary_page for n in range(2)}
    assert dictionaries == {"key": False, "kind": True}
    assert group.column(0).compression == "ZSTD"


@pytest.mark.parametrize("file_format", ["parquet", "avro", "tfrecord"])
def test_chosen_columns_come_in_the_order_asked_for(file_format):
    data = encode(ROWS, file_format)
    assert decode(data, file_format, ROWS.schema, ["at", "text"]).equals(ROWS.select(["at", "text"]))


@pytest.mark.parametrize("file_format", ["parquet", "avro", "tfrecord"])
def test_a_part_without_rows_has_its_columns(file_format):
    empty = ROWS.slice(0, 0)
    assert decode(encode(empty, file_format), file_format, ROWS.schema).equals(empty)


@pytest.mark.parametrize("cut", [1, 5, 12, 20])
def test_a_torn_tfrecord_is_refused(cut):
    with pytest.raises(IntegrityError, match=r"TFRecord at byte \d+"):
        decode(encode(ROWS, "tfrecord")[:-cut], "tfrecord", ROWS.schema)


def test_a_flipped_byte_in_a_tfrecord_is_refused():
    data = encode(ROWS, "tfrecord")
    for place in (0, 9, 20, len(data) - 1):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(IntegrityError, match=r"TFRecord at byte \d+"):
            decode(flipped, "tfrecord", ROWS.schema)
