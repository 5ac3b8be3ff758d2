"""What became of every video: the contents of `report.json`."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from training.errors import DataError
from training.prepare.segments import Fate, Story

REPORT: Final = "report.json"
PROBE_BYTES: Final = 2**20


@dataclass(frozen=True)
class Span:
    """Frames in a row with one fate.

    Attributes:
        fate: value of a `Fate`.
        first_frame, last_frame: numbers in the file.
        from_s, to_s: their times.
        frames: how many; fewer than the numbers say where frames were thinned out.
    """

    fate: str
    first_frame: int
    last_frame: int
    from_s: float
    to_s: float
    frames: int


@dataclass(frozen=True)
class TakeRecord:
    """One take and its portrait.

    Attributes:
        first_frame, last_frame: numbers in the file.
        shot: how many cuts were before it.
        portrait_frame: number in the file.
        score: of the portrait; 0 = perfect.
        clips: made of it.
    """

    first_frame: int
    last_frame: int
    shot: int
    portrait_frame: int
    score: float
    clips: int


@dataclass
class VideoRecord:
    """One video.

    Attributes:
        name: of its clips, which are called NAME-FRAME; tells apart what differs and knows what is the same.
        path: where it was found.
        fps: nominal rate.
        width_px, height_px: of its first frame.
        done: whether it was read to its end.
        next_frame: where reading goes on if not.
        error: why it could not be read, or not to its end; "" = it could.
        cuts_s: times of the first frames after cuts.
        spans: all frames that were looked at.
        takes: what clips were made of.
    """

    name: str
    path: str
    fps: float = 0.0
    width_px: int = 0
    height_px: int = 0
    done: bool = False
    next_frame: int = 0
    error: str = ""
    cuts_s: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    takes: list[TakeRecord] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Looked at."""
        return sum(span.frames for span in self.spans)

    @property
    def kept(self) -> int:
        """Frames that are in a clip."""
        return sum(span.frames for span in self.spans if span.fate == Fate.KEPT.value)

    @property
    def clips(self) -> int:
        """Clips made."""
        return sum(take.clips for take in self.takes)

    @property
    def dropped(self) -> Counter[str]:
        """Reason → frames left out for it, the most frequent first."""
        count: Counter[str] = Counter()
        for span in self.spans:
            if span.fate != Fate.KEPT.value:
                count[span.fate] += span.frames
        return Counter(dict(count.most_common()))

    @property
    def remark(self) -> str:
        """What somebody should know; "" = nothing."""
        if self.error:
            return self.error
        if not self.done:
            return "to be continued by the same command"
        if self.frames and set(self.dropped) == {Fate.NO_FACE.value} and not self.kept:
            return "no face is seen anywhere in it"
        return "" if self.clips else "nothing of it can be used"

    def tell(self, story: Story) -> None:
        """Takes over what a session has found out. Mutates itself."""
        self.spans += spans_of(story)
        self.cuts_s += [us / 1e6 for us in story.cuts_us]
        if story.fates:
            self.next_frame = max(index for index, _, _ in story.fates) + 1
        story.fates, story.cuts_us = [], []


@dataclass
class Report:
    """All videos of a data set, by the name of their clips.

    Attributes:
        settings: how clips were cut.
        videos: in the order in which they were begun.
        problems: what was given and is no video, in the last session.
    """

    settings: dict[str, Any]
    videos: dict[str, VideoRecord] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> Report:
        """What is known from earlier sessions.

        Raises:
            DataError: the file is damaged.
        """
        path = folder / REPORT
        if not path.is_file():
            return cls(settings)
        try:
            content = json.loads(path.read_text())
            return cls(settings, {one["name"]: _record(one) for one in content["videos"]})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read: {error}; delete it, and all videos are read again") from error

    def save(self, folder: Path) -> None:
        """Writes the file once it is whole.

        Raises:
            DataError: it cannot be written.
        """
        videos = [
            {**asdict(one), "frames": one.frames, "kept": one.kept, "clips": one.clips, "remark": one.remark}
            for one in self.videos.values()
        ]
        content = {"settings": self.settings, "videos": videos, "problems": self.problems}
        fresh = folder / (REPORT + ".new")
        try:
            fresh.write_text(json.dumps(content, indent=1) + "\n")
            fresh.replace(folder / REPORT)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise DataError(f"{folder} cannot be written: {error.strerror}; free some space and go on") from error


def clip_prefix(path: Path) -> str:
    """A name for the clips of a file: its own, and a few digits that tell its contents.

    Raises:
        DataError: it cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.sha256(str(size).encode() + file.read(PROBE_BYTES))
            file.seek(max(0, size - PROBE_BYTES))
            digest.update(file.read(PROBE_BYTES))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return f"{re.sub(r'[^0-9A-Za-z_-]+', '_', path.stem)[:40]}-{digest.hexdigest()[:8]}"


def spans_of(story: Story) -> Iterator[Span]:
    """Frames in a row with one fate, in the order of time."""
    for fate, group in groupby(sorted(story.fates, key=lambda one: one[0]), key=lambda one: one[2]):
        rows = list(group)
        (first, from_us, _), (last, to_us, _) = rows[0], rows[-1]
        yield Span(fate.value, first, last, from_us / 1e6, to_us / 1e6, len(rows))


def _record(values: dict[str, Any]) -> VideoRecord:
    known = {name: values[name] for name in VideoRecord.__dataclass_fields__}
    known["spans"] = [Span(**one) for one in values["spans"]]
    known["takes"] = [TakeRecord(**one) for one in values["takes"]]
    return VideoRecord(**known)
