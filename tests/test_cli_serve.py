from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import avatar_client
import psutil
import pytest

AVATAR = (sys.executable, "-m", "avatar_sdk.cli", "serve", "--model", "warp", "--web-port", "0")


def refused(*words: str) -> str:
    """What `avatar serve WORDS` says when it cannot start."""
    done = subprocess.run((*AVATAR, *words), capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM does not exist there")
def test_serve_answers_opens_its_page_and_sigterm_ends_it_in_good_order(tmp_path: Path) -> None:
    browser = tmp_path / "browser.py"
    browser.write_text("import pathlib, sys; pathlib.Path(__file__).with_name('opened').write_text(sys.argv[1])")
    process = subprocess.Popen(
        (*AVATAR, "--port", "0", "--slots", "3", "--log", "json", "--open"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"BROWSER": f"{sys.executable} {browser} %s"},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"service on (\S+), model warp", line)
    assert found, line
    with avatar_client.connect(found[1]) as client:
        assert client.info().free_sessions == 3
    page = process.stdout.readline().removeprefix("page on ").strip()
    with urllib.request.urlopen(f"{page}v1/info") as answer:
        assert json.load(answer)["model"] == "warp"
    opened = tmp_path / "opened"
    deadline = time.monotonic() + 20
    while not opened.exists() or not opened.read_text():
        assert time.monotonic() < deadline, "no browser was opened"
        time.sleep(0.05)
    assert opened.read_text() == page
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]
    assert events[0] == "serving"
    assert events[-1] == "stopped"


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in refused("--port", port)


def test_a_web_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused("--port", "0", "--web-port", str(taken.getsockname()[1]))
        assert "--no-web" in said


def test_an_origin_that_is_none_is_named() -> None:
    assert "'example.com'" in refused("--allow-origin", "example.com")


def test_an_address_that_others_reach_needs_protection() -> None:
    assert "--insecure" in refused("--host", "0.0.0.0")


def test_a_wrong_log_style_is_named() -> None:
    assert "'xml'" in refused("--log", "xml")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL does not exist there")
def test_a_local_server_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from avatar_sdk.local_server import LocalServer, LocalServerConfig\n"
        "server = LocalServer(LocalServerConfig(model='warp')).__enter__()\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    server = int(done.stdout)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(server) and psutil.Process(server).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the service still runs"
        time.sleep(0.1)
