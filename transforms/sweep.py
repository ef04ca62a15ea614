"""What builds left below a dataset's folder and no version lists."""

import re
import time

from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import card_path, read_day_manifest, read_version, report_path, version_numbers
from retrolabel.transforms.receipts import receipt_ids, suffix_of

_BUILT = re.compile(
    r"(?:\d{4}-\d\d-\d\d/[0-9a-f]{16}(?P<build>-[0-9a-f]{8})?|_tmp/[^/-]+(?P<run>-[0-9a-f]{8})?)/.+"
    r"|_(?:versions|receipts|hooks)/\.tmp-[^/]+|_reports/(?:\d{8}\.html|\.tmp-[^/]+)|croissant-\d{8}\.json|\.tmp-[^/]+"
)
"""What builds write below a dataset's folder, and nothing that a person may have put there."""


def unlisted(root: str, older_than: float) -> dict[str, int]:
    """The files below a dataset's folder that builds wrote and no version lists, with their sizes.

    Args:
        root: the dataset's folder.
        older_than: seconds since a file was last changed; younger ones may belong to a running build, and so may all files of
            a temporary folder while one of them is young. What was written in ignorance of somebody who was forgotten meanwhile
            is found whatever its age: no build can publish it any more.

    Raises:
        InputError: there is no dataset, nor anything that a killed build left.
        IntegrityError: a manifest cannot be read; then nobody can say what it lists.
    """
    # Before the receipts: what was written by then knows no others. Before the versions: what a build commits in between is listed by then.
    written = {path: found for path, found in storage.list_files(root).items() if _BUILT.fullmatch(path)}
    if not written:
        read_version(root)  # says what is wrong, unless the dataset is merely clean
    receipts = receipt_ids(root)
    listed = listed_files(root)
    changed: dict[str, float] = {}
    for path, (_, moment) in written.items():
        changed[_owner(path)] = max(moment, changed.get(_owner(path), moment))
    now = time.time()
    return {
        path: size
        for path, (size, _) in written.items()
        if path not in listed and (now - changed[_owner(path)] >= older_than or _is_ignorant(path, receipts))
    }


def sweep(root: str, older_than: float, *, dry_run: bool = False) -> dict[str, int]:
    """Removes what `unlisted` finds, and the folders that are empty then; gives what was, or would be, removed."""
    found = unlisted(root, older_than)
    if not dry_run:
        receipts = receipt_ids(root)
        for path in sorted(found):
            # A build that needs the very file has made it young meanwhile.
            changed = storage.modified(storage.join(root, path))
            if changed is not None and (time.time() - changed >= older_than or _is_ignorant(path, receipts)):
                storage.delete(storage.join(root, path))
        for folder in {path.partition("/")[0] for path in found} - {"_versions"}:
            storage.remove_empty_folders(storage.join(root, folder))
    return found


def listed_files(root: str) -> set[str]:
    """Every file that any version lists, and its report and card; a version that goes at the same moment lists none."""
    listed: set[str] = set()
    read: set[str] = set()
    for number in version_numbers(root):
        try:
            manifests = set(read_version(root, number).days.values())
            for path in manifests - read:
                listed.update(part.path for part in read_day_manifest(root, path).files)
        except (InputError, IntegrityError):
            if number in version_numbers(root):
                raise
            continue
        read |= manifests
        listed |= {report_path(number), card_path(number), *manifests}
    return listed


def _is_ignorant(path: str, receipts: tuple[str, ...]) -> bool:
    """Whether a build or run wrote a file that did not know all receipts, or it is the report or card of a version that is gone."""
    match = _BUILT.fullmatch(path)
    if not receipts or match is None or path.rpartition("/")[0] in ("_versions", "_receipts", "_hooks"):
        return False
    if path.startswith("_reports/") or "/" not in path:
        return path.endswith((".html", ".json"))
    return (match["build"] or match["run"] or "") != suffix_of(receipts)


def _owner(path: str) -> str:
    """What grows old as one: the temporary folder of a run, else the file by itself."""
    return "/".join(path.split("/")[:2]) if path.startswith("_tmp/") else path
