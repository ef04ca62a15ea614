"""Luigi: a task a day, complete when the newest version holds the day."""

import luigi

from retrolabel.adapters.command import PUBLISHED, run_command
from retrolabel.configs.load import load_project
from retrolabel.transforms.dataset import head_version


class DayTarget(luigi.Target):
    """A day of a dataset: it exists when the newest version holds it."""

    def __init__(self, root: str, date: str) -> None:
        self.root = root
        self.date = date

    def exists(self) -> bool:
        """Whether the day is published."""
        head = head_version(self.root)
        return head is not None and self.date in head.days


class BuildDay(luigi.Task):
    """Builds one day by `retrolabel run --date`; Luigi's own retries wait for data that is not ready."""

    config = luigi.Parameter(description="the config's path")
    date = luigi.DateParameter()
    executable = luigi.Parameter(default="retrolabel", significant=False)

    def output(self) -> DayTarget:
        """The day in the dataset that the config names."""
        return DayTarget(load_project(self.config).root, self.date.isoformat())

    def run(self) -> None:
        """Runs the command.

        Raises:
            RuntimeError: the day was not published.
        """
        ran = run_command(self.config, ["--date", self.date.isoformat(), "--no-wait"], self.executable)
        if ran.exit_code not in PUBLISHED:
            raise RuntimeError(str(ran))
