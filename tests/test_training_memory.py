"""What a stage will need is known before any of it is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from torch import Tensor  # noqa: E402
from video_models import CODECS, GENERATOR, generator_of  # noqa: E402
from video_students import student_of  # noqa: E402

from avatar_sdk.model.generator import Generator  # noqa: E402
from avatar_sdk.model.presets import GeneratorConfig  # noqa: E402
from avatar_sdk.model.video.config import VIDEO_CODECS  # noqa: E402
from avatar_sdk.model.video_presets import RESOLUTIONS, VIDEO_PRESETS  # noqa: E402
from training.errors import OutOfMemoryError  # noqa: E402
from training.teacher import whole_clip  # noqa: E402
from training.video.lora import add_adapters  # noqa: E402
from training.video.memory import FULL, Workload, check_memory, free_bytes, kept_bytes, needs  # noqa: E402
from training.video.recompute import recompute  # noqa: E402

WAN = Workload("adapt", VIDEO_PRESETS["wan-1.3b"].at(RESOLUTIONS["416p"]), VIDEO_CODECS["taew2.1"], clips=1, latents=8)
GB = 10**9


def kept(generator: Generator, latents: int, half: bool) -> int:
    """Bytes that PyTorch keeps for the gradient of a whole clip, weights not counted."""
    weights = {w.untyped_storage().data_ptr() for w in generator.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    noisy, recycled, condition = (torch.randn(1, latents, *generator.config.latent_shape) for _ in range(3))
    prompts = generator.prompt(torch.randn(1, 3, generator.config.text_dim))
    sinks = generator.sink(condition[:, 0], prompts)
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        whole_clip(generator, noisy, recycled, condition, torch.ones(1), sinks, prompts, framewise=True)
    return sum(sizes.values())


@pytest.mark.parametrize(("dim", "ffn_dim", "latents"), [(32, 128, 4), (64, 64, 6)])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("lora", [0, 4])
@pytest.mark.parametrize("again", [False, True])
def test_what_is_kept_for_gradients_is_what_pytorch_keeps(
    dim: int, ffn_dim: int, latents: int, half: bool, lora: int, again: bool
) -> None:
    config: GeneratorConfig = replace(GENERATOR, dim=dim, ffn_dim=ffn_dim, grid=4, columns=8, depth=4)
    generator = generator_of(config).requires_grad_(not lora)
    if lora:
        add_adapters(generator.lower(torch.bfloat16), lora, 0)
    if again:
        recompute(generator)
    work = Workload("adapt", config, CODECS["taehv"], 1, latents, lora, again, half=half)
    found = kept(generator, latents, half)
    if again:  # one block is computed again while the others wait
        whole = replace(work, recompute=False, generator=replace(config, depth=1))
        found += kept_bytes(whole) - kept_bytes(replace(whole, generator=replace(config, depth=0)))
    assert 0.9 <= kept_bytes(work) / found <= 1.3


def test_weights_and_what_optimisers_keep_are_counted() -> None:
    count = 1_419_193_408
    full = needs(WAN)
    assert full.weights == FULL * count
    assert full.learning == 4 * FULL * count  # gradients, two moments, an average
    assert full.judge == 0
    split = needs(replace(WAN, ranks=8))
    assert split.learning == full.learning // 8
    assert full.weights // 8 < split.weights < full.weights
    game = needs(replace(WAN, stage="adversarial"))
    assert game.judge == 4 * FULL * count
    assert game.kept > 4 * full.kept


def test_adapters_are_counted_as_they_are_made() -> None:
    student = student_of(lora=3)
    learning = sum(
        w.numel() for part in student.parts if part != "conditioner" for w in student.get_submodule(part).parameters()
    )
    work = Workload("adapt", student.config.generator, student.config.codec, 1, 3, lora=3)
    assert needs(work).learning == 4 * FULL * learning


def test_an_estimate_of_a_real_size_is_told_in_gb() -> None:
    told = str(needs(replace(WAN, recompute=True, lora=32)))
    assert told == "9.1 GB (weights 3.0, learning 0.7, kept 3.4, codec 1.9)"


@pytest.mark.parametrize(
    ("changes", "free", "way"),
    [
        ({}, 60 * GB, r"--recompute fits"),
        ({"clips": 4}, 35 * GB, r"--recompute --clips 1 fits"),
        ({}, 20 * GB, r"--recompute --clips 1 --lora 32 fits"),
        ({"stage": "adversarial", "lora": 16}, 16 * GB, r"--frames \d+ --segment \d --rollout \d --overlap 1 fits"),
        ({"generator": VIDEO_PRESETS["wan-14b"].generator}, 20 * GB, r"--preset wan-1.3b .* fits"),
        ({}, 1 * GB, r"nothing smaller fits either: use more devices"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(changes: dict, free: int, way: str) -> None:  # type: ignore[type-arg]
    work = replace(WAN, **changes)
    with pytest.raises(OutOfMemoryError, match=rf"needs .* GB \(weights .*{free / GB:.1f} GB are free; .*{way}"):
        check_memory(work, free)
    assert check_memory(work, needs(work).total) == needs(work)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_tells_what_it_has_left() -> None:
    assert free_bytes("cuda") > 0
