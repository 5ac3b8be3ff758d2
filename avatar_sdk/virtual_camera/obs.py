"""OBS delays a microphone as long as the avatar takes: its audio sync offset, over obs-websocket."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from avatar_client.errors import (
    AuthenticationError,
    AvatarError,
    ConnectionLostError,
    InvalidConfigError,
    MissingDependencyError,
    TimeoutExceededError,
)

PATIENCE_S: Final = 3.0
WRONG_PASSWORD: Final = 4009
"""obs-websocket's close code for a wrong or missing password."""
NO_SUCH_INPUT: Final = 600
CHANGED_MS: Final = 15
"""A smaller change is not worth a jump in the sound."""
EVERY_S: Final = 10.0
RANGE_MS: Final = (-950, 20_000)
"""What OBS takes."""


@dataclass(frozen=True)
class ObsConfig:
    """Where OBS is.

    Attributes:
        input: name of the audio source whose offset is set, as OBS shows it.
        host, port: of its WebSocket server (Tools › WebSocket Server Settings).
        password: of the same place; "" = none.
    """

    input: str
    host: str = "localhost"
    port: int = 4455
    password: str = ""

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}"


class ObsSync:
    """Keeps one audio source of OBS as late as the avatar, and puts back what was there at the end."""

    def __init__(self, config: ObsConfig) -> None:
        """Asks OBS for the present offset.

        Raises:
            MissingDependencyError: simpleobsws is not installed.
            ConnectionLostError: there is no obs-websocket at this address.
            AuthenticationError: the password is wrong or missing.
            InvalidConfigError: OBS has no such audio source.
            TimeoutExceededError: OBS does not answer.
        """
        self.config = config
        self.error: AvatarError | None = None
        self.before_ms = int(self._ask("GetInputAudioSyncOffset")["inputAudioSyncOffset"])
        self.offset_ms = self.before_ms
        self._thread: threading.Thread | None = None
        self._set_s = -EVERY_S

    def follow(self, delay_ms: float) -> None:
        """The avatar is `delay_ms` late; OBS is told now and then, on a thread of its own. What fails is in `error`."""
        now_s = time.monotonic()
        busy = self._thread is not None and self._thread.is_alive()
        if busy or now_s - self._set_s < EVERY_S or abs(delay_ms - self.offset_ms) < CHANGED_MS:
            return
        self._set_s = now_s
        self._thread = threading.Thread(target=self._try_to_set, args=(delay_ms,), name="obs", daemon=True)
        self._thread.start()

    def set(self, offset_ms: float) -> None:
        """Sets the offset.

        Raises:
            AvatarError: as the constructor.
        """
        offset = max(RANGE_MS[0], min(round(offset_ms), RANGE_MS[1]))
        self._ask("SetInputAudioSyncOffset", inputAudioSyncOffset=offset)
        self.offset_ms = offset

    def close(self) -> None:
        """Puts the old offset back. Idempotent.

        Raises:
            AvatarError: OBS is gone or refuses.
        """
        if self._thread is not None:
            self._thread.join()
        if self.offset_ms != self.before_ms:
            self.set(self.before_ms)

    def _try_to_set(self, offset_ms: float) -> None:
        try:
            self.set(offset_ms)
        except AvatarError as error:
            self.error = error

    def _ask(self, request: str, **data: Any) -> dict[str, Any]:
        """One request on a connection of its own."""
        try:
            import simpleobsws
        except ImportError as error:
            raise MissingDependencyError(
                "setting OBS's sync offset needs simpleobsws; pip install 'avatar-sdk[virtualcam]'"
            ) from error
        asked = simpleobsws.Request(request, {"inputName": self.config.input, **data})
        answer = asyncio.run(self._call(simpleobsws, asked))
        if not answer.ok():
            status = answer.requestStatus
            if status.code == NO_SUCH_INPUT:
                raise InvalidConfigError(
                    f"OBS has no audio source {self.config.input!r}; write its name as the audio mixer shows it",
                    field="obs_sync_offset",
                )
            raise InvalidConfigError(f"OBS refuses {request} ({status.code}: {status.comment})", field="obs")
        return answer.responseData or {}

    async def _call(self, simpleobsws: Any, asked: Any) -> Any:
        config = self.config
        quiet = simpleobsws.IdentificationParameters(eventSubscriptions=0)
        client = simpleobsws.WebSocketClient(f"ws://{config.address}", config.password, quiet)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await client.connect()
                while not client.identified:
                    if client.ws.close_code is not None:
                        raise self._refused(client.ws.close_code)
                    await asyncio.sleep(0.01)
                return await client.call(asked, timeout=PATIENCE_S)
        except (TimeoutError, simpleobsws.MessageTimeout) as error:
            raise TimeoutExceededError(f"OBS at {config.address} did not answer within {PATIENCE_S:g} s") from error
        except OSError as error:
            raise ConnectionLostError(
                f"nothing answers at {config.address} ({error.strerror or error}); start OBS and switch on Tools › "
                "WebSocket Server Settings › Enable WebSocket server"
            ) from error
        except simpleobsws.websockets.exceptions.WebSocketException as error:
            raise ConnectionLostError(f"{config.address} is no obs-websocket ({error})") from error
        finally:
            if client.ws is not None:
                await client.disconnect()

    def _refused(self, code: int) -> AvatarError:
        if code == WRONG_PASSWORD:
            return AuthenticationError(
                f"OBS at {self.config.address} refuses the password; it is in Tools › WebSocket Server Settings › "
                "Show Connect Info"
            )
        return ConnectionLostError(f"OBS at {self.config.address} closed the connection (code {code})")
