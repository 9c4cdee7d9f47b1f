"""A server that sends what a test says, byte for byte: what no HTTP server would send."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def raw_server(answer: Callable[[], Iterable[bytes]], *, requests: list[bytes] | None = None) -> Iterator[str]:
    """The URL of a server that answers the one request of every connection with `answer()`, piece by piece, then closes;
    `requests` gets what it was asked.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = connection.recv(1 << 16)
            if requests is not None:
                requests.append(request)
            for part in answer():
                connection.sendall(part)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
