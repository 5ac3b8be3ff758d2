"""What the generator's stages begin with: a model of the `lite` family, or a public video generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from avatar_client.errors import InvalidConfigError

if TYPE_CHECKING:
    from training.data import Shards
    from training.lesson import Student
    from training.ranks import Ranks
    from training.video.begin import StudentOptions
    from training.video.files import Ingredients
    from training.video.memory import Workload
    from training.video.student import StudentConfig

FRAMES: Final = 29
"""Per clip of whole pictures: eight latents."""
SHIFT: Final = 24.0
"""How far a video generator's times lean towards noise. Source: AAPT, arXiv 2506.09350, §3.2."""
RATES: Final = {"adapt": 1e-5, "distill": 1e-5, "adversarial": 3e-6}
"""A video generator's learning rates. Source: AAPT, arXiv 2506.09350, appendix."""
LORA_RATE: Final = 10.0
"""Adapters begin at nothing and may move further."""
SAVE_EVERY_S: Final = 900.0
"""A video generator's state is large."""


@dataclass(frozen=True)
class VideoOptions:
    """What is said about a public video generator, on the command line.

    Attributes:
        preset: whose sizes it must have; None = whichever it has.
        codec: its codec's checkpoint; None = the run's.
        text: its prompt; None = the run's, or no words.
        condition: what it reads the warp by.
        window: past latents it sees; None = its own.
        lora: rank of adapters; 0 = none.
        recompute: whether blocks are computed again for their gradients.
    """

    preset: str | None = None
    codec: Path | None = None
    text: Path | None = None
    condition: str = "stem"
    window: int | None = None
    lora: int = 0
    recompute: bool = False

    def refuse(self) -> None:
        """Raises InvalidConfigError if anything was said, and there is no video generator."""
        plain = vars(VideoOptions())
        if said := [name for name, value in vars(self).items() if value != plain[name]]:
            option = {"text": "text-embedding"}.get(said[0], said[0])
            raise InvalidConfigError(
                f"--{option} is for video generators, and the model to begin with is none; give one with --init",
                field=option,
            )


@dataclass(frozen=True)
class Case:
    """What a stage's command was asked for.

    Attributes:
        stage: name of it.
        run: folder of the run.
        data: folders of shards.
        needs: a stage that must come before.
        defaults: frames per clip and clips of the `lite` family.
        init: checkpoint to begin with; None = the run's.
        frames: per clip; None = the family's default.
        clips: of the whole batch; None = the family's default.
        seed: of whatever is fresh.
        half: whether to compute in bfloat16; None = on CUDA.
        portable: folder of a small state.
        video: of a video generator.
        latents: that are kept for gradients at once; None = a whole clip's.
        game: whether a discriminator plays.
    """

    stage: str
    run: Path
    data: Sequence[Path]
    needs: str | None
    defaults: tuple[int, int]
    init: Path | None = None
    frames: int | None = None
    clips: int | None = None
    seed: int = 0
    half: bool | None = None
    portable: Path | None = None
    video: VideoOptions = field(default_factory=VideoOptions)
    latents: int | None = None
    game: bool = False


@dataclass(frozen=True)
class Opened:
    """What a stage begins with.

    Attributes:
        model: to be taught.
        stages: it has been through.
        shards: the data.
        parts: dotted names of the modules that learn.
        frames: per clip.
        clips: of the whole batch.
        run: settings of `RunConfig` that the family wants otherwise.
    """

    model: Student
    stages: tuple[str, ...]
    shards: list[Shards]
    parts: tuple[str, ...]
    frames: int
    clips: int
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def is_video(self) -> bool:
        """Whether the model is a public video generator."""
        from training.video.student import VideoStudent

        return isinstance(self.model, VideoStudent)


def is_video(case: Case) -> bool:
    """Whether the generator to begin with is a public one; no weight is read.

    Raises:
        InvalidConfigError: there is a checkpoint that cannot be read, or no such preset.
    """
    from avatar_sdk.model.checkpoint import holds_part
    from avatar_sdk.model.video_presets import VIDEO_PRESETS
    from training.run import MODEL
    from training.video.files import Ingredients

    if case.video.preset is not None:
        if case.video.preset in VIDEO_PRESETS:
            return True
        raise InvalidConfigError(
            f"there is no preset {case.video.preset!r}; there are {', '.join(VIDEO_PRESETS)}", field="preset"
        )
    if case.init is not None:
        return holds_part(case.init)
    found = (Ingredients.begun(case.run, case.stage).generator, case.run / MODEL)
    source = next((path for path in found if path.is_file()), None)
    return source is not None and holds_part(source)


def open_stage(case: Case, ranks: Ranks) -> Opened:
    """Model and data, checked against each other; the run's folder then holds what it began with.

    Raises:
        InvalidConfigError: something is missing or does not fit.
        DataError: clips cannot be read, or the folder cannot be written.
        OutOfMemoryError: a video generator does not fit on the device.
        RankError: rank 0 could not write.
    """
    from training.setting import initial_model, open_shards, restore
    from training.trainee import PARTS

    frames, clips = case.defaults
    if not is_video(case):
        case.video.refuse()
        restore(case.run, case.stage, case.portable, ranks)
        model, stages = initial_model(case.run, case.stage, case.init, None, case.seed, needs=case.needs, ranks=ranks)
        return Opened(model, stages, open_shards(case.data), PARTS, case.frames or frames, case.clips or clips)
    return _open_video(case, ranks)


def rate(opened: Opened, case: Case, lite: float) -> float:
    """The learning rate, unless another is asked for: the family's own."""
    if not opened.is_video:
        return lite
    return RATES[case.stage] * (LORA_RATE if case.video.lora else 1.0)


def judge_of(case: Case, given: Path | None, opened: Opened) -> Student:
    """The model a discriminator begins with: what stage 1 left, if it is still there, else the student's own.

    Raises:
        InvalidConfigError: it is of another size than the student.
    """
    from training.setting import judge_model
    from training.video.begin import load_student
    from training.video.files import Ingredients
    from training.video.student import VideoStudent

    if not isinstance(opened.model, VideoStudent):
        return judge_model(case.run, given, opened.model)
    files = Ingredients.begun(case.run, "distill") if given is None else Ingredients.of_run(given.parent, given.name)
    if given is None and not files.generator.is_file():
        return opened.model
    return load_student(files, opened.model.config, _taught(case))[0]


def _open_video(case: Case, ranks: Ranks) -> Opened:
    from avatar_sdk.model.checkpoint import read_part
    from training.data import Shards
    from training.video.begin import load_student, plan_student
    from training.video.memory import check_memory, free_bytes

    if case.portable is not None:
        raise InvalidConfigError("--portable is for small models; copy the folder of the run instead", field="portable")
    files, shards = _files(case), [Shards(folder) for folder in case.data]
    frames, clips = case.frames or FRAMES, case.clips or ranks.size
    config = plan_student(files, shards, frames, _taught(case))
    stages = read_part(files.generator).stages
    if case.needs not in (None, "codec", *stages):  # its codec was never ours to train
        raise InvalidConfigError(
            f"{files.generator} has been through {list(stages)}; {case.stage} needs {case.needs} before it: "
            f"`python -m training {case.needs}`"
        )
    if ranks.device.startswith("cuda"):
        wanted = check_memory(_workload(case, config, files, frames, clips, ranks), free_bytes(ranks.device))
        if ranks.lead:
            typer.echo(f"{case.stage}: about {wanted} on each device")
    student, stages = load_student(files, config, _taught(case))
    ranks.together((lambda: files.keep(case.run, case.stage)) if ranks.lead else lambda: None)
    return Opened(student, stages, shards, student.parts, frames, clips, {"save_every_s": SAVE_EVERY_S})


def _taught(case: Case) -> StudentOptions:
    from training.video.begin import StudentOptions

    video = case.video
    return StudentOptions(video.preset, video.window, video.lora, video.recompute, video.condition, case.seed)


def _files(case: Case) -> Ingredients:
    """Checkpoints to begin with. Raises InvalidConfigError: one is missing."""
    from training.run import MODEL
    from training.state import has_state
    from training.video.files import Ingredients

    begun, own = Ingredients.begun(case.run, case.stage), Ingredients.of_run(case.run, MODEL)
    if has_state(case.run / case.stage) and begun.generator.is_file():
        return begun
    generator = case.init or own.generator
    beside = Ingredients.of_run(generator.parent, generator.name)
    codec = case.video.codec or beside.codec
    for path, option in ((generator, "init"), (codec, "codec")):
        if not path.is_file():
            raise InvalidConfigError(
                f"there is no checkpoint at {path}; give --{option}, a file that `avatar models import` has written",
                field=option,
            )
    return Ingredients(generator, codec, case.video.text or beside.text)


def _workload(case: Case, config: StudentConfig, files: Ingredients, frames: int, clips: int, ranks: Ranks) -> Workload:
    """What will be on this device."""
    from training.video.lesson import latents_of
    from training.video.memory import Workload, stored_bytes

    return Workload(
        case.stage,
        config.generator,
        config.codec,
        max(1, clips // ranks.size),
        case.latents or latents_of(frames),
        case.video.lora,
        case.video.recompute,
        game=case.game,
        half=case.half is not False,
        stored=stored_bytes(files.generator),
        ranks=ranks.size,
    )
