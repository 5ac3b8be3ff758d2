"""A service of one's own: `avatar serve` as a process on a free port of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from avatar_client.errors import AvatarError, ConnectionLostError, TimeoutExceededError

_POLL_S: Final = 0.1
_STOP_S: Final = 10.0


@dataclass(frozen=True)
class LocalServerConfig:
    """How the service is started.

    Attributes:
        model: "lite", "warp" or the path of an exported checkpoint.
        slots: sessions it can hold.
        web_port: port of its page; None = no page, 0 = a free one.
        start_timeout_s: how long it may take until it answers. Unit: seconds.
    """

    model: str = "lite"
    slots: int = 1
    web_port: int | None = None
    start_timeout_s: float = 60.0


class LocalServer:
    """The service in a process of its own, so that it shares no interpreter lock with its client.

    It ends with the block, and by itself when this process dies. Inside, `target` is its address and `page` that of its
    page, "" without one.

    >>> with LocalServer() as server, avatar_client.connect(server.target) as client: ...
    """

    def __init__(self, config: LocalServerConfig | None = None) -> None:
        self.config = config or LocalServerConfig()
        self.target = ""
        self.page = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        """Number of the service's process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        """Starts the process and waits until it answers.

        Raises:
            ConnectionLostError: it ended instead; the message has its last words.
            TimeoutExceededError: it did not answer in time.
        """
        import avatar_client

        self.target = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "avatar_sdk.cli", "serve", "--port", self.target.rpartition(":")[2]]
        command += ["--model", self.config.model, "--slots", str(self.config.slots), "--until-stdin-closes"]
        if self.config.web_port is None:
            command.append("--no-web")
        else:
            web_port = self.config.web_port or free_port()
            command += ["--web-port", str(web_port)]
            self.page = f"http://127.0.0.1:{web_port}/"
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, start_new_session=True
        )
        deadline = time.monotonic() + self.config.start_timeout_s
        with avatar_client.connect(self.target, connect_timeout_s=2.0) as client:
            while True:
                if self._process.poll() is not None:
                    words = self._last_words()
                    self.stop()
                    raise ConnectionLostError(f"the service could not start: {words}")
                try:
                    client.info()
                except AvatarError as error:
                    if not error.retryable or time.monotonic() > deadline:
                        words = self._last_words()
                        self.stop()
                        raise TimeoutExceededError(
                            f"the service did not answer within {self.config.start_timeout_s:g} s: {words or error}"
                        ) from error
                    time.sleep(_POLL_S)
                else:
                    return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Returns when the service has ended by itself."""
        assert self._process is not None
        self._process.wait()

    def resident_bytes(self) -> int:
        """Memory of the service's process and its children."""
        import psutil

        process = psutil.Process(self.pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))

    def threads(self) -> int:
        """Threads of the service's process."""
        import psutil

        return int(psutil.Process(self.pid).num_threads())

    def stop(self) -> None:
        """Lets the service finish, or ends it. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._log is not None:
            self._log.close()

    def _last_words(self) -> str:
        assert self._log is not None
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def free_port(preferred: int = 0) -> int:
    """A port of this machine that nobody uses: the preferred one if it can be had."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
