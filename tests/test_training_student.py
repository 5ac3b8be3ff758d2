"""What a video student computes: the same, however it is made to fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_client.errors import InvalidConfigError  # noqa: E402
from picture_clips import FRAMES, picture_batch  # noqa: E402
from torch import Tensor  # noqa: E402
from video_models import CODECS, GENERATORS, codec_of, generator_of  # noqa: E402
from video_students import student_of  # noqa: E402

from avatar_sdk.model.cache import RingCache  # noqa: E402
from avatar_sdk.model.generator import Generator  # noqa: E402
from avatar_sdk.model.video.streaming import encode_clip, encode_portrait  # noqa: E402
from training.data.batches import Batch  # noqa: E402
from training.discriminator import Discriminator, Kind  # noqa: E402
from training.lesson import lesson_of  # noqa: E402
from training.rollout import RolloutConfig  # noqa: E402
from training.teacher import before, features, teacher_forced, whole_clip  # noqa: E402
from training.video.lesson import latents_of  # noqa: E402
from training.video.student import VideoStudent  # noqa: E402
from training.walk import student_walk  # noqa: E402

WALK = RolloutConfig(6, 3, 1)


def taught(student: VideoStudent, batch: Batch) -> Tensor:
    """V of a whole clip, teacher-forced."""
    lesson = lesson_of(student, batch)
    true, guide, _ = lesson.part(0, lesson.steps)
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    t_B = torch.tensor([0.3, 0.8])
    return teacher_forced(student.conditioner, student.generator, lesson.scene, guide, noise, before(true), t_B)


def walked(student: VideoStudent) -> tuple[list[Tensor], list[Tensor]]:
    """Latents of a walk, and the gradients that its segments gather."""
    made = []
    for walk in student_walk(student, picture_batch(), WALK, torch.Generator().manual_seed(0)):
        made.append(walk.fake_BFCHW[:, walk.new :])
        made[-1].square().mean().backward()
    wanted = [w for part in student.parts for w in student.get_submodule(part).parameters()]
    return made, [torch.zeros_like(w) if w.grad is None else w.grad for w in wanted]


def test_a_lesson_is_what_the_codec_makes_of_the_clip_and_the_stem_of_the_warp() -> None:
    student, batch = student_of(), picture_batch()
    lesson = lesson_of(student, batch)
    true, guide, frames = lesson.part(0, lesson.steps)
    assert (lesson.steps, true.shape[1], frames.truth_BFCHW.shape[1]) == (3, 3, FRAMES)
    whole = encode_clip(student.encoder, batch.truth_BFCHW / 255)
    assert torch.allclose(true, whole, atol=1e-6)
    condition, stem = features(student.conditioner, guide), student.conditioner.stem
    assert torch.allclose(condition, encode_clip(stem, batch.guide_BFCHW / 255), atol=1e-6)
    rest = encode_portrait(stem, batch.reference_BCHW / 255)
    assert torch.allclose(student.conditioner(lesson.scene.portrait), rest, atol=1e-6)


def test_without_a_stem_the_codec_reads_the_warp_and_the_portrait() -> None:
    student, batch = student_of(stem=False), picture_batch()
    lesson = lesson_of(student, batch)
    _, guide, _ = lesson.part(0, lesson.steps)
    assert torch.allclose(guide, encode_clip(student.encoder, batch.guide_BFCHW[:, :, :3] / 255), atol=1e-6)
    assert torch.allclose(
        lesson.scene.portrait, encode_portrait(student.encoder, batch.reference_BCHW[:, :3] / 255), atol=1e-6
    )


def test_a_lesson_longer_than_its_clip_runs_the_frames_back_and_remembers_no_more_than_it_must() -> None:
    student, batch = student_of(), picture_batch()
    lesson = lesson_of(student, batch)
    first, _, _ = lesson.part(0, 3)
    later, _, frames = lesson.part(2, 5)
    assert torch.equal(first[:, 2], later[:, 0])
    there = [5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert torch.equal(frames.truth_BFCHW, batch.truth_BFCHW[:, there])
    assert len(lesson._known) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("frames", [0, 2, 8])
def test_frames_that_are_no_whole_number_of_latents_are_refused(frames: int) -> None:
    with pytest.raises(InvalidConfigError, match="no whole number of latents"):
        latents_of(frames)


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("causal", [True, False])
def test_attention_frame_by_frame_is_the_attention_of_the_whole_clip(name: str, causal: bool) -> None:
    config = replace(GENERATORS[name], window=2)
    generator, rng = generator_of(config), torch.Generator().manual_seed(0)
    noisy, recycled, condition = (torch.randn(2, 5, 16, 4, 6, generator=rng) for _ in range(3))
    text = torch.randn(1, 3, config.text_dim, generator=rng) if config.text_dim else None
    prompts = None if text is None else generator.prompt(text)
    sinks = generator.sink(condition[:, 0], prompts)
    given = (generator, noisy, recycled, condition, torch.tensor([0.2, 0.9]), sinks, prompts)
    whole, framewise = (whole_clip(*given, causal=causal, framewise=way) for way in (False, True))
    assert torch.allclose(whole, framewise, atol=1e-5)
    assert not torch.allclose(whole, whole_clip(*given, causal=not causal), atol=1e-3)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_recomputed_blocks_give_the_same_pictures_and_gradients(name: str) -> None:
    (plain, wanted), (again, found) = (walked(student_of(name, again=way)) for way in (False, True))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, again, strict=True))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(wanted, found, strict=True))
    assert sum(float(w.abs().sum()) > 0 for w in wanted) > len(wanted) // 2


def test_recomputing_keeps_less_for_the_gradient() -> None:
    def kept(again: bool) -> int:
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        student = student_of(again=again, stem=False)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            taught(student, picture_batch())
        return sum(sizes.values())

    assert kept(True) < 0.5 * kept(False)


@torch.no_grad()
def test_a_walk_is_what_is_served() -> None:
    student = student_of()
    config, batch = student.config.generator, picture_batch(1)
    (walk,) = student_walk(student, batch, RolloutConfig(6, 6, 0), torch.Generator().manual_seed(0))
    noise = torch.randn(1, 6, *config.latent_shape, generator=torch.Generator().manual_seed(0))
    generator: Generator = student.generator
    sinks, prompts = walk.scene.read(student.conditioner, generator)
    rings = [RingCache(config.heads, config.tokens, config.window, config.head_dim) for _ in range(config.depth)]
    latent, condition = torch.zeros(1, *config.latent_shape), features(student.conditioner, walk.guide)
    for k in range(6):
        frame_B, t_B = torch.tensor([k]), torch.ones(1)
        v = generator(noise[:, k], latent, condition[:, k], t_B, frame_B, sinks, rings, prompts=prompts)
        latent = noise[:, k] - v
        assert torch.allclose(latent, walk.fake_BFCHW[:, k], atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_adapters_compute_what_they_computed_beside_their_layers(dtype: torch.dtype) -> None:
    student, batch = student_of(lora=2, dtype=dtype), picture_batch()
    silent = taught(student_of(lora=2, dtype=dtype, loud=False), batch)
    expected = taught(student, batch)
    assert not torch.allclose(silent, expected, atol=1e-2), "adapters that say nothing prove nothing"
    product = student.product({})
    merged = student_of(dtype=dtype)
    assert product.generator.keys() == merged.generator.state_dict().keys()
    assert {w.dtype for w in product.generator.values()} == {torch.float32, dtype}
    merged.generator.load_state_dict(product.generator)
    tolerance = 1e-5 if dtype is torch.float32 else 0.1
    assert torch.allclose(taught(merged, batch), expected.float(), atol=tolerance)


def test_fresh_adapters_change_nothing_and_nothing_else_learns() -> None:
    plain, adapted = student_of(), student_of(lora=2, loud=False)
    with torch.no_grad():
        assert torch.allclose(taught(plain, picture_batch()), taught(adapted, picture_batch()), atol=1e-6)
    learning = {name for part in adapted.parts for name, _ in adapted.get_submodule(part).named_parameters(part)}
    others = {
        n for n in learning if not n.startswith(("conditioner.", "generator.patch_embedding.")) if "adapter" not in n
    }
    assert not others
    assert any("adapter" in name for name in learning)


@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
@pytest.mark.parametrize("lora", [0, 2])
def test_a_discriminator_judges_latents_of_any_patch_and_shape(kind: Kind, lora: int) -> None:
    student, batch = student_of(lora=lora), picture_batch()
    judge = Discriminator(student, kind)
    lesson = lesson_of(student, batch)
    true, guide, _ = lesson.part(0, 3)
    t_B = torch.tensor([0.1, 0.7])
    real, changed = judge((true, torch.cat([true[:, :2], -true[:, 2:]], 1)), guide, lesson.scene, t_B)
    assert real.shape == ((2, 3) if kind == "causal" else (2, 1))
    assert not torch.allclose(real[:, -1], changed[:, -1])
    if kind == "causal":
        assert torch.allclose(real[:, :2], changed[:, :2], atol=1e-5)
    real.sum().backward()
    learning = {name for name, w in judge.named_parameters() if w.requires_grad}
    assert learning == {n for part in judge.parts for n, _ in judge.get_submodule(part).named_parameters(part)}
    assert ("trunk.blocks.0.self_attn.q.weight" in learning) == (not lora)
    assert all(w.grad is None for w in student.parameters())


def test_what_stands_still_is_left_alone() -> None:
    codec = codec_of(CODECS["taehv"]).encoder.state_dict()
    student = student_of(lora=2, dtype=torch.bfloat16)
    product = student.product({})
    before_ = generator_of(GENERATORS["wan"]).lower(torch.bfloat16).state_dict()
    assert torch.equal(product.generator["head.weight"], before_["head.weight"])
    assert all(torch.equal(w, codec[name]) for name, w in student.encoder.state_dict().items())
