"""The distributions hold every source file, and work where nothing but them and the dependencies is installed."""

import os
import subprocess
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.environments import clean_environment as make_environment

ROOMS = ("pipelines/", "transforms/", "schemas/", "configs/", "adapters/")
FRONT_DOOR = "src/retrolabel/"


def name_in_wheel(source: str) -> str | None:
    if source.startswith(FRONT_DOOR):
        return "retrolabel/" + source.removeprefix(FRONT_DOOR)
    return f"retrolabel/{source}" if source.startswith(ROOMS) else None


def test_the_wheel_holds_exactly_the_files_of_the_rooms_and_the_front_door(
    wheel: Path, source_files: list[str]
) -> None:
    expected = {name for name in map(name_in_wheel, source_files) if name}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert "retrolabel/py.typed" in packed
    assert packed - expected == set(), "packed, but not a source file"
    assert expected - packed == set(), "a source file that setup.py does not pack (ROOMS or package_data)"


def test_the_wheel_carries_the_license(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(name) == (root / "LICENSE").read_bytes()


def test_the_source_distribution_holds_nothing_of_the_build_folder(distributions: Path) -> None:
    (path,) = distributions.glob("retrolabel-*.tar.gz")
    with tarfile.open(path) as archive:
        folders = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 2}

    assert {"src", "pipelines", "transforms", "schemas", "configs"} <= folders
    assert not folders & {"build", "dist", ".venv"}


@pytest.fixture(scope="module")
def clean_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it, which borrows only the dependencies of the running one."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    make_environment(folder, wheel)
    return folder


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_console_script_runs_in_a_clean_environment_from_any_folder(
    clean_environment: Path, tmp_path: Path
) -> None:
    result = run([str(clean_environment / "bin/retrolabel"), "--version"], tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip().endswith(version("retrolabel"))


@pytest.mark.parametrize("place", ["elsewhere", "in the checkout"])
def test_the_module_runs_in_a_clean_environment(
    clean_environment: Path, root: Path, tmp_path: Path, place: str
) -> None:
    folder = root if place == "in the checkout" else tmp_path
    python = str(clean_environment / "bin/python")

    help_text = run([python, "-m", "retrolabel", "--help"], folder)
    location = run([python, "-c", "import retrolabel.pipelines.cli as m; print(m.__file__)"], folder)

    assert (help_text.returncode, help_text.stderr) == (0, "")
    assert "Usage:" in help_text.stdout
    assert Path(location.stdout.strip()).is_relative_to(clean_environment), "imported another copy of the package"
