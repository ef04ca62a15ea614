"""`make fuzz`: coverage-guided fuzzing with Atheris (https://github.com/google/atheris), a time budget a target.

A failure does not end a run: the smallest input of each kind of failure is kept under build/fuzz/TARGET/failures, and the run goes on. A
hang, a crash of the process, or too much memory ends it, and leaves the input beside them. Inputs that reached new code are kept too, and the
next run begins with them. What was mended moves to tests/data/fuzz/TARGET, where tests/property/test_fuzz.py tries it for ever.
"""

import argparse
import hashlib
import pathlib
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

FOLDER = pathlib.Path("build/fuzz")
TIMEOUT = 30
"""Seconds after which an input counts as a hang; the largest takes well below one."""
MEMORY = 3000
"""Megabytes that a process may take; Beam, Arrow and DuckDB alone take 400."""
LARGEST = 4096
"""Bytes of an input."""


def main() -> int:
    """Fuzzes targets one after the other; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="Default: all.")
    parser.add_argument("--seconds", type=int, default=60, help="For each target.")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _fuzz(arguments.targets[0], arguments.seconds)
    from tests.fuzz.targets import TARGETS

    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no target is called {unknown.pop()!r}; there are {', '.join(sorted(TARGETS))}")
    failed = False
    for name in arguments.targets or sorted(TARGETS):
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz", "--child", "--seconds", str(arguments.seconds), name]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        taken = time.monotonic() - began
        inputs = re.search(r"stat::number_of_executed_units:\s+(\d+)", ran.stderr)
        memory = re.search(r"stat::peak_rss_mb:\s+(\d+)", ran.stderr)
        failures = [path for path in sorted((FOLDER / name / "failures").glob("*")) if path.suffix != ".txt"]
        failed |= bool(failures) or ran.returncode != 0
        told = (
            f"{int(inputs[1]):,} inputs, {int(inputs[1]) / taken:,.0f}/s" if inputs else f"ended with {ran.returncode}"
        )
        print(f"{name}: {told}, {memory[1] if memory else '?'} MB, {len(failures)} failures", flush=True)
        if not inputs:
            print(ran.stderr[-2000:], flush=True)
        for failure in failures:
            print(f"  {failure}", flush=True)
    return failed


def _fuzz(name: str, seconds: int) -> None:
    """Fuzzes one target, and ends the process."""
    import atheris

    with atheris.instrument_imports(include=["retrolabel"]):
        from tests.fuzz.targets import TARGETS
    target, home = TARGETS[name], FOLDER / name
    for folder in ("corpus", "failures"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (home / "corpus" / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    known: dict[str, int] = {}

    def once(data: bytes) -> None:
        try:
            target.check(data)
        except Exception as error:  # noqa: BLE001 - whatever is no verdict is a failure
            kind = signature(error)
            if len(data) < known.get(kind, sys.maxsize):
                smallest = smaller(data, kind, target.check) if kind not in known else data
                known[kind] = len(smallest)
                path = home / "failures" / hashlib.sha256(kind.encode()).hexdigest()[:12]
                path.write_bytes(smallest)
                path.with_suffix(".txt").write_text(
                    "".join(traceback.format_exception(error))[-6000:], errors="replace"
                )

    options = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY}", f"-max_len={LARGEST}", "-print_final_stats=1", f"-report_slow_units={TIMEOUT}",
               "-verbosity=0", f"-artifact_prefix={home}/failures/", str(home / "corpus")]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()


def signature(error: BaseException) -> str:
    """What tells one failure from another: the kind of error, and where in the product it came up."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/retrolabel/" in frame.filename or "/tests/" in frame.filename
    ]
    return f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def smaller(data: bytes, kind: str, check: Callable[[bytes], None], seconds: float = 20.0) -> bytes:
    """A part of an input that fails in the same way, found by leaving out stretches."""
    end, length = time.monotonic() + seconds, max(len(data) // 2, 1)
    while length and time.monotonic() < end:
        start = 0
        while start < len(data) and time.monotonic() < end:
            fewer = data[:start] + data[start + length :]
            try:
                check(fewer)
            except Exception as error:  # noqa: BLE001 - as above
                if signature(error) == kind:
                    data = fewer
                    continue
            start += length
        length //= 2
    return data


if __name__ == "__main__":
    sys.exit(main())
