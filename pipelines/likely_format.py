"""Which formats fit the beginnings of files."""

from collections.abc import Iterator, Mapping, Sequence

from retrolabel.configs.load import Project
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import sample_of

BARELY = 0.25
"""What a format says of a file that is hardly its own."""

_LOOKED_AT = 3
"""Files of a source."""

_CLEARLY = 0.1
"""By how much another format fits better than the one that a config names, before it is told."""


def fits(samples: Sequence[bytes]) -> Mapping[str, float]:
    """How well each format fits the beginnings of some files, from 0 to 1; nothing if there are none."""
    if not samples:
        return {}
    return {found.name: sum(map(found.sniff, samples)) / len(samples) for found in FORMATS.values()}


def other_formats(project: Project, inputs: Sequence[Input]) -> Iterator[str]:
    """A hint for each source whose files look like another format than the one that the config names."""
    for name in project.sources:
        declared = project.source(name).format
        files = [file.path for file in inputs if file.source == name and file.query is None]
        found = fits([sample for sample in map(sample_of, dict.fromkeys(files[:_LOOKED_AT])) if sample.strip()])
        best = max(found, key=lambda other: found[other], default=declared)
        if declared in FORMATS and best != declared and found[best] > found[declared] + _CLEARLY:
            yield f"{name}: its files look like '{best}', the config says 'format: {declared}' (docs/formats.md)"
