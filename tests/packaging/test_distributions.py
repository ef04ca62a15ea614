"""The distributions hold every source file, and work where nothing but them and the dependencies is installed."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.environments import clean_environment as make_environment

ROOMS = ("pipelines/", "transforms/", "schemas/", "configs/", "adapters/")
FRONT_DOOR = "src/retrolabel/"
COMPILED = "retrolabel/transforms/kernels/_scan.abi3.so"


def name_in_wheel(source: str) -> str | None:
    if source.startswith(FRONT_DOOR):
        return "retrolabel/" + source.removeprefix(FRONT_DOOR)
    return f"retrolabel/{source}" if source.startswith(ROOMS) else None


def test_the_wheel_holds_exactly_the_files_of_the_rooms_and_the_front_door(
    wheel: Path, source_files: list[str]
) -> None:
    expected = {name for name in map(name_in_wheel, source_files) if name and not name.endswith(".c")}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name and name != COMPILED}

    assert "retrolabel/py.typed" in packed
    assert packed - expected == set(), "packed, but not a source file"
    assert expected - packed == set(), "a source file that setup.py does not pack (ROOMS or package_data)"


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no compiler")
def test_the_wheel_serves_every_python_from_the_oldest_on(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        assert COMPILED in archive.namelist()


def test_without_a_compiler_the_package_is_built_and_reads_as_well(
    root: Path, source_files: list[str], tmp_path: Path
) -> None:
    for name in source_files:
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, tmp_path / "checkout" / name)
    build = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tmp_path / "checkout")],
        env=os.environ | {"CC": "/nonexistent/cc"}, capture_output=True, text=True,
    )  # fmt: skip
    assert build.returncode == 0, build.stdout + build.stderr
    (wheel,) = tmp_path.glob("*.whl")
    make_environment(tmp_path / "venv", wheel)
    script = (
        "import numpy as np; from retrolabel.transforms.kernels import compiled, json_block as block\n"
        "table, rows, _ = block.read_objects(b'{\"a\":1}', np.array([0]), np.array([7]), np.array([0]), [block.Shape({('a',): 'int'})])\n"
        "print(compiled.scan, table.to_pylist(), rows)"
    )
    result = run([str(tmp_path / "venv/bin/python"), "-c", script], tmp_path)
    assert (result.stderr, result.stdout) == ("", "None [{'a': 1}] [0]\n")


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
