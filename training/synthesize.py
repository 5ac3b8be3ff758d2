"""Makes data sets of people who do not exist, with every core busy."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from avatar_client.pose import Pose
from avatar_client.pose_file import PoseWriter

from avatar_sdk.progress import progress
from avatar_sdk.video import VideoConfig, VideoWriter
from training.data import Clip, ShardWriter
from training.heads.detector import DetectorModel
from training.heads.scene import FilmConfig, Scene
from training.pairs import Footage, driven_by_itself, known_portrait, make_clip

IDENTITY_AFFINE: Final = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
VIDEO_PX: Final = 512


@dataclass(frozen=True)
class SynthesisConfig:
    """What is filmed.

    Attributes:
        frames: per clip; every person gets one clip.
        errors: landmarks err as MediaPipe's do, by a random strength in this range; (0, 0) = exact.
        lively: range of how much people move.
        seed: person k of a seed is always the same.
        film: camera and size.
    """

    frames: int = 32
    errors: tuple[float, float] = (0.3, 1.0)
    lively: tuple[float, float] = (0.3, 1.2)
    seed: int = 0
    film: FilmConfig = field(default_factory=FilmConfig)


@dataclass(frozen=True)
class Synthesised:
    """What a run has made.

    Attributes:
        clips, frames: how many, in this run.
        seconds: it took.
        workers: processes.
    """

    clips: int
    frames: int
    seconds: float
    workers: int

    @property
    def fps_per_worker(self) -> float:
        """Finished frames per second and process: rendered, tracked, warped, packed."""
        return self.frames / max(self.seconds, 1e-9) / self.workers


def synthesise_clip(config: SynthesisConfig, person: int) -> Clip:
    """One person's portrait, driven by the same person."""
    scene = Scene((config.seed, person), config.film)
    rng = np.random.default_rng((config.seed, person, 1))
    act = scene.act(config.frames, rng.uniform(*config.lively))
    portrait = scene.take(scene.portrait, 0, config.frames)
    takes = [scene.take(act, k, k) for k in range(config.frames)]
    detector, strength = DetectorModel.load(), rng.uniform(*config.errors)
    own = detector.person_error(rng)
    faces = detector.detect(np.stack([take.landmarks for take in takes]), own, rng, strength)
    neutral = detector.detect(portrait.landmarks[None], own, rng, strength)[0]
    side = config.film.side_px
    footage = Footage(
        frames=[take.image for take in takes],
        faces=((faces + 0.5) / side).astype(np.float32),
        times_us=np.rint(np.arange(config.frames) * 1e6 / config.film.fps).astype(np.int64),
        affine=IDENTITY_AFFINE,
        neutral=((neutral + 0.5) / side).astype(np.float32),
    )
    info = {"person": person, "errors": round(strength, 3), "hair": scene.person.identity.hair_style}
    known = known_portrait(portrait.image, neutral.astype(np.float32), portrait.alpha)
    return make_clip(f"{config.seed}-{person:07d}", known, footage, driven_by_itself(), info)


def synthesise(
    folder: Path, config: SynthesisConfig, people: int, workers: int | None = None, minutes: float | None = None
) -> Synthesised:
    """Films people 0 … `people` − 1 into shards, each once; goes on where an earlier run has stopped.

    Args:
        folder: of the data set.
        config: must be the one that the folder was begun with.
        people: in all.
        workers: processes; None = one per core.
        minutes: stop after so long; None = when all are done.

    Raises:
        DataError: the folder was begun otherwise, or cannot be written.
    """
    workers = workers or os.cpu_count() or 1
    started, clips, frames = time.monotonic(), 0, 0
    with ShardWriter(folder, asdict(config)) as shards, progress("filming", people) as bar:
        done = shards.names
        waiting = [k for k in range(people) if f"{config.seed}-{k:07d}" not in done]
        with multiprocessing.get_context("spawn").Pool(workers, _settle) as pool:
            for name, files, count in pool.imap(_encoded, ((config, k) for k in waiting)):
                shards.add_encoded(name, files, count)
                clips, frames = clips + 1, frames + count
                bar(people - len(waiting) + clips)
                if minutes is not None and time.monotonic() - started > 60 * minutes:
                    break
            pool.terminate()
    return Synthesised(clips, frames, time.monotonic() - started, workers)


def film_video(folder: Path, config: SynthesisConfig, person: int, seconds: float) -> Path:
    """Writes a person as NAME.mp4 with the exact landmarks beside it as NAME.poses, to be judged like a real clip."""
    film = FilmConfig(side_px=VIDEO_PX, oversampling=config.film.oversampling, faces_across=2.4, fps=config.film.fps)
    scene = Scene((config.seed, person), film)
    act = scene.act(round(seconds * film.fps), 0.8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"person{config.seed}-{person:04d}.mp4"
    with VideoWriter(path, VideoConfig(fps=film.fps)) as video, PoseWriter(path.with_suffix(".poses")) as poses:
        for k in range(len(act)):
            take, time_us = scene.take(act, k, k), round(k * 1e6 / film.fps)
            video.write(take.image, time_us)
            poses.write(Pose(time_us, ((take.landmarks + 0.5) / VIDEO_PX).astype(np.float32)))
    return path


def _settle() -> None:
    """One thread per process; Ctrl-C is the parent's business."""
    import signal

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _encoded(job: tuple[SynthesisConfig, int]) -> tuple[str, dict[str, bytes], int]:
    clip = synthesise_clip(*job)
    return clip.name, clip.encode(), len(clip)
