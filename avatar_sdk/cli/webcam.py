"""`avatar webcam`: a live avatar in a window."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

if TYPE_CHECKING:
    from avatar_client.events import SessionEvent

    from avatar_sdk.virtual_camera import ObsSync

EXAMPLES = examples(
    "avatar webcam me.jpg",
    "avatar webcam me.jpg friend.jpg --camera logitech --background blur",
    'avatar webcam me.jpg --virtual-camera --obs-sync-offset "Mic/Aux"',
    "avatar webcam me.jpg --virtual-camera --virtual-camera-device /dev/video10 --virtual-camera-size 1280x720",
    "avatar webcam me.jpg --camera talk.mp4 --no-window --record avatar.mp4",
    "avatar webcam me.jpg --server 192.0.2.7:50051 --token SECRET",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("webcam", cls=AvatarCommand, epilog=EXAMPLES)(_webcam)


def _webcam(
    portraits: Annotated[
        list[Path], typer.Argument(metavar="PORTRAIT...", help="Photos with one face; the key n shows the next.")
    ],
    camera: Annotated[
        str, typer.Option(help="Number or part of the name of a camera, or a video file that stands in for one.")
    ] = "0",
    framing: options.Framing = "bust",
    neutral: Annotated[
        str,
        typer.Option(help="**auto**, **first** or **absolute**; the key c calibrates at any time."),
    ] = "auto",
    smoothing: options.Smoothing = "on",
    background: options.BackgroundOption = "keep",
    body: Annotated[bool, typer.Option("--body", help="Track shoulders too (about 20 ms an image more).")] = False,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="Show the avatar as in a mirror.")] = True,
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Without a window the figures are printed.")
    ] = True,
    record: Annotated[Path | None, typer.Option(help="Record into this mp4 from the start.")] = None,
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Be a camera that Zoom, Meet, Teams and OBS can choose.")
    ] = False,
    virtual_camera_device: Annotated[
        str | None, typer.Option(help="Its device, as /dev/video10 or OBS Virtual Camera; default: the first there is.")
    ] = None,
    virtual_camera_size: Annotated[
        str, typer.Option(help="Its picture, as 1280x720; the avatar is shown whole, with black at the sides.")
    ] = "512x512",
    obs_sync_offset: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Delay this audio source of OBS as long as the avatar takes."),
    ] = None,
    obs: Annotated[str, typer.Option(metavar="HOST:PORT", help="OBS's WebSocket server.")] = "localhost:4455",
    obs_password: Annotated[str, typer.Option(envvar="OBS_PASSWORD", help="Its password.")] = "",
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
    server: Annotated[
        str | None, typer.Option(help="host:port of a running service; default: one is started for this run.")
    ] = None,
    token: Annotated[str | None, typer.Option(envvar="AVATAR_TOKEN", help="The service's token, if it asks.")] = None,
    model: options.Model = "lite",
    badge: options.BadgeOption = True,
    verbose: options.Verbose = False,
) -> None:
    """Move PORTRAIT with your own face, live.

    Keys: **c** calibrate, **m** mirror, **n** next portrait, **p** pause, **r** record, **q** quit. By running it you
    declare that whoever the portraits show agreed to it.
    """
    import avatar_client
    from avatar_client.errors import InvalidConfigError, InvalidPortraitError

    from avatar_sdk.local_server import LocalServer, LocalServerConfig
    from avatar_sdk.virtual_camera import VirtualCameraConfig
    from avatar_sdk.webcam import Webcam, WebcamConfig, check_camera
    from avatar_sdk.webcam.outlet import Outlet

    for portrait in portraits:
        if not portrait.is_file():
            raise InvalidPortraitError(f"the portrait {portrait} does not exist")
    check_camera(camera)
    field_of_view: Any = options.parse_framing(framing)
    config = WebcamConfig(
        portraits=tuple(portraits),
        camera=camera,
        options=avatar_client.SessionOptions(
            framing=field_of_view,
            background=background,
            neutral=cast(Any, neutral),
            smoothing=options.parse_switch(smoothing, "smoothing"),
            badge=badge,
        ),
        body=body,
        mirror=mirror,
        window=window,
        record=record,
        seconds=seconds,
    )
    with ExitStack() as stack:
        outlet = None
        if virtual_camera:
            width_px, height_px = options.parse_size(virtual_camera_size)
            device = VirtualCameraConfig(virtual_camera_device, width_px, height_px)
            sync = _obs_sync(obs_sync_offset, obs, obs_password) if obs_sync_offset else None
            outlet = stack.enter_context(Outlet(device, sync))
            typer.echo(f"virtual camera {outlet.camera.device}; choose it in your app, and start the app after this")
        elif obs_sync_offset:
            raise InvalidConfigError("--obs-sync-offset goes with --virtual-camera", field="obs_sync_offset")
        target = server or stack.enter_context(LocalServer(LocalServerConfig(model))).target
        client = stack.enter_context(avatar_client.connect(target, token=token))
        session = stack.enter_context(
            client.session(portraits[0], consent=True, options=config.options, on_event=_tell)
        )
        typer.echo(str(Webcam(session, config, typer.echo, outlet).run()))


def _obs_sync(source: str, address: str, password: str) -> ObsSync:
    from avatar_client.errors import InvalidConfigError

    from avatar_sdk.virtual_camera import ObsConfig, ObsSync

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidConfigError(f"obs is {address!r}; it must be host:port, as localhost:4455", field="obs")
    return ObsSync(ObsConfig(source, host, int(port), password))


def _tell(event: SessionEvent) -> None:
    from avatar_sdk.webcam import told

    if line := told(event):
        typer.echo(line)
