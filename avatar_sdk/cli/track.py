"""`avatar track`: a video becomes recorded poses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples(
    "avatar track talk.mp4 -o talk.poses",
    "avatar track talk.mp4 -o talk.poses --body --hands",
    "avatar animate me.jpg talk.poses -o avatar.mp4",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("track", cls=AvatarCommand, epilog=EXAMPLES)(_track)


def _track(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video of the driver.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .poses file to write.")],
    body: Annotated[bool, typer.Option("--body", help="Track the body too (shoulders follow it).")] = False,
    hands: Annotated[bool, typer.Option("--hands", help="Track the hands too (recorded, not yet rendered).")] = False,
    verbose: options.Verbose = False,
) -> None:
    """Find the driver's face in every frame of VIDEO and record it.

    A .poses file holds landmarks and times only, no picture, and drives any portrait without tracking again.
    """
    from avatar_client.capture import VideoSource
    from avatar_client.errors import InvalidVideoError
    from avatar_client.pose_file import PoseFileInfo, PoseWriter
    from avatar_client.tracking import PoseTracker, TrackerConfig

    from avatar_sdk.driver import frame_count
    from avatar_sdk.progress import progress

    faces = 0
    with VideoSource(video) as source, PoseTracker(TrackerConfig(body=body, hands=hands, face_looks=2)) as tracker:
        info = PoseFileInfo(source.fps, source.width_px, source.height_px, source.name, body, hands)
        with PoseWriter(output, info) as writer, progress("tracking", frame_count(video, source.fps)) as on_frame:
            for image, timestamp_us in source:
                pose = tracker.track(image, timestamp_us)
                writer.write(pose)
                faces += pose.face_present
                on_frame(len(writer))
    if not faces:
        output.unlink()
        raise InvalidVideoError(f"no face is seen in any of the {len(writer)} frames of {video}")
    typer.echo(f"{output}: {len(writer)} poses, a face in {faces} of them")
