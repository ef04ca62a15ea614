"""Work in forks of this process, which may be killed there."""

import os
from collections.abc import Callable


def forked(work: Callable[[], None]) -> int:
    """Starts work in a fork of this process; gives its number."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def status_of(child: int) -> int:
    """Waits for a fork; gives its exit code, or the signal that killed it, negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
