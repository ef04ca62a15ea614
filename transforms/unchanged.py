"""Whether a build has anything to do."""

from collections.abc import Sequence

import google_crc32c
from apache_beam.io.filesystem import CompressionTypes

from retrolabel.schemas.manifest import VersionRecord
from retrolabel.transforms.dataset import read_day_manifest
from retrolabel.transforms.plan import BuildPlan, Input
from retrolabel.transforms.read import reading
from retrolabel.transforms.storage import beam_filesystems


def is_unchanged(plan: BuildPlan, inputs: Sequence[Input], head: VersionRecord) -> bool:
    """Whether the newest version was built from the same config, software and bytes.

    The build's identity covers all but the bytes; these are read and compared with the manifest's checksums, which is far
    quicker than a build.
    """
    if any(
        file.query for file in inputs
    ):  # a log store has no checksum: what was read is compared when it is published
        return False
    built = head.days.get(plan.date.isoformat())
    if (
        built is None or built.split("/")[1].partition("-")[0] != plan.build
    ):  # what follows says whom the build knew to be forgotten
        return False
    manifest = read_day_manifest(plan.root, built)
    if manifest.anonymity and manifest.erasures:  # groups have lost people: they are to be counted again
        return False
    known = {(file.source, file.path): file.crc32c for file in manifest.inputs}
    return (
        len(known) == len(inputs) + len(plan.copies)
        and all(known.get((file.source, file.path)) == file.crc32c for file in plan.copies)
        and all(known.get((file.source, file.name)) == _checksum(file) for file in inputs)
    )


def _checksum(file: Input) -> str:
    checksum = 0
    with (
        reading(file.name),
        beam_filesystems().open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stored,
    ):
        while data := stored.read(8 * 2**20):
            checksum = google_crc32c.extend(checksum, data)
    return f"{checksum:08x}"
