"""The server of `retrolabel collect`: connections in, durable files out, and only then acknowledgements."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence

import click
import msgpack

from retrolabel.pipelines.collect_files import Slices
from retrolabel.pipelines.collect_forward import ForwardError, Handshake, Message, Messages, read_message

PIECE = 2**18
"""Bytes that are read of a connection at a time."""

MOST_HELD = 256 * 2**20
"""Bytes of unfinished messages, of all connections together; who sends more is hung up on, and sends again."""

MOST_READ = 256 * 2**20
"""Bytes, about, of messages that were read and are not on the disk yet: no other is read before one of them is."""

BATCH = 16 * 2**20
"""Bytes of messages that are handed to the disk together."""

BATCHES = 64
"""Batches that wait for the disk; connections beyond are not read meanwhile."""

TIDY = 10.0
"""Seconds between two looks for files that are complete."""


class Collector:
    """Receives messages, and acknowledges them when they are on the disk.

    What comes while the disk is busy is written together and synced once. A connection is read on when what it sent is safe, so that
    memory is bounded by `MOST_HELD`, `MOST_READ`, one message, and the number of connections.
    """

    def __init__(self, slices: Slices, key: bytes, host: str) -> None:
        self._slices, self._key, self._host = slices, key, host
        self._queue: asyncio.Queue[tuple[Sequence[Message], asyncio.Future[None]]] = asyncio.Queue(BATCHES)
        self._connections: set[asyncio.Task[None]] = set()
        self._held = 0
        self._read = 0
        self._stored = asyncio.Condition()
        self._storing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._storing.set_result(None)

    async def start(self, host: str, port: int) -> int:
        """Listens, for messages by TCP and for heartbeats by UDP; the port."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=PIECE)
        taken: int = self._server.sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # heartbeats by TCP are connections: nothing more is needed
            await asyncio.get_running_loop().create_datagram_endpoint(_Heartbeats, local_addr=(host, taken))
        return taken

    async def run_until(self, stop: asyncio.Event) -> None:
        """Works until told to stop, then completes all files.

        Raises:
            StorageError: the disk is full, or refuses.
        """
        work = [asyncio.create_task(self._write()), asyncio.create_task(self._tidy()), asyncio.create_task(stop.wait())]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._server.close()
            for task in (*self._connections, *work):
                task.cancel()
            # A batch that has begun is finished before the files are completed.
            await asyncio.gather(*self._connections, *work, self._storing, return_exceptions=True)
        self._slices.close()

    async def _write(self) -> None:
        while True:
            batches = [await self._queue.get()]
            while not self._queue.empty():
                batches.append(self._queue.get_nowait())
            messages = [message for batch, _ in batches for message in batch]
            self._storing = asyncio.ensure_future(asyncio.to_thread(self._store, messages))
            await asyncio.shield(self._storing)
            for _, written in batches:
                if not written.done():
                    written.set_result(None)

    def _store(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._slices.append(message.tag, message.events)
        self._slices.sync()
        self._slices.complete_old()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY)
            await self._keep([])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        peer = writer.get_extra_info("peername")
        try:
            await self._receive(reader, writer)
        except ForwardError as error:
            click.echo(f"hung up on {peer}: {error}", err=True)
        except (ConnectionError, TimeoutError):
            pass  # what it had not sent whole was not acknowledged
        finally:
            self._connections.discard(task)
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream, held, batch = Messages(), 0, _Batch()
        if self._key:
            await self._shake_hands(stream, reader, writer)
        try:
            while data := await reader.read(PIECE):
                for packed in stream.feed(data):
                    if self._read >= MOST_READ:
                        await self._acknowledge(batch, writer)
                        async with self._stored:
                            await self._stored.wait_for(lambda: self._read < MOST_READ)
                    self._add(batch, read_message(packed))
                    if batch.size >= BATCH:
                        await self._acknowledge(batch, writer)
                self._held += stream.held - held
                held = stream.held
                if self._held > MOST_HELD:
                    raise ForwardError("too much of unfinished messages at once")
                await self._acknowledge(batch, writer)
        finally:
            self._held -= held
            self._read -= batch.size

    def _add(self, batch: "_Batch", message: Message) -> None:
        batch.messages.append(message)
        batch.size += message.size
        self._read += message.size

    async def _acknowledge(self, batch: "_Batch", writer: asyncio.StreamWriter) -> None:
        """Stores what was read of a connection, and says so."""
        if not batch.messages:
            return
        messages, batch.messages = batch.messages, []
        await self._keep(messages)
        self._read -= batch.size
        batch.size = 0
        async with self._stored:
            self._stored.notify_all()
        for message in messages:
            if message.chunk is not None:
                writer.write(msgpack.packb({"ack": message.chunk}))
        await writer.drain()

    async def _keep(self, messages: Sequence[Message]) -> None:
        """Returns when the messages are on the disk."""
        written = asyncio.get_running_loop().create_future()
        await self._queue.put((messages, written))
        await written

    async def _shake_hands(self, stream: Messages, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshake = Handshake(self._key, self._host)
        writer.write(handshake.hello)
        for _ in range(16):
            data = await asyncio.wait_for(reader.read(4096), 30.0)
            for message in stream.feed(data):
                known, answer = handshake.answer(message)
                writer.write(answer)
                await writer.drain()
                if not known:
                    raise ForwardError("it does not know the shared key")
                return
            if not data:
                break
        raise ForwardError("it did not introduce itself")


@dataclasses.dataclass
class _Batch:
    """What was read of a connection and is not on the disk yet."""

    messages: list[Message] = dataclasses.field(default_factory=list)
    size: int = 0


class _Heartbeats(asyncio.DatagramProtocol):
    """Answers Fluentd's question whether there is somebody."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keeps the way back."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Any datagram is a heartbeat."""
        self._transport.sendto(b"\0", addr)
