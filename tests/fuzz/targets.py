"""What is fuzzed: a check that raises if its promise is broken, and inputs to begin with."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from retrolabel.transforms.formats import FORMATS
from tests.fuzz import formats, others


@dataclasses.dataclass(frozen=True)
class Target:
    """Something that reads what others wrote."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]


TARGETS: dict[str, Target] = {
    **{
        name: Target(functools.partial(formats.check_format, name), functools.partial(formats.seeds_of, name))
        for name in FORMATS
    },
    "cloud_logging_entry": Target(others.check_cloud_logging, others.cloud_logging_seeds),
    "compressed": Target(others.check_compressed, others.compressed_seeds),
    "config": Target(others.check_config, others.config_seeds),
    "contract": Target(others.check_contract, others.contract_seeds),
    "dataset": Target(others.check_dataset, others.dataset_seeds),
    "elasticsearch_answer": Target(others.check_elasticsearch, others.elasticsearch_seeds),
    "forward": Target(others.check_forward, others.forward_seeds),
    "init": Target(others.check_init, others.init_seeds),
    "name": Target(others.check_name, others.name_seeds),
    "part": Target(others.check_part, others.part_seeds),
    "protos": Target(others.check_protos, others.proto_seeds),
    "record": Target(others.check_record, others.record_seeds),
    "sql": Target(others.check_expression, others.expression_seeds),
    "value": Target(others.check_value, others.value_seeds),
}
