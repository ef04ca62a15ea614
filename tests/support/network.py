"""A network that fails: a proxy on loopback that cuts connections after so many bytes of an answer."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class CuttingProxy:
    """Hands bytes on to a server, and cuts the n-th connection after as many bytes of its answers as asked for."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self.cuts = list(cuts)
        self.cut = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                allowed = self.cuts.pop(0) if self.cuts else None
                threading.Thread(target=self._connect, args=(client, server, allowed), daemon=True).start()

    def _connect(self, client: socket.socket, server: socket.socket, allowed: int | None) -> None:
        with client, server:
            there = threading.Thread(target=self._pump, args=(client, server, None), daemon=True)
            there.start()
            self._pump(server, client, allowed)
            there.join()

    def _pump(self, source: socket.socket, target: socket.socket, allowed: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if allowed is not None and len(data) >= allowed:
                    target.sendall(data[:allowed])
                    self.cut += 1
                    break
                target.sendall(data)
                allowed = None if allowed is None else allowed - len(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


@contextlib.contextmanager
def cutting(port: int, *cuts: int) -> Iterator[CuttingProxy]:
    """A proxy before a server of this machine: the first connections are cut after so many bytes, later ones never."""
    proxy = CuttingProxy(port, list(cuts))
    try:
        yield proxy
    finally:
        proxy.close()
