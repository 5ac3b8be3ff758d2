"""A portrait and a recorded driver make a video, without a service.

python samples/animate_file.py PORTRAIT DRIVER OUTPUT [MODEL]
"""

import sys
from pathlib import Path

from avatar_sdk.animate import AnimateConfig, animate
from avatar_sdk.portrait import FRAMINGS, PortraitConfig

portrait, driver, output = map(Path, sys.argv[1:4])
model = sys.argv[4] if len(sys.argv) > 4 else "lite"

config = AnimateConfig(portrait=PortraitConfig(framing=FRAMINGS["face"]), interpolate=True)
report = animate(portrait, driver, output, config, model)
print(f"{output}: {report.frames} frames at {report.fps:g} fps, rendered at {report.rendered_fps:g} frames/s")
