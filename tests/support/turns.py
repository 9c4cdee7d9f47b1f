"""Actions between two requests to a server of the tests."""

import re
from collections.abc import Awaitable, Callable

from tests.servers.controlled_server import ControlledServer
from tests.servers.http_messages import Request, Response


def before(server: ControlledServer, method: str, path: str, number: int, action: Callable[[], object]) -> None:
    """Run an action just before one of the requests of a kind is answered.

    Args:
        server: The server; its first listener is watched.
        method: Method of the requests that count.
        path: Pattern that their target contains.
        number: Number of the request among these, from 1.
        action: The action; it runs in the thread that answers.
    """
    seen: list[str] = []
    listener = server._listeners[0]
    answer = listener.application

    def application(request: Request) -> Response | Awaitable[Response]:
        if request.method == method and re.search(path, request.target):
            seen.append(request.target)
            if len(seen) == number:
                action()
        return answer(request)

    listener.application = application
