"""A user's own videos become training clips, and the report says what was left out and why."""

from __future__ import annotations

import errno
import json
import signal
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from avatar_client.capture import VideoSource
from avatar_client.errors import InvalidConfigError, InvalidPortraitError
from media_files import write_video
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from training.data import Shards
from training.errors import DataError
from training.interruption import Budget
from training.prepare import preparation
from training.prepare.config import PrepareConfig
from training.prepare.look import face_blur
from training.prepare.preparation import Prepared, prepare
from training.prepare.record import REPORT
from training.prepare.segments import Fate
from training.synthesize import SynthesisConfig, film_video

Pixels = NDArray[np.uint8]
QUICK = PrepareConfig(frames=8, size_px=256, neutral=6)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[list[Pixels]]:
    """The films of two people who do not exist, 18 frames each."""
    folder = tmp_path_factory.mktemp("films")
    films = [film_video(folder, SynthesisConfig(seed=5), person, 0.75) for person in (0, 1)]
    return [[image for image, _ in VideoSource(path)] for path in films]


@pytest.fixture(scope="module")
def videos(people: list[list[Pixels]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad videos, of several sizes and rates."""
    folder = tmp_path_factory.mktemp("videos")
    one, other = people
    # Not noise: what an encoder leaves of it differs from run to run, and MediaPipe sees a face in some of that.
    stripes = np.tile(np.linspace(0, 255, 40, dtype=np.uint8), 8)[None, :, None].repeat(180, 0).repeat(3, 2)
    small = [cv2.resize(image, (320, 320), interpolation=cv2.INTER_AREA) for image in other]
    write_video(folder / "a cut.mp4", one[:12] + other[:18] + one[:5], fps=24)
    write_video(folder / "blurred.mp4", [cv2.GaussianBlur(image, (0, 0), 5) for image in one[:10]], fps=25)
    (folder / "corrupt.mp4").write_bytes(b"this is no video" * 100)
    write_video(folder / "nobody.mp4", [np.roll(stripes, 8 * k, 1) for k in range(12)])
    write_video(folder / "small fast.mp4", [image for image in small[:12] for _ in (0, 1)], fps=60)
    write_video(folder / "static.mp4", one[:1] * 10)
    write_video(folder / "two.mp4", [np.hstack(pair) for pair in zip(one[:10], other[:10], strict=True)])
    (folder / "notes.txt").write_text("not a video, and not asked about")
    return folder


@pytest.fixture(scope="module")
def prepared(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    """All of them, and what is not there."""
    out = tmp_path_factory.mktemp("out") / "mine"
    empty = tmp_path_factory.mktemp("empty")
    return prepare([videos, empty, videos / "missing.mp4"], out, QUICK), out


def record(prepared: tuple[Prepared, Path], stem: str) -> Any:
    return next(one for name, one in prepared[0].report.videos.items() if name.startswith(stem))


def test_clips_do_not_cross_a_cut_and_each_take_has_its_own_portrait(prepared: tuple[Prepared, Path]) -> None:
    one = record(prepared, "a_cut")
    assert one.cuts_s == pytest.approx([12 / 24, 30 / 24], abs=0.01)
    assert [(take.first_frame, take.last_frame) for take in one.takes] == [(0, 11), (12, 29)]
    for take in one.takes:
        assert take.first_frame <= take.portrait_frame <= take.last_frame
    assert dict(one.dropped) == {Fate.SHORT.value: 5}
    assert one.kept == 30


@pytest.mark.parametrize(
    ("stem", "fate"), [("blurred", Fate.BLURRED), ("static", Fate.STATIC), ("two", Fate.SEVERAL_FACES)]
)
def test_what_teaches_nothing_is_left_out_with_its_reason(
    prepared: tuple[Prepared, Path], stem: str, fate: Fate
) -> None:
    one = record(prepared, stem)
    assert dict(one.dropped) == {fate.value: 10}
    assert one.clips == 0
    assert one.remark == "nothing of it can be used"


def test_a_video_without_a_face_and_a_corrupt_one_are_remarked_and_the_others_go_on(
    prepared: tuple[Prepared, Path],
) -> None:
    assert record(prepared, "nobody").remark == "no face is seen anywhere in it"
    assert "corrupt.mp4 cannot be read as a video" in record(prepared, "corrupt").remark
    problems = prepared[0].report.problems
    assert len(problems) == 2
    assert "there is no video" in problems[0]
    assert "missing.mp4 does not exist" in problems[1]
    assert prepared[0].finished


def test_a_fast_video_is_thinned_out(prepared: tuple[Prepared, Path]) -> None:
    one = record(prepared, "small_fast")
    assert one.frames == 12
    assert (one.width_px, one.height_px, one.fps) == (320, 320, 60)
    assert one.clips == 2


def test_the_warp_is_nearer_to_the_truth_than_the_portrait_at_rest(prepared: tuple[Prepared, Path]) -> None:
    shards = Shards(prepared[1])
    assert len(shards) == prepared[0].clips == 7
    for clip in shards:
        still = clip.reference[:3].transpose(1, 2, 0).astype(int)
        assert len(clip) == 8
        assert np.abs(clip.warp.astype(int) - clip.truth).mean() < np.abs(still - clip.truth).mean()
        assert clip.info["video"] in ("a cut.mp4", "small fast.mp4")
        assert clip.name.endswith(f"-{clip.info['frame']:07d}")


def test_the_report_file_tells_every_frame_once(prepared: tuple[Prepared, Path]) -> None:
    content = json.loads((prepared[1] / REPORT).read_text())
    assert content["settings"]["frames"] == 8
    for one in content["videos"]:
        frames = [k for span in one["spans"] for k in (span["first_frame"], span["last_frame"])]
        assert frames == sorted(frames)
        assert sum(span["frames"] for span in one["spans"]) == one["frames"]
    span = next(one for one in content["videos"] if one["name"].startswith("static"))["spans"][0]
    assert (span["fate"], span["first_frame"], span["last_frame"]) == ("no motion", 0, 9)
    assert span["to_s"] == pytest.approx(9 / 25, abs=0.01)


def test_the_same_command_reads_no_finished_video_again(
    prepared: tuple[Prepared, Path], videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a finished video was read")

    monkeypatch.setattr(preparation, "looks", never)
    again = prepare([videos], prepared[1], QUICK)
    assert again.clips == 0
    assert again.finished
    with pytest.raises(DataError, match="other settings"):
        prepare([videos], prepared[1], replace(QUICK, frames=7))


def test_an_interrupted_preparation_goes_on_with_the_next_take(
    videos: Path, prepared: tuple[Prepared, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = preparation.choose_portrait

    def interrupted(*args: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return choose(*args)

    monkeypatch.setattr(preparation, "choose_portrait", interrupted)
    first = prepare([videos / "a cut.mp4"], tmp_path / "out", QUICK)
    (one,) = first.report.videos.values()
    assert not first.finished
    assert (one.done, one.next_frame, one.clips) == (False, 12, 2)
    assert one.remark == "to be continued by the same command"
    assert len(Shards(tmp_path / "out")) == 2
    monkeypatch.setattr(preparation, "choose_portrait", choose)
    second = prepare([videos / "a cut.mp4"], tmp_path / "out", QUICK)
    assert second.finished
    whole = [clip.name for clip in Shards(prepared[1]) if clip.name.startswith("a_cut")]
    assert [clip.name for clip in Shards(tmp_path / "out")] == whole
    (one,) = second.report.videos.values()
    assert one.frames == record(prepared, "a_cut").frames


def test_a_full_disk_keeps_whole_shards_and_the_same_command_goes_on(
    videos: Path, prepared: tuple[Prepared, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, added = tarfile.TarFile.addfile, []

    def full(self: tarfile.TarFile, *args: Any) -> None:
        added.append(args)
        if len(added) > 6 * 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, *args)

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    monkeypatch.setattr(preparation, "SAVED_EVERY", 2)
    with pytest.raises(DataError, match="No space left on device; free some space"):
        prepare([videos / "a cut.mp4"], tmp_path / "out", QUICK)
    assert len(Shards(tmp_path / "out")) == 2
    monkeypatch.undo()
    assert prepare([videos / "a cut.mp4"], tmp_path / "out", QUICK).finished
    names = [clip.name for clip in Shards(tmp_path / "out")]
    assert names == [clip.name for clip in Shards(prepared[1]) if clip.name.startswith("a_cut")]


def test_a_photo_of_the_same_person_can_be_the_portrait(
    people: list[list[Pixels]], prepared: tuple[Prepared, Path], videos: Path, tmp_path: Path
) -> None:
    darker = (0.6 * people[0][3]).astype(np.uint8)[20:-20, 20:-20]
    Image.fromarray(darker).save(tmp_path / "photo.png")
    Image.fromarray(darker[:64, :64]).save(tmp_path / "nobody.png")
    video = videos / "a cut.mp4"
    done = prepare([video], tmp_path / "out", QUICK, photo=tmp_path / "photo.png")
    (one,) = done.report.videos.values()
    assert abs(one.takes[0].portrait_frame - 3) <= 1
    assert len(one.takes) == 1, "the other person does not look like the photo"
    assert one.dropped[Fate.NO_PORTRAIT.value] == 18
    clip = Shards(tmp_path / "out")[0]
    rest = clip.reference[:3].transpose(1, 2, 0).astype(int)
    assert np.abs(clip.warp.astype(int) - clip.truth).mean() < np.abs(rest - clip.truth).mean() + 2
    bright = Shards(prepared[1])[0]
    face = slice(96, 160)
    assert clip.truth[:, face, face].mean() < 0.75 * bright.truth[:, face, face].mean(), (
        "the truth gets the photo's light"
    )
    with pytest.raises(DataError, match="other settings"):
        prepare([video], tmp_path / "out", QUICK)
    with pytest.raises(InvalidPortraitError, match="no face"):
        prepare([video], tmp_path / "other", QUICK, photo=tmp_path / "nobody.png")


def test_without_time_nothing_is_read(videos: Path, tmp_path: Path) -> None:
    done = prepare([videos], tmp_path / "out", QUICK, minutes=0)
    assert not done.finished
    assert done.report.videos == {}
    assert not Budget.of(None, []).spent()


def test_two_names_of_one_file_are_read_once(videos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    (tmp_path / "static.mp4").write_bytes((videos / "static.mp4").read_bytes())
    copy.write_bytes((videos / "static.mp4").read_bytes())
    done = prepare([tmp_path / "static.mp4", tmp_path / "static.mp4"], tmp_path / "out", QUICK)
    assert len(done.report.videos) == 1
    assert done.report.problems == []


def test_bad_places_are_named_before_anything_is_read(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no video"):
        prepare([tmp_path], tmp_path / "out", QUICK)
    taken = tmp_path / "last.mp4"
    taken.write_bytes(b"")
    with pytest.raises(DataError, match="is a file; the last thing to give is the folder"):
        prepare([videos], taken, QUICK)
    out = tmp_path / "out"
    out.mkdir()
    (out / REPORT).write_text("{")
    with pytest.raises(DataError, match="all videos are read again"):
        prepare([videos], out, QUICK)


@pytest.mark.parametrize(
    "wrong", [{"frames": 1}, {"frames": 400}, {"step": -1}, {"blur": 1.5}, {"fps": 0}, {"take_frames": 20}]
)
def test_values_out_of_range_are_refused_with_the_value(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError, match=str(abs(next(iter(wrong.values()))))):
        PrepareConfig(**wrong)


def test_blur_is_seen_whatever_the_brightness(people: list[list[Pixels]]) -> None:
    image = people[0][0]
    square = np.float32([[0.3, 0.3, 0], [0.7, 0.7, 0]])
    sharp, dark, soft = (
        face_blur(one, square) for one in (image, (image // 2).astype(np.uint8), cv2.GaussianBlur(image, (0, 0), 5))
    )
    assert sharp == pytest.approx(dark, abs=0.02)
    assert soft > sharp + 0.2


def test_the_command_shows_what_was_kept_and_draws_a_sheet(videos: Path, tmp_path: Path) -> None:
    from training.cli import app

    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    files = [str(videos / "a cut.mp4"), str(videos / "corrupt.mp4")]
    run = CliRunner().invoke(
        app, ["prepare", *files, str(out), "--frames", "8", "--size", "256", "--sheet", str(sheet)]
    )
    assert run.exit_code == 0, run.output
    assert "30 of 35" in run.output
    assert "5 too short" in run.output
    assert sheet.stat().st_size > 1000
    run = CliRunner().invoke(app, ["prepare", str(videos / "corrupt.mp4"), str(tmp_path / "none")])
    assert run.exit_code == 2
    assert "no clip could be made" in run.output
