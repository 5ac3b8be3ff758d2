"""Many videos become one data set."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.capture import VideoSource
from avatar_client.errors import InvalidPortraitError, InvalidVideoError
from avatar_client.tracking import quiet_mediapipe

from avatar_sdk.driver import DEFAULT_FPS, frame_count
from avatar_sdk.portrait import PortraitConfig, PortraitReader, load_portrait
from avatar_sdk.portrait.photo import read_photo
from avatar_sdk.progress import progress
from training.data import ShardWriter
from training.errors import DataError
from training.evaluate.reel import clips_in
from training.interruption import Budget, stop_signals
from training.prepare.clips import Chosen, choose_portrait, clips_of
from training.prepare.config import PrepareConfig
from training.prepare.look import Look, looks
from training.prepare.photo import PhotoMatcher
from training.prepare.record import Report, TakeRecord, VideoRecord, clip_prefix
from training.prepare.segments import Fate, Story, Take, takes

Choose = Callable[[Take], Chosen | None]
"""A take's portrait; None = there is none."""

SAVED_EVERY: Final = 32
"""Clips after which a shard is closed and the report written; a video's end does so too."""


@dataclass(frozen=True)
class Prepared:
    """What a session has done.

    Attributes:
        report: of all sessions.
        clips: new ones.
        finished: whether all videos were read to their end.
    """

    report: Report
    clips: int
    finished: bool

    def check(self) -> None:
        """Raises DataError when everything was read and nothing of it can be used."""
        videos = self.report.videos.values()
        if self.finished and not any(one.clips for one in videos):
            raise DataError(f"no clip could be made of {len(videos)} videos; the reasons stand above")


def prepare(
    sources: Sequence[Path],
    out: Path,
    config: PrepareConfig,
    minutes: float | None = None,
    photo: Path | None = None,
) -> Prepared:
    """Reads videos, and writes clips into shards; goes on where an earlier session has stopped.

    Ctrl-C and SIGTERM end it after the current take; what is written by then is whole. A video that cannot be read, or
    not to its end, is noted in the report, and the others go on.

    Args:
        sources: videos, or folders of videos.
        out: folder of the data set; `report.json` is written beside the shards.
        config: must be the one that `out` was begun with.
        minutes: stop after so long; None = when all are done.
        photo: of the same person, to be every take's portrait; None = each take has one of its own frames.

    Raises:
        InvalidPortraitError: the photo cannot be used.
        DataError: there is no video at all, `out` was begun otherwise or cannot be written; whole shards stay.
    """
    videos, problems = _find(sources)
    if out.is_file():
        raise DataError(f"{out} is a file; the last thing to give is the folder where the clips go")
    settings = {"source": "videos", **config.settings()}
    if photo is not None:
        settings["photo_sha256"] = hashlib.sha256(read_photo(photo)).hexdigest()
    with stop_signals() as stop, ShardWriter(out, settings) as shards, quiet_reader() as reader:
        report = Report.load(out, settings)
        report.problems = problems
        choose = chooser(photo, config, reader)
        session = _Session(shards, report, config, reader, choose, Budget.of(minutes, stop))
        for number, path in enumerate(videos, 1):
            session.read(path, f"{path.name} ({number} of {len(videos)})")
        report.save(out)
        return Prepared(report, session.clips, session.finished)


def chooser(photo: Path | None, config: PrepareConfig, reader: PortraitReader) -> Choose:
    """What finds a take's portrait.

    Raises:
        InvalidPortraitError: the photo cannot be used.
    """
    if photo is None:
        return lambda take: choose_portrait(take, config, reader)
    width_px, height_px = config.portrait_size
    framed = PortraitConfig(width_px, height_px, config.framing)
    return PhotoMatcher(load_portrait(photo, framed, reader)).choose


@contextmanager
def quiet_reader() -> Iterator[PortraitReader]:
    """Finds faces in single pictures, without MediaPipe's own remarks."""
    with quiet_mediapipe():
        reader = PortraitReader()
        blank = np.zeros((64, 64, 3), np.uint8)
        with suppress(InvalidPortraitError):  # the graphs load, and speak, when they are first used
            reader.find_face(blank)
        reader.find_person(blank)
    with reader:
        yield reader


def _find(sources: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Videos, and what is none."""
    videos: dict[Path, None] = {}
    problems = []
    for source in sources:
        try:
            videos |= dict.fromkeys(clips_in([source]))
        except DataError as error:
            problems.append(str(error))
    if not videos:
        raise DataError("; ".join(problems))
    return list(videos), problems


class _Session:
    """One run of the command."""

    def __init__(
        self,
        shards: ShardWriter,
        report: Report,
        config: PrepareConfig,
        reader: PortraitReader,
        choose: Choose,
        budget: Budget,
    ) -> None:
        self.clips = 0
        self.finished = True
        self._shards, self._report, self._config = shards, report, config
        self._reader, self._choose, self._budget = reader, choose, budget
        self._known = shards.names
        self._seen: dict[str, Path] = {}
        self._unsaved = 0

    def read(self, path: Path, title: str) -> None:
        """Makes clips of one video, unless that is done. Mutates report and shards."""
        if self._budget.spent():
            self.finished = False
            return
        try:
            name = clip_prefix(path)
        except DataError as error:
            self._report.problems.append(str(error))
            return
        if name in self._seen:
            self._report.problems.append(f"{path} is the same file as {self._seen[name]}")
            return
        self._seen[name] = path
        record = self._report.videos.setdefault(name, VideoRecord(name, str(path)))
        record.path = str(path)  # it may have been moved
        if record.done:
            return
        try:
            with VideoSource(path) as video:
                record.fps, record.width_px, record.height_px = video.fps, video.width_px, video.height_px
            total = frame_count(path, record.fps or DEFAULT_FPS)
            until_s = _until_s(path, total, record.fps or DEFAULT_FPS, self._config.share)
        except InvalidVideoError as error:
            record.error, record.done = str(error), True
            return
        with progress(title, round(self._config.share * total)) as bar:
            record.done = self._make(path, record, until_s, bar)
        self.finished &= record.done
        self._save()

    def _make(self, path: Path, record: VideoRecord, until_s: float, bar: Callable[[int], None]) -> bool:
        """Whether the video was read to its end."""
        story = Story(shot=len(record.cuts_s))
        seen = looks(path, self._config, self._reader, record.next_frame, (0.0, until_s))
        info = {"video": Path(record.path).name}
        for take in takes(_readable(seen, record, bar), self._config, story, self._budget.spent):
            chosen = self._choose(take)
            if chosen is None:
                story.tell(take.looks, Fate.NO_PORTRAIT)
            else:
                made = 0
                for name, clip in clips_of(take, chosen, record.name, info, self._config, self._known, story):
                    made += 1
                    if clip is not None:
                        self._shards.add(clip)
                        self._known.add(name)
                        self.clips, self._unsaved = self.clips + 1, self._unsaved + 1
                ends = take.looks[0].index, take.looks[-1].index
                record.takes.append(TakeRecord(*ends, take.shot, chosen.look.index, round(chosen.score, 3), made))
            record.tell(story)
            if self._unsaved >= SAVED_EVERY:
                self._save()
        seen.close()
        record.tell(story)
        return not self._budget.spent()

    def _save(self) -> None:
        """The report says nothing of clips that are not on disk."""
        self._shards.close()
        self._report.save(self._shards.folder)
        self._unsaved = 0


def _until_s(path: Path, frames: int, fps: float, share: float) -> float:
    """Where the wanted share of a video ends.

    Raises:
        InvalidVideoError: the file does not tell its length.
    """
    if share == 1:
        return math.inf
    if not frames:
        raise InvalidVideoError(f"{path} does not tell its length; convert it, e.g. to mp4")
    return share * frames / fps


def _readable(seen: Generator[Look, None, None], record: VideoRecord, bar: Callable[[int], None]) -> Iterator[Look]:
    """Frames up to where the file is damaged; the record is told why."""
    try:
        for look in seen:
            yield look
            bar(look.index + 1)
    except InvalidVideoError as error:
        record.error = str(error)
