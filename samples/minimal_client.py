"""The shortest client: recorded poses in, frames out. Start `avatar serve` first.

python samples/minimal_client.py TARGET PORTRAIT POSES
"""

import sys

import avatar_client

target, portrait, poses = sys.argv[1:4]
with avatar_client.connect(target) as client, client.session(portrait, consent=True) as session:
    for pose in avatar_client.PoseReader(poses):
        session.send_pose(pose)
        frame = session.next_frame(timeout_s=10)
        if frame is None:
            break
        print(f"frame {frame.seq} shows pose {frame.pose_seq}: {frame.image.shape} {frame.image.dtype}")
