"""Work on several blocks at once inside one bundle."""

import collections
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="retrolabel")


class ParallelDo(beam.DoFn):
    """Calls a function of one element on a pool of threads, and yields what it returns in the order of the elements.

    At most as many elements as threads, and one more, are held at a time; what is left is drained when the bundle ends. By default there
    are as many threads as cores: Arrow and DuckDB release the interpreter's lock while they compute. The function returns its results: what a
    generator yields would be computed where it is read, on the bundle's own thread.
    """

    def __init__(self, function: Callable[..., Iterable[Any]], workers: int = _cores) -> None:
        self.function = function
        self.workers = workers

    def start_bundle(self) -> None:
        """A bundle starts with nothing in hand."""
        self.pending: collections.deque[Future[Iterable[Any]]] = collections.deque()

    def process(self, element, *side_inputs):  # type: ignore[no-untyped-def]  # Beam would take annotations for types of elements
        """Hands the element to the pool; yields what has to be waited for to stay within bounds."""
        self.pending.append(_pool(self.workers).submit(self.function, element, *side_inputs))
        while len(self.pending) > self.workers:
            yield from self.pending.popleft().result()

    def finish_bundle(self) -> Iterator[Any]:
        """Waits for the rest."""
        window = GlobalWindow()
        while self.pending:
            for result in self.pending.popleft().result():
                tagged = isinstance(result, beam.pvalue.TaggedOutput)
                value = WindowedValue(result.value if tagged else result, window.max_timestamp(), (window,))
                yield beam.pvalue.TaggedOutput(result.tag, value) if tagged else value
