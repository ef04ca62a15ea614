import os
import subprocess
import sys

import pytest

from retrolabel.pipelines.cli import quick_sorts

SETTING = "NPY_DISABLE_CPU_FEATURES"
ZEN4 = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTING, raising=False)


def test_on_zen_4_numpy_is_told_while_it_is_imported_and_nobody_after() -> None:
    with quick_sorts(ZEN4):
        assert "X86_V4" in os.environ[SETTING]
    assert SETTING not in os.environ


def test_names_that_numpy_does_not_know_are_no_error_where_warnings_are() -> None:
    code = f"from retrolabel.pipelines.cli import quick_sorts\nwith quick_sorts({ZEN4!r}): import numpy"
    ran = subprocess.run([sys.executable, "-W", "error::ImportWarning", "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "processor",
    [ZEN4.replace("AuthenticAMD", "GenuineIntel"), ZEN4.replace("25", "26"), "CPU implementer\t: 0x41\n", ""],
)
def test_other_processors_keep_all_they_have(processor: str) -> None:
    with quick_sorts(processor):
        assert SETTING not in os.environ


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "AVX512_SPR")
    with quick_sorts(ZEN4):
        assert os.environ[SETTING] == "AVX512_SPR"
    assert os.environ[SETTING] == "AVX512_SPR"
