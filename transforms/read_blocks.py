"""The step that reads: from files to blocks of whole records."""

import dataclasses
import itertools
from collections.abc import Iterable

import apache_beam as beam
import msgspec

from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.parallel import ParallelDo
from retrolabel.transforms.plan import BuildPlan, Input
from retrolabel.transforms.read import blocks_of, stretches_of
from retrolabel.transforms.small_files import grouped, together

_ASKED_AT_ONCE = 8
"""Slices of log stores that are read at a time."""

_Inputs = tuple[Input, ...]
_Blocks = tuple[Block, ...]


@dataclasses.dataclass(eq=False)
class ReadBlocks(beam.PTransform):
    """Groups small files, cuts large ones into stretches, and reads these into blocks of whole records.

    They are cut on the workers, and not when the pipeline is made, so that a terabyte is told to the engine as its files, not as a hundred thousand stretches.
    """

    plan: BuildPlan
    inputs: tuple[Input, ...]

    def expand(self, root: beam.Pipeline) -> beam.PCollection[tuple[Block, ...]]:
        """Gives blocks, those of several small files together. The work is in `blocks_of`, which needs no Beam."""
        return (
            root
            | "Inputs" >> beam.Create(tuple(grouped(self.inputs)), reshuffle=False)
            | "Stretches" >> beam.FlatMap(_elements_of).with_output_types(_Inputs)
            | "Spread" >> beam.Reshuffle()
            | "ReadBlocks" >> beam.ParDo(ParallelDo(_Read(self.plan), _ASKED_AT_ONCE)).with_output_types(_Blocks)
        )


def _elements_of(group: tuple[Input, ...]) -> Iterable[tuple[Input, ...]]:
    return [group] if len(group) > 1 else [(stretch,) for stretch in stretches_of(group[0])]


@dataclasses.dataclass(frozen=True)
class _Read:
    """Reads blocks one by one as they are asked for; a slice of a log store on the thread that waits for its answers."""

    plan: BuildPlan

    def __call__(self, stretches: tuple[Input, ...]) -> Iterable[tuple[Block, ...]]:
        reader = self.plan.sources[stretches[0].source].reader
        blocks = itertools.chain.from_iterable(blocks_of(stretch, reader) for stretch in stretches)
        if len(stretches) > 1:
            return together(blocks, reader)
        alone = ((block,) for block in blocks)
        return alone if stretches[0].query is None else list(alone)


class BlockCoder(beam.coders.Coder):
    """Blocks travel inside a stage only; should a runner cut there all the same, they travel as MessagePack."""

    def encode(self, block: Block) -> bytes:
        return msgspec.msgpack.encode(dataclasses.astuple(block))

    def decode(self, encoded: bytes) -> Block:
        fields = msgspec.msgpack.decode(encoded)
        fields[4] = tuple(tuple(line) for line in fields[4])
        return Block(*fields)

    def estimate_size(self, block: Block) -> int:
        return len(block.data)

    def is_deterministic(self) -> bool:
        return True


beam.coders.registry.register_coder(Block, BlockCoder)
