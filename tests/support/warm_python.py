"""A Python process with the pipelines imported. A run is a fork of it, so it starts at once instead of after a second.

A run is a process of its own, which may be killed. Start-up itself is not tested this way: some tests of each kind start a
real interpreter.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

# Pandera imports its checks when it validates for the first time. No thread is running when it forks.
_SERVER = """
import json, os, socket, sys
import pyarrow as pa
import dask.threaded, dask.multiprocessing, pandas
import episeek_pipelines.cli.main, episeek_pipelines.jobs.fix, episeek_pipelines.jobs.prepare
from episeek_pipelines.cli.commands import index, prepare, publish, verify
import episeek_pipelines.verify.formats.html.page
from episeek_schemas.checks import check_table
check_table(pa.table({"byte_offset": pa.array([None], pa.uint32())}), "samples")
listener = socket.socket(fileno=int(sys.argv[1]))
child = 1
while child:
    connection, _ = listener.accept()
    _, handles, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as sent:
        program, sys.argv, folder, environment = json.load(sent)
    child = os.fork()
    if child:
        for handle in handles:
            os.close(handle)
        connection.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    connection.close()
listener.close()
for number, handle in enumerate(handles):
    os.dup2(handle, number)
    os.close(handle)
sys.stdout = open(1, "w", closefd=False)
sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
exec(program)
"""

_CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({path!r})
    socket.send_fds(connection, [b"x"], [0, 1, 2])
    connection.sendall(json.dumps([{program!r}, [{name!r}, *sys.argv[1:]], os.getcwd(), dict(os.environ)]).encode())
    connection.shutdown(socket.SHUT_WR)
    sys.exit(int(connection.makefile().read()))
"""


class WarmPython:
    """One such process while the context lasts; it runs one program at a time."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())  # short, as the path of a socket has to be
        self._path = str(self._folder / "socket")

    def __enter__(self) -> Self:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._path)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)

    def run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Run a program and return its exit code (the negative signal number if a signal ended it) and its output."""
        request = [program, ["-c", *arguments], os.getcwd(), dict(os.environ)]
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as said,
            open(os.devnull) as nothing,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.connect(self._path)
            socket.send_fds(connection, [b"x"], [nothing.fileno(), said.fileno(), said.fileno()])
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile() as answer:
                code = int(answer.read())
            said.seek(0)
            return code, said.read()

    def command(self, path: Path, program: str) -> None:
        """Write an executable that runs a program here, with the arguments, folder, environment and streams of its caller."""
        client = self._folder / f"{path.name}.py"
        client.write_text(_CLIENT.format(path=self._path, program=program, name=path.name))
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(client))} "$@"\n')
        path.chmod(0o755)
