"""Text fits the terminal that it is shown on, and is left as it is elsewhere."""

import contextlib
import os
import pty
import subprocess
import sys

import pytest

from retrolabel.pipelines.tell import fitted


def test_lines_are_broken_between_words_and_go_on_indented():
    assert (
        fitted("  train  7  clicked 30 true (0.39%)\nshort", 24) == "  train  7  clicked 30\n      true (0.39%)\nshort"
    )


@pytest.mark.parametrize("text", ["a/path/without/any/space/" * 5, "  column    string   1", "", "two  spaces   stay"])
def test_words_and_what_is_short_stay_whole(text):
    assert fitted(text, 24).split() == text.split()
    assert max(map(len, fitted(text, 24).split("\n"))) <= max(24, *(len(word) for word in text.split() or [""]))


def printed(code: str, *, terminal: bool, **environment: str) -> bytes:
    """What a program prints, on a terminal or into a pipe."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with open(ours, "rb", buffering=0) as reader:
        subprocess.run([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env={**os.environ, **environment})
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # so ends what is read of a terminal that nobody writes to any more
            while piece := reader.read(4096):  # a terminal hands on what it has got so far
                told += piece
        return told


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_is_fitted(terminal):
    code = "from retrolabel.pipelines.tell import tell; tell('word ' * 30)"
    assert (len(printed(code, terminal=terminal, COLUMNS="40").splitlines()) > 3) == terminal


@pytest.mark.parametrize(("terminal", "no_color"), [(True, ""), (True, "1"), (False, "")])
def test_errors_are_red_on_terminals_unless_nobody_wants_colours(terminal, no_color):
    code = "import sys; sys.argv = ['retrolabel', 'versions', 'nowhere']; from retrolabel.pipelines.cli import main; main()"
    told = printed(code, terminal=terminal, NO_COLOR=no_color)
    assert b"error:" in told
    assert (b"\x1b[31m" in told) == (terminal and not no_color)
