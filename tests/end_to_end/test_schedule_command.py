"""What `retrolabel schedule` prints works: in Python, in a shell as cron starts one, and for systemd."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.schedule_command import KINDS
from tests.support.daily import click, make_shop, serve


@pytest.fixture
def config(tmp_path):
    """A shop whose path, like its name, wants quoting; two days of logs."""
    path = make_shop(tmp_path / "my 100% shop", "timezone: Europe/Berlin\nschedule: {lag: 26h30m, since: 2026-11-20}\n")
    for date in ("2026-11-19", "2026-11-20", "2026-11-21"):
        serve(tmp_path / "my 100% shop", date)
        click(tmp_path / "my 100% shop", date)
    return path


def printed(kind: str, config: str, *options: str) -> str:
    result = CliRunner().invoke(commands, ["schedule", kind, config, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def versions(config: str) -> list[str]:
    folder = Path(config).parent / "datasets/shop/_versions"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("kind", ["airflow", "luigi", "celery"])
def test_printed_programs_are_python(config, kind):
    compile(printed(kind, config), kind, "exec")


def test_every_kind_is_printed_for_the_shells_too(config):
    assert sorted(KINDS) == ["airflow", "argo", "celery", "cron", "kubeflow", "luigi", "systemd"]
    assert CliRunner().invoke(commands, ["schedule", "jenkins", config]).exit_code == 2


def test_the_line_for_cron_runs_as_cron_runs_it(config):
    (line,) = [line for line in printed("cron", config).splitlines() if not line.startswith("#")]
    fields = line.split(maxsplit=5)
    assert fields[:5] == ["30", "*", "*", "*", "*"]
    # cron ends the command at the first % that is not escaped, and takes the backslash away.
    assert not re.search(r"(?<!\\)%", fields[5])
    command = fields[5].replace(r"\%", "%").replace(" --no-wait", " --no-wait --now 2026-11-22T12:00:00Z")
    for _ in range(2):  # with nothing to do it ends with 0, too: cron would send mail
        assert subprocess.run(["/bin/sh", "-c", command], cwd="/", env={"PATH": "/usr/bin:/bin"}).returncode == 0
    assert versions(config) == ["00000001.json"]
    assert "published version 1" in Path(config).with_suffix(".log").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_units_and_knows_the_time(config, tmp_path):
    for text in re.split(r"(?=^# /etc/)", printed("systemd", config), flags=re.M)[1:]:
        (tmp_path / re.match(r"# /etc/systemd/system/(\S+)", text)[1]).write_text(text)
    units = [str(tmp_path / f"retrolabel-shop.{kind}") for kind in ("service", "timer")]
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert [line for line in verified.stderr.splitlines() if "retrolabel" in line] == []
    (moment,) = re.findall(r"^OnCalendar=(.*)$", Path(units[1]).read_text(), re.M)
    assert moment == "*-*-* 02:30:00 Europe/Berlin"
    told = subprocess.run(["systemd-analyze", "calendar", moment], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    (started,) = re.findall(r"^ExecStart=(.*)$", Path(units[0]).read_text(), re.M)
    assert shlex.split(started.replace("%%", "%"))[1:] == ["run", config]
