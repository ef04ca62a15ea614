"""Work on several elements at once inside one bundle."""

import importlib
import inspect
import re
import threading

import apache_beam as beam
import pytest

from retrolabel.transforms.parallel import ParallelDo


def results_of(do, elements):
    """What a bundle of elements gives, in the order in which it comes."""
    do.start_bundle()
    found = [result for element in elements for result in do.process(element)]
    return found + [windowed.value for windowed in do.finish_bundle()]


def test_results_come_in_the_order_of_the_elements():
    first = threading.Event()

    def function(number):
        if number == 0:
            first.wait()  # until the second is done
        first.set()
        return [number, -number]

    assert results_of(ParallelDo(function, workers=2), range(5)) == [0, 0, 1, -1, 2, -2, 3, -3, 4, -4]


def test_no_more_than_the_workers_and_one_are_in_hand():
    do = ParallelDo(lambda number: [number], workers=2)
    do.start_bundle()
    in_hand = []
    for number in range(10):
        list(do.process(number))
        in_hand.append(len(do.pending))
    assert max(in_hand) == 2


def test_what_fails_fails_the_bundle():
    def function(number):
        raise ValueError(str(number))

    with pytest.raises(ValueError, match="0"):
        results_of(ParallelDo(function), [0])


def test_tagged_results_keep_their_tag_at_the_end_of_a_bundle():
    do = ParallelDo(lambda number: [beam.pvalue.TaggedOutput("other", number)])
    do.start_bundle()
    assert list(do.process(1)) == []
    (last,) = do.finish_bundle()
    assert last.tag == "other"
    assert last.value.value == 1


def test_every_step_computes_on_the_threads_of_the_pool(source_files, root):
    """A generator would compute where it is read: on the one thread of the bundle. Reading is meant to: its blocks come one by one."""
    found = set()
    for name in source_files:
        if name.startswith("transforms/") and name.endswith(".py"):
            module = name.removesuffix(".py").replace("/", ".")
            for step in re.findall(r"(?:ParallelDo|ShardDo)\((_\w+)\(", (root / name).read_text()):
                function = getattr(importlib.import_module(f"retrolabel.{module}"), step).__call__
                assert not inspect.isgeneratorfunction(function), f"{module}.{step} computes on the bundle's own thread"
                found.add(step)
    assert {"_ParseBlock", "_LabelShard", "_AttributeShard", "_WritePart"} <= found
