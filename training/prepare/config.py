"""What is asked of a video before one learns from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from avatar_client.errors import InvalidConfigError

from avatar_sdk.portrait import FRAMINGS
from training.data.clip import MAX_FRAMES, MAX_ROWS


@dataclass(frozen=True)
class PrepareConfig:
    """How clips are cut, and what is left out.

    Attributes:
        frames: per clip. Range: [2, 255].
        step: frames from the start of one clip to the start of the next, at most; 0 = `frames`. Clips are spread evenly
            over a take, so that its end is used too.
        fps: frames that follow each other faster are thinned out to about this rate. Unit: frames per second.
        side_px: larger pictures are reduced to this. Unit: pixels of the longer side.
        take_frames: a portrait stands for at most so many frames; then another one is chosen.
        min_face_px: faces lower than this teach nothing. Unit: pixels of the reduced picture.
        second_face: another face counts when it is larger than this. Unit: heights of the first face.
        faces_every: frames between two looks for further faces.
        edge: how far a face may reach out of the picture. Unit: face sizes.
        blur: median of a clip's frames above which it is blurred. Range: [0, 1], 0 = sharp.
        motion: clips whose landmarks move less than this are static. Unit: face sizes.
        cut: change between two small pictures above which there may be a cut. Range: [0, 1], 1 = black to white.
        gap_s: a longer pause between two frames is a cut. Unit: seconds.
        neutral: a take's best portrait must be nearer to a straight look and a relaxed face than this; 0 = perfect.
        size_px: side of the portrait.
        picture: width and height of whole pictures, for video generators; None = face crops. Unit: pixels.
        framing: field of view of the portrait. Unit: face sizes.
        share: only so much of each video, from its beginning. Range: (0, 1].

    Raises:
        InvalidConfigError: a value is out of range.
    """

    frames: int = 32
    step: int = 0
    fps: float = 30.0
    side_px: int = 1280
    take_frames: int = 192
    min_face_px: float = 80.0
    second_face: float = 0.4
    faces_every: int = 5
    edge: float = 0.04
    blur: float = 0.62
    motion: float = 0.003
    cut: float = 0.08
    gap_s: float = 0.25
    neutral: float = 3.5
    size_px: int = 512
    picture: tuple[int, int] | None = None
    framing: float = FRAMINGS["face"]
    share: float = 1.0

    def __post_init__(self) -> None:
        longest = MAX_FRAMES if self.picture is None else MAX_ROWS // self.picture[1]
        if not 2 <= self.frames <= longest:
            raise InvalidConfigError(f"a clip is to have {self.frames} frames; it must be in [2, {longest}]")
        if self.step < 0:
            raise InvalidConfigError(f"step is {self.step}; it must be at least 1, or 0 for clips that do not overlap")
        if self.take_frames < self.frames:
            raise InvalidConfigError(
                f"a take of {self.take_frames} frames holds no clip of {self.frames}; allow longer takes"
            )
        for name in ("blur", "cut"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidConfigError(f"{name} is {getattr(self, name):g}; it must be in [0, 1]", field=name)
        if not 0 < self.share <= 1:
            raise InvalidConfigError(f"share is {self.share:g}; it must be in (0, 1]", field="share")
        for name in ("fps", "side_px", "min_face_px", "faces_every", "gap_s"):
            if getattr(self, name) <= 0:
                raise InvalidConfigError(f"{name} is {getattr(self, name):g}; it must be above 0", field=name)

    @property
    def portrait_size(self) -> tuple[int, int]:
        """Width and height of the portrait."""
        return self.picture or (self.size_px, self.size_px)

    def settings(self) -> dict[str, Any]:
        """What a data set remembers; one of crops says nothing of pictures."""
        values = asdict(self)
        if self.picture is None:
            del values["picture"]
        return values
