"""Your face moves a portrait, live. Start `avatar serve` first; q quits.

python samples/webcam.py TARGET PORTRAIT [CAMERA] [--no-window]

CAMERA is a number, a part of a camera's name, or a video file that stands in for a camera.
"""

import sys
import threading

import avatar_client
import cv2

words = [word for word in sys.argv[1:] if word != "--no-window"]
target, portrait, camera = (*words, "0")[:3]
window = "--no-window" not in sys.argv

with (
    avatar_client.open_source(camera, avatar_client.CaptureConfig(realtime=True)) as source,
    avatar_client.connect(target) as client,
    client.session(portrait, consent=True) as session,
):

    def drive() -> None:
        """Tracks every camera image; the service always works on the newest pose."""
        with avatar_client.PoseTracker() as tracker:
            for image, timestamp_us in source:
                session.send_pose(tracker.track(image, timestamp_us))

    driver = threading.Thread(target=drive, daemon=True)
    driver.start()
    for frame in session:
        if window:
            cv2.imshow("avatar", cv2.cvtColor(frame.image[:, ::-1], cv2.COLOR_RGB2BGR))
        if (window and cv2.waitKey(1) & 0xFF == ord("q")) or not driver.is_alive():
            break
    figures = session.statistics
late = figures.camera_to_display
print(f"{figures.frames_shown} frames shown" + (f", camera → display p50 {late.p50_ms:.0f} ms" if late else ""))
