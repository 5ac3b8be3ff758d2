"""`avatar serve`: the service."""

from __future__ import annotations

import os
import signal
import sys
import threading
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from avatar_client.errors import InvalidConfigError

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

if TYPE_CHECKING:
    from avatar_sdk.engine import Engine
    from avatar_sdk.server import Server

EXAMPLES = examples(
    "avatar serve",
    "avatar serve --open",
    "avatar serve --model warp --slots 2 --metrics-port 9464",
    "avatar serve --token SECRET --allow-origin https://example.com",
    "avatar serve --host 0.0.0.0 --token SECRET --certificate server.crt --key server.key",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("serve", cls=AvatarCommand, epilog=EXAMPLES)(_serve)


def _serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback need --token and TLS, or --insecure.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 50051,
    web_port: Annotated[int, typer.Option(help="Port of the page and the WebSocket; 0 takes a free one.")] = 8080,
    no_web: Annotated[bool, typer.Option("--no-web", help="Only gRPC.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Another site whose pages may call, as https://example.com; repeatable.")
    ] = None,
    server_tracking: Annotated[
        bool | None,
        typer.Option(
            "--server-tracking/--no-server-tracking",
            help="Find poses in camera pictures of clients that cannot. On where only this machine can connect.",
            show_default=False,
        ),
    ] = None,
    model: options.Model = "lite",
    slots: Annotated[int, typer.Option(min=1, help="Sessions that can live at once.")] = 4,
    size: Annotated[int, typer.Option(help="Width and height of the frames in pixels, even, 64 to 2048.")] = 512,
    token: Annotated[str, typer.Option(envvar="AVATAR_TOKEN", help="Bearer token that every call must carry.")] = "",
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let others connect without token or TLS; for trusted networks only.")
    ] = False,
    metrics_port: Annotated[int | None, typer.Option(help="Prometheus metrics on this port of loopback.")] = None,
    idle_timeout: Annotated[float, typer.Option(help="Close a session without poses after this many seconds.")] = 60.0,
    max_duration: Annotated[float, typer.Option(help="Close every session after this many seconds.")] = 4 * 3600.0,
    resume_window: Annotated[float, typer.Option(help="Keep the slot of a broken stream this many seconds.")] = 20.0,
    log: Annotated[str, typer.Option(help="**console** for people, **json** for machines.")] = "console",
    until_stdin_closes: Annotated[bool, typer.Option("--until-stdin-closes", hidden=True)] = False,
    verbose: options.Verbose = False,
) -> None:
    """Run the service until Ctrl-C or SIGTERM, which let streams end in good order.

    It listens on this machine only, unless told otherwise: gRPC on one port, the page for browsers on another.
    """
    _configure_log(log, verbose)
    import asyncio

    from avatar_sdk.engine import Engine, EngineConfig
    from avatar_sdk.server import ServerConfig, serve
    from avatar_sdk.session import SessionLimits

    config = ServerConfig(
        host=host,
        port=port,
        token=token,
        certificate=certificate,
        key=key,
        insecure=insecure,
        metrics_port=metrics_port,
        size_px=size,
        web_port=None if no_web else web_port,
        allowed_origins=tuple(allow_origin or ()),
        server_tracking=server_tracking,
        limits=SessionLimits(idle_timeout_s=idle_timeout, max_duration_s=max_duration, resume_window_s=resume_window),
    )
    if until_stdin_closes:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    engine = Engine.load(EngineConfig(model=model, slots=slots))
    _warm_up(engine)
    asyncio.run(serve(config, engine, partial(_announce, open_page=open_page)))


def _warm_up(engine: Engine) -> None:
    """Does once what the first session would otherwise wait for: loads the face finder, compiles the warp."""
    from avatar_client.pose_file import PoseReader

    from avatar_sdk.portrait import load_portrait
    from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES

    avatar = engine.open(load_portrait(SAMPLE_PORTRAIT))
    poses = PoseReader(SAMPLE_POSES)
    for pose in (poses[i] for i in range(0, len(poses), 50)):
        engine.step(avatar, pose, pose.timestamp_us)
    engine.close(avatar)


def _announce(server: Server, *, open_page: bool = False) -> None:
    typer.echo(f"avatar service on {server.address}, model {server.sessions.engine.runtime.name}; Ctrl-C stops it")
    if server.web is not None:
        typer.echo(f"page on {server.web.url}")
        if open_page:
            threading.Thread(target=webbrowser.open, args=(server.web.url,), name="browser", daemon=True).start()
    if server.metrics_port is not None:
        typer.echo(f"metrics on http://127.0.0.1:{server.metrics_port}/metrics")


def _end_with_parent() -> None:
    """Whoever started this process holds its standard input open for as long as it lives."""
    while os.read(sys.stdin.fileno(), 4096):  # not through sys.stdin, whose lock would break a shutdown meanwhile
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _configure_log(style: str, verbose: bool) -> None:
    import logging

    import structlog

    if style not in ("console", "json"):
        raise InvalidConfigError(f"log is {style!r}; it must be console or json", field="log")
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *([structlog.processors.format_exc_info] if style == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
