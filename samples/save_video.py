"""Drives a service with recorded poses and saves what comes back. Start `avatar serve` first.

python samples/save_video.py TARGET PORTRAIT POSES OUTPUT
"""

import sys

import avatar_client

from avatar_sdk.video import VideoConfig, VideoWriter

target, portrait, poses, output = sys.argv[1:5]
recorded = avatar_client.PoseReader(poses)
options = avatar_client.SessionOptions(framing="face", background="blur", quality=95)

with (
    avatar_client.connect(target) as client,
    client.session(portrait, consent=True, options=options) as session,
    VideoWriter(output, VideoConfig(fps=recorded.info.fps or 25)) as video,
):
    shown = 0
    for pose in recorded:
        session.send_pose(pose)
        frame = session.next_frame(timeout_s=10)
        if frame is not None and frame.pose_seq > shown:  # each pose once, at the time it was recorded
            video.write(frame.image, frame.pose_timestamp_us)
            shown = frame.pose_seq
print(f"{output}: {video.frames} of {len(recorded)} poses")
