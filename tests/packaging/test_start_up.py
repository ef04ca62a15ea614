"""What is imported when: a short command must not pay for Beam, and a kernel must not need it."""

import subprocess
import sys

import pytest

HELP = """
import sys
from click.testing import CliRunner
from retrolabel.pipelines.cli import commands
result = CliRunner().invoke(commands, ["--help"])
assert result.exit_code == 0, result.output
assert "Commands:" in result.output, result.output
"""

EVERY_KERNEL_AND_FORMAT = """
import importlib, pkgutil, sys
from retrolabel.transforms import formats, kernels
for package in (formats, kernels):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""


@pytest.mark.parametrize("code", [HELP, EVERY_KERNEL_AND_FORMAT], ids=["retrolabel --help", "kernels and formats"])
def test_beam_is_not_imported(code: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", code + "\nprint('apache_beam' in sys.modules)"], capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "False"


def test_a_command_that_looks_imports_what_it_looks_with() -> None:
    code = """
import sys
import retrolabel.pipelines.show_command, retrolabel.pipelines.versions_command
print(sorted({'pandas', 'requests', 'apache_beam', 'pyarrow.dataset'} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_garbage_is_collected_once_a_command_is_imported_and_what_was_imported_is_left_alone() -> None:
    code = """
import atexit, gc, sys
from retrolabel.pipelines.cli import main
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))
sys.argv = ["retrolabel", "versions", "nowhere"]
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "error:" in result.stderr
    assert result.stdout.strip() == "True True"


def test_an_adapter_imports_nothing_heavy_where_dags_are_parsed() -> None:
    code = "import retrolabel.adapters.command, sys; print(sorted({'pyarrow', 'apache_beam', 'pydantic'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
