"""What happens between two requests to a server of the tests."""

import re
from collections.abc import Awaitable, Callable

from tests.servers.controlled_server import ControlledServer
from tests.servers.http_messages import Request, Response


def before(server: ControlledServer, method: str, path: str, number: int, action: Callable[[], object]) -> None:
    """Do something just before the request of this number among its kind is answered.

    Args:
        server: Its first listener is watched.
        method: Of the requests that count.
        path: A pattern that their target contains.
        number: From 1.
        action: What is done, in the thread that answers.
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
