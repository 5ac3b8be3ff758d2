"""The server's side of obs-websocket 5, as far as sync offsets go, on a real socket."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import msgpack
from websockets.sync.server import ServerConnection, serve

SALT, CHALLENGE = "salt", "challenge"


class ObsPeer:
    """OBS with audio sources and their sync offsets in milliseconds."""

    def __init__(self, password: str = "") -> None:
        self.offsets_ms = {"Mic/Aux": 0, "Desktop Audio": 20}
        self.set_ms: list[int] = []
        self.silent = False
        self.port = 0
        self._password = password

    def talk(self, socket: ServerConnection) -> None:
        def send(op: int, **data: Any) -> None:
            socket.send(msgpack.packb({"op": op, "d": data}))

        needed = {"authentication": {"challenge": CHALLENGE, "salt": SALT}} if self._password else {}
        send(0, obsWebSocketVersion="5.5.0", rpcVersion=1, **needed)
        identify = msgpack.unpackb(socket.recv())
        if self._password and identify["d"].get("authentication") != self._expected():
            socket.close(4009, "Authentication failed.")
            return
        send(2, negotiatedRpcVersion=1)
        for message in socket:
            asked = msgpack.unpackb(message)["d"]
            if not self.silent:
                send(7, requestType=asked["requestType"], requestId=asked["requestId"], **self._answer(asked))

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["requestData"]["inputName"]
        if name not in self.offsets_ms:
            return {"requestStatus": {"result": False, "code": 600, "comment": f"No source was found by {name}."}}
        data = {}
        if asked["requestType"] == "SetInputAudioSyncOffset":
            self.offsets_ms[name] = asked["requestData"]["inputAudioSyncOffset"]
            self.set_ms.append(self.offsets_ms[name])
        else:
            data = {"responseData": {"inputAudioSyncOffset": self.offsets_ms[name]}}
        return {"requestStatus": {"result": True, "code": 100}, **data}

    def _expected(self) -> str:
        secret = base64.b64encode(hashlib.sha256((self._password + SALT).encode()).digest())
        return base64.b64encode(hashlib.sha256(secret + CHALLENGE.encode()).digest()).decode()


@contextmanager
def obs(password: str = "") -> Iterator[ObsPeer]:
    """A peer on a free port."""
    peer = ObsPeer(password)
    with serve(peer.talk, "127.0.0.1", 0, subprotocols=["obswebsocket.msgpack"]) as server:  # type: ignore[list-item]
        peer.port = server.socket.getsockname()[1]
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()
