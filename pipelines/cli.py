"""The `retrolabel` command: one subcommand per file of this folder, imported only when it is called."""

import atexit
import contextlib
import errno
import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

from retrolabel.pipelines.tell import tell
from retrolabel.schemas.errors import RetrolabelError, StorageError, did_you_mean, printable
from retrolabel.transforms.storage import told

COMMANDS = {
    "build": "Build a day of a dataset and publish it as a new version.",
    "run": "Build whatever days need it: the daily command of a scheduler.",
    "init": "Look at logs, and write a config and contracts for them.",
    "check": "Check a config, its contracts, SQL and paths; report every problem at once.",
    "freshness": "Show how fresh the logs are, and whether they hold what is usual.",
    "collect": "Receive logs from Fluentd, Fluent Bit and fluent-logger.",
    "explain": "Show the steps of a build and its SQL.",
    "show": "Show what is in a version of a dataset.",
    "schedule": "Print what cron, systemd, Airflow, Argo, Kubeflow, Luigi or Celery need to run it.",
    "status": "Show the calendar of days: version, maturity, what is odd, age.",
    "monitor": "Measure the model in production from its scores and the labels that came.",
    "report": "Write a report of a version: one file of HTML, to be read offline.",
    "trend": "Show what changed over the days of a dataset, and since when.",
    "versions": "List the versions of a dataset.",
    "card": "Print the data card of a version: sources, purpose, fields, files (Croissant).",
    "stats": "Compute statistics of any files.",
    "schema": "Infer, compare and update what data must be like.",
    "validate": "Check statistics against a schema, another day and serving.",
    "skew": "Compare features as logged at serving time with those found in training.",
    "rejects": "List the lines that were rejected, with reasons.",
    "forget": "Erase people from every version, and keep them out of later ones.",
    "verify": "Read every file of a dataset, and name those that are missing, cut or changed.",
    "gc": "Remove what killed builds left.",
}
"""Each subcommand, in the order in which a user meets them; its module is `<name>_command` and calls it `command`."""


_AVX512 = "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
"""What numpy calls it, now and before 2.4; it warns of names that it does not know."""


@contextlib.contextmanager
def quick_sorts(processor: str) -> Iterator[None]:
    """Has numpy, when it is imported, leave AVX-512 alone on AMD's Zen 4.

    There the instruction that writes some numbers of a register to memory is so slow that sorting takes two to four times as long as with
    AVX2 (ARCHITECTURE.md). What the user has set for numpy stays.

    Args:
        processor: the beginning of what Linux tells of it; family 25 is Zen 3, which has no AVX-512, and Zen 4.
    """
    setting = "NPY_DISABLE_CPU_FEATURES"
    told = processor.split()
    if setting in os.environ or "AuthenticAMD" not in told or "family : 25" not in " ".join(told):
        yield
        return
    os.environ[setting] = _AVX512
    # Python shows no such warnings, but fails of them where it is told to take warnings for errors.
    warnings.filterwarnings("ignore", f"During parsing environment variable: '{setting}'", ImportWarning)
    try:
        yield
    finally:
        del os.environ[setting]  # not for the commands that hooks call


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as told:
        return told.read(256)
    return ""  # another system than Linux


class _Commands(click.Group):
    """Loads a subcommand when it is called: importing Beam takes a second that `--help` need not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        logging.getLogger().setLevel(logging.ERROR)  # Beam warns, when it is imported, of what a user has no use for
        with quick_sorts(_processor()):
            command: click.Command = importlib.import_module(f"retrolabel.pipelines.{cmd_name}_command").command
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and (meant := did_you_mean(args[0], COMMANDS)):
            ctx.fail(f"No such command {args[0]!r}. {meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except RetrolabelError as error:
            shown = "\n".join(map(printable, str(error).split("\n")))  # it may name files, keys and fields of others
            tell(f"{click.style('error:', fg='red', bold=True)} {shown}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads what is printed has had enough
                raise
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(where)}{told(error, '')}", err=True)
            ctx.exit(StorageError.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="retrolabel", prog_name="retrolabel")
def commands() -> None:
    """Turn the logs you already have into labelled, versioned training data.

    \b
    Shell completion: eval "$(_RETROLABEL_COMPLETE=bash_source retrolabel)"   (or zsh_source, fish_source)
    """


def main() -> None:
    """Runs the command line, and ends the process without the exit handlers of native libraries.

    What is published is published: a library that crashes while it is taken down must not make a good build look failed.
    """
    code = 1
    gc.disable()  # until a subcommand is imported, of which nothing is ever garbage
    try:
        commands(prog_name="retrolabel")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - shown as Python would, then the process ends
        sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()  # noqa: SLF001 - Python's own end: Beam stops there the engines that it started
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
