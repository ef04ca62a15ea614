"""`retrolabel collect`: receives logs from Fluentd, Fluent Bit and fluent-logger, and writes the files that builds read."""

import asyncio
import signal
import socket

import click

from retrolabel.pipelines.collect_files import Slices
from retrolabel.pipelines.collect_server import Collector
from retrolabel.schemas.errors import ConfigError


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"expected HOST:PORT, such as 127.0.0.1:24224; got {value!r}")
    return host.strip("[]"), int(port)


def _secret(_: click.Context, __: click.Parameter, value: str | None) -> bytes:
    if value is None:
        return b""
    try:
        with open(value, "rb") as file:
            return file.readline().strip()
    except OSError as error:
        raise click.BadParameter(f"cannot read {value!r}: {error.strerror}") from None


@click.command()
@click.option(
    "--forward",
    "address",
    metavar="HOST:PORT",
    default="127.0.0.1:24224",
    show_default=True,
    callback=_address,
    help="Where to listen for Fluentd's forward protocol; port 0 takes any.",
)
@click.option(
    "--to", "folder", metavar="FOLDER", required=True, type=click.Path(file_okay=False), help="Where the files go."
)
@click.option(
    "--shared-key-file", "key", metavar="FILE", callback=_secret, help="Let in only who knows the key in this file."
)
def command(address: tuple[str, int], folder: str, key: bytes) -> None:
    """Receive logs by Fluentd's forward protocol, and write them to files by tag, day and hour.

    An event goes to FOLDER/TAG/DAY/HOUR.N.log, by its own time in UTC, as `time<TAB>tag<TAB>record`, which `format: fluentd` reads. A file is complete
    when it has this name; until then it ends with `.log.part`, which no glob for `*.log` finds. What is acknowledged is on the disk.

    \b
    Examples:
      retrolabel collect --forward 127.0.0.1:24224 --to logs/
      retrolabel collect --forward 0.0.0.0:24224 --to logs/ --shared-key-file /run/secrets/forward

    \b
    Exit codes: 0 told to stop, every file is complete; 2 the command line is wrong; 7 the disk is full or refuses, and what was
    received since the last acknowledgement will be sent again.
    """
    asyncio.run(_collect(address, folder, key))


async def _collect(address: tuple[str, int], folder: str, key: bytes) -> None:
    slices = Slices(folder)
    collector = Collector(slices, key, socket.gethostname())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        port = await collector.start(*address)
    except OSError as error:
        slices.close()
        raise ConfigError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None
    click.echo(f"listening on {address[0]}:{port}, writing to {folder}", err=True)
    await collector.run_until(stop)
