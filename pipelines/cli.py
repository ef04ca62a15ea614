"""The `retrolabel` command: one subcommand per file of this folder, imported only when it is called."""

import importlib
import sys
from typing import Any

import click

from retrolabel import __version__
from retrolabel.schemas.errors import RetrolabelError

COMMANDS = {
    "build": "build_command",
    "init": "init_command",
    "check": "check_command",
    "explain": "explain_command",
    "show": "show_command",
    "versions": "versions_command",
    "rejects": "rejects_command",
    "gc": "gc_command",
}
"""Each subcommand, in the order in which a user meets them, and the module of this folder that defines it as `command`."""


class _Commands(click.Group):
    """Loads a subcommand when it is asked for: importing Beam takes a second that `--help` need not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"retrolabel.pipelines.{COMMANDS[cmd_name]}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RetrolabelError as error:
            click.secho(f"error: {error}", fg="red" if sys.stderr.isatty() else None, err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="retrolabel")
def main() -> None:
    """Turn the logs you already have into labelled, versioned training data."""
