"""Each room is one package under one name: listed in setup.py, and refused under its bare folder name."""

import ast
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

TOP_ROOMS = ["pipelines", "transforms", "schemas", "configs", "adapters"]


def listed_rooms(setup_py: Path) -> list[str]:
    for node in ast.parse(setup_py.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS":
            return ast.literal_eval(node.value)
    raise AssertionError("setup.py no longer assigns ROOMS")


def test_setup_py_lists_every_folder_of_modules(root: Path, source_files: list[str]) -> None:
    folders = {
        str(path.parent).replace("/", ".")
        for path in map(PurePosixPath, source_files)
        if path.suffix == ".py" and path.parts[0] in TOP_ROOMS
    }

    assert sorted(listed_rooms(root / "setup.py")) == sorted(folders)


def test_every_room_has_an_init_file(root: Path) -> None:
    rooms = listed_rooms(root / "setup.py")

    assert [room for room in rooms if not (root / room.replace(".", "/") / "__init__.py").is_file()] == []


@pytest.mark.parametrize("room", TOP_ROOMS)
def test_a_room_imported_by_its_bare_name_says_which_name_to_use(root: Path, room: str) -> None:
    result = subprocess.run([sys.executable, "-c", f"import {room}"], cwd=root, capture_output=True, text=True)

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"ImportError: import retrolabel.{room}, not {room}"
