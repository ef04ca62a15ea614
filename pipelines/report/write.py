"""The report and the data card that every build leaves beside its version."""

from retrolabel.pipelines.report.card import write_card
from retrolabel.pipelines.report.material import gather
from retrolabel.pipelines.report.page import render
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import REPORTS, read_version, report_path


def write_report(root: str, version: int, *, again: bool = False) -> str:
    """Writes the report of a version, and before it its card, unless it is there: a view of what is published, so whoever writes it writes the same.

    Args:
        root: the dataset's folder.
        version: its number.
        again: whether it is written even if it is there, because the version was made to forget somebody.

    Returns:
        Its path, relative to the dataset's folder.
    """
    path = report_path(version)
    if again or path.removeprefix(f"{REPORTS}/") not in storage.list_files(storage.join(root, REPORTS)):
        record = None
        while record != (record := read_version(root, version)):  # again if somebody was forgotten while it was written
            write_card(root, version)
            storage.write_once(storage.join(root, path), render(gather(root, version)).encode())
    return path
