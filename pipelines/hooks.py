"""What follows a publication: each version is told once to each hook, in order, by whichever run comes to it.

How far a hook has come is a number in the dataset's folder, moved on after the hook has succeeded. So a version that a killed run, or a
failing receiver, or `retrolabel build` left untold is told by the next run, and a version may be told twice, never not at all.
"""

import json
from collections.abc import Callable, Iterator

from retrolabel.configs.load import Project
from retrolabel.pipelines.notify import run_program, send_webhook, write_message
from retrolabel.pipelines.publish_iceberg import register_version
from retrolabel.pipelines.publish_lineage import send_lineage
from retrolabel.pipelines.publish_spans import link_span
from retrolabel.schemas.errors import HookError, InputError, RetrolabelError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers

HOOKS: dict[str, Callable[[Project, VersionRecord, DayManifest], None]] = {
    "iceberg": register_version,
    "tfx": link_span,
    "openlineage": send_lineage,
    "file": write_message,
    "command": run_program,
    "webhook": send_webhook,
}
"""Of each key of `on_publish` what it does; catalogs come first, so that who is notified finds them up to date."""


def begin_hooks(project: Project) -> None:
    """Notes, for hooks that are new, that what was published before them is not theirs to tell."""
    for name in _configured(project):
        if _told_up_to(project.root, name) is None:
            before = max(version_numbers(project.root), default=0)
            # Another run may have begun, published and noted more meanwhile: what it has not told yet must not count as told.
            storage.create_if_absent(_path(project.root, name), _receipt(before))


def run_hooks(project: Project) -> Iterator[HookError]:
    """Tells each hook of the versions that it was not told of yet; gives the failures, one a hook, which the next run repeats."""
    for name in _configured(project):
        try:
            for number in version_numbers(project.root):
                if number > (_told_up_to(project.root, name) or 0):
                    try:
                        record = read_version(project.root, number)
                    except InputError:  # retention of another run removed it since it was listed
                        continue
                    HOOKS[name](project, record, read_day_manifest(project.root, record.days[record.date]))
                    _note(project.root, name, number)
        except RetrolabelError as error:
            yield HookError(
                f"version {number} is published, but on_publish.{name} failed: {error}. The next `retrolabel run` repeats it"
            )


def _configured(project: Project) -> list[str]:
    return [name for name in HOOKS if getattr(project.config.on_publish, name) is not None]


def _told_up_to(root: str, name: str) -> int | None:
    try:
        number: int = json.loads(storage.read_bytes(_path(root, name)))["version"]
    except FileNotFoundError:
        return None
    return number


def _note(root: str, name: str, version: int) -> None:
    storage.write_once(_path(root, name), _receipt(version))


def _receipt(version: int) -> bytes:
    return f'{{"version": {version}}}\n'.encode()


def _path(root: str, name: str) -> str:
    return storage.join(root, "_hooks", f"{name}.json")
