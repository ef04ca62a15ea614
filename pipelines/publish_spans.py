"""TFX: each day a span, each version a version, in folders as `ImportExampleGen` looks for them."""

import os
import shutil
import uuid

from retrolabel.configs.load import Project
from retrolabel.schemas.errors import HookError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import version_numbers

EXAMPLES = "examples"


def link_span(project: Project, record: VersionRecord, manifest: DayManifest) -> None:
    """Links the files of a version's day into `YYYY-MM-DD/version-N/SPLIT/`, statistics and schema beside the splits.

    Hard links: no byte is copied, and the folder appears whole, by one rename. Folders of versions that retention has removed go.

    Raises:
        HookError: the folder is not on the dataset's file system.
    """
    place = project.resolve(str(project.config.on_publish.tfx))
    if not (storage.is_local(place) and storage.is_local(project.root)):
        raise HookError("spans are hard links, which need a local disk")
    day = os.path.join(place, record.date)
    with storage.using(place, "write"):
        os.makedirs(day, exist_ok=True)
        target = os.path.join(day, f"version-{record.version}")
        if not os.path.isdir(target):
            made = os.path.join(day, f"{storage.TEMPORARY}{uuid.uuid4().hex}")
            for part in manifest.files:
                folder = os.path.join(made, str(part.split) if part.kind == EXAMPLES else part.kind)
                if part.kind != "rejects":
                    os.makedirs(folder, exist_ok=True)
                    os.link(storage.join(project.root, part.path), os.path.join(folder, os.path.basename(part.path)))
            os.makedirs(made, exist_ok=True)
            os.rename(made, target)
        kept = {f"version-{number}" for number in version_numbers(project.root)}
        for name in os.listdir(day):
            if name.startswith("version-") and name not in kept:
                shutil.rmtree(os.path.join(day, name))
