"""The report that every build leaves beside its version."""

from retrolabel.pipelines.report.material import gather
from retrolabel.pipelines.report.page import render
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import REPORTS, report_path


def write_report(root: str, version: int) -> str:
    """Writes the report of a version, unless it is there: a view of what is published, so whoever writes it writes the same.

    Returns:
        Its path, relative to the dataset's folder.
    """
    path = report_path(version)
    if path.removeprefix(f"{REPORTS}/") not in storage.list_files(storage.join(root, REPORTS)):
        storage.write_once(storage.join(root, path), render(gather(root, version)).encode())
    return path
