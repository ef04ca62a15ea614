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


def test_an_adapter_imports_nothing_heavy_where_dags_are_parsed() -> None:
    code = "import retrolabel.adapters.command, sys; print(sorted({'pyarrow', 'apache_beam', 'pydantic'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
