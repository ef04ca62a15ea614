"""constraints.txt pins what pyproject.toml asks for, and works with whatever package source pip is configured with."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINS = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
VERSIONS = {canonicalize_name(name): version for name, version in (pin.split("==") for pin in PINS)}


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])
def test_each_dependency_is_pinned_within_its_bounds(text: str) -> None:
    requirement = Requirement(text)

    assert VERSIONS[canonicalize_name(requirement.name)] in requirement.specifier


def test_constraints_are_exact_versions_and_name_no_package_source() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", pin)] == []


def test_what_every_user_installs_names_each_library_once() -> None:
    names = [canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]]

    assert sorted(names) == sorted(set(names))
    assert {"apache-beam", "fastavro", "pandas", "pyyaml"} <= set(names)
