"""The three stages of the generator: their losses, what they train, and what they ship."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from training_clips import CONFIG, drawn_batch  # noqa: E402

from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from training.data.batches import Batch  # noqa: E402
from training.discriminator import Discriminator  # noqa: E402
from training.ema import Average  # noqa: E402
from training.losses import consistency, flow_matching, mix  # noqa: E402
from training.rollout import RolloutConfig  # noqa: E402
from training.run import RunConfig, train  # noqa: E402
from training.schedule import DISTILL_STEPS, fixed_times, shift  # noqa: E402
from training.stages.adapt import AdaptConfig, AdaptStage  # noqa: E402
from training.stages.adversarial import AdversarialConfig, AdversarialStage  # noqa: E402
from training.stages.distill import DistillConfig, DistillStage  # noqa: E402
from training.stages.stage import Stage  # noqa: E402
from training.state import STATE  # noqa: E402

FRAMES = 3
WALK = RolloutConfig(frames=4, segment=3, overlap=1)


def adapt(model: AvatarModel) -> Stage:
    return AdaptStage(model, AdaptConfig(frames=FRAMES, lr=3e-3))


def distill(model: AvatarModel) -> Stage:
    return DistillStage(model, DistillConfig(frames=FRAMES, lr=3e-3))


def adversarial(model: AvatarModel, **changes: Any) -> Stage:
    config = replace(AdversarialConfig(frames=FRAMES, rollout=WALK, lr=3e-3, pixel_frames=2), **changes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AdversarialStage(model, Discriminator(model, config.discriminator), config)


STAGES: dict[str, Callable[[AvatarModel], Stage]] = {"adapt": adapt, "distill": distill, "adversarial": adversarial}


@pytest.fixture(scope="module")
def batch() -> Batch:
    return drawn_batch(2, FRAMES)


@pytest.fixture
def model() -> AvatarModel:
    model = AvatarModel.fresh(CONFIG, seed=1)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    model.encoder.std.fill_(0.3)
    return model


@pytest.mark.parametrize("name", STAGES)
def test_only_conditioner_and_generator_learn(name: str, model: AvatarModel, batch: Batch) -> None:
    stage = STAGES[name](model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    metrics = stage.step(batch, 0, torch.Generator().manual_seed(0))
    moved = {k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"conditioner", "generator"}
    assert metrics["loss"].isfinite()
    assert all(not value.requires_grad for value in metrics.values())


@pytest.mark.parametrize("name", STAGES)
def test_the_same_seed_gives_the_same_step(name: str, batch: Batch) -> None:
    runs = []
    for _ in range(2):
        model = AvatarModel.fresh(CONFIG, seed=1)
        metrics = STAGES[name](model).step(batch, 0, torch.Generator().manual_seed(3))
        runs.append(({k: float(v) for k, v in metrics.items()}, model.generator.head.weight))
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


@pytest.mark.parametrize("name", STAGES)
def test_half_precision_changes_little_and_weights_stay_whole(name: str, batch: Batch) -> None:
    losses = []
    for half in (False, True):
        model = AvatarModel.fresh(CONFIG, seed=1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            metrics = STAGES[name](model).step(batch, 0, torch.Generator().manual_seed(3))
        losses.append(float(metrics["loss"]))
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", STAGES)
def test_stages_train_and_resume_on_cuda(name: str, batch: Batch, tmp_path: Path) -> None:
    class Same:
        def stream(self, first: int) -> Any:
            while True:
                yield batch

    for steps in (2, 4):
        stage = STAGES[name](AvatarModel.fresh(CONFIG, seed=1))
        result = train(stage, Same(), tmp_path, RunConfig(steps, device="cuda"))
        assert result.step == steps


@pytest.mark.parametrize("name", STAGES)
def test_losses_fall_on_one_batch(name: str, model: AvatarModel, batch: Batch) -> None:
    stage = STAGES[name](model)
    metric, steps = ("latent", 15) if name == "adversarial" else ("loss", 30)
    rng = torch.Generator().manual_seed(0)
    curve = [float(stage.step(batch, i, rng)[metric]) for i in range(steps)]
    assert sum(curve[-steps // 5 :]) < 0.8 * sum(curve[: steps // 5])


@pytest.mark.parametrize("name", STAGES)
def test_what_is_shipped_is_the_average(name: str, model: AvatarModel, batch: Batch) -> None:
    stage = STAGES[name](model)
    rng = torch.Generator().manual_seed(0)
    ends = []
    for i in range(3):
        stage.step(batch, i, rng)
        ends.append(model.generator.head.weight.detach().clone())
    product = stage.product()
    first, second = 2 / 11, 3 / 12  # (1 + n) / (10 + n) after n updates
    wanted = (ends[0] * first + ends[1] * (1 - first)) * second + ends[2] * (1 - second)
    assert torch.allclose(product.generator.head.weight, wanted, atol=1e-6)
    assert torch.equal(product.encoder.first.weight, model.encoder.first.weight)
    assert not product.training


@pytest.mark.parametrize("name", STAGES)
def test_a_resumed_stage_goes_on_with_the_same_curve(name: str, batch: Batch, tmp_path: Path) -> None:
    class Same:
        def stream(self, first: int) -> Any:
            while True:
                yield batch

    def run(folder: str, steps: int) -> dict[str, Any]:
        stage = STAGES[name](AvatarModel.fresh(CONFIG, seed=1))
        train(stage, Same(), tmp_path / folder, RunConfig(steps, warm_up=2))
        return torch.load(tmp_path / folder / name / STATE)["networks"]

    whole = run("whole", 2)
    run("parts", 1)
    parts = run("parts", 2)
    assert all(torch.equal(whole[n][k], parts[n][k]) for n in whole for k in whole[n])


@pytest.mark.parametrize(
    "changes",
    [
        {"discriminator": "bidirectional"},
        {"teacher_forced": True},
        {"pixel_frames": 0},
        {"rollout": replace(WALK, recycle=False)},
        {"rollout": replace(WALK, remember=False)},
        {"rollout": RolloutConfig(frames=5, segment=2, overlap=1)},
    ],
    ids=str,
)
def test_the_game_has_options(changes: dict[str, Any], model: AvatarModel, batch: Batch) -> None:
    metrics = adversarial(model, **changes).step(batch, 0, torch.Generator().manual_seed(0))
    assert all(bool(value.isfinite()) for value in metrics.values())
    assert ("l1" in metrics) == bool(changes.get("pixel_frames", 2))


def test_the_decoder_learns_only_when_asked(model: AvatarModel, batch: Batch) -> None:
    before = model.decoder.last.weight.detach().clone()
    stage = adversarial(model, parts=("conditioner", "generator", "decoder"))
    stage.step(batch, 0, torch.Generator().manual_seed(0))
    assert not torch.equal(model.decoder.last.weight, before)
    assert torch.equal(stage.product().decoder.last.weight, model.decoder.last.weight)


def test_the_student_leaves_no_gradient_in_the_judge(model: AvatarModel, batch: Batch) -> None:
    gathered = []
    for weight in (0.01, 100.0):
        stage = adversarial(model, game_weight=weight, lr=0.0, judge_lr=0.0)
        stage.step(batch, 0, torch.Generator().manual_seed(0))
        gathered.append([p.grad for p in stage.networks["discriminator"].parameters()])
    pairs = [(a, b) for a, b in zip(*gathered, strict=True) if a is not None]
    assert pairs
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_shift_keeps_the_ends_and_leans_towards_noise() -> None:
    assert shift(0.0, 24.0) == 0.0
    assert shift(1.0, 24.0) == 1.0
    assert shift(0.5, 24.0) == pytest.approx(0.96)
    times = fixed_times(DISTILL_STEPS, 3.0)
    assert len(times) == 33
    assert bool((times.diff() > 0).all())
    assert times[0] == 0
    assert times[-1] == 1


def test_flow_matching_is_zero_for_the_true_velocity() -> None:
    latent, noise = torch.randn(2, 2, 3, 4, 4), torch.randn(2, 2, 3, 4, 4)
    assert float(flow_matching(noise - latent, latent, noise)) == 0
    t_B = torch.tensor([0.0, 1.0])
    mixed = mix(latent, noise, t_B)
    assert torch.equal(mixed[0], latent[0])
    assert torch.equal(mixed[1], noise[1])


def test_consistency_is_the_distance_of_both_arrivals() -> None:
    a, b = torch.zeros(1, 2, 3, 4, 4), torch.ones(1, 2, 3, 4, 4)
    assert float(consistency(a, a)) == 0
    assert float(consistency(a, b)) == pytest.approx(1, abs=1e-3)
    assert float(consistency(a, 2 * b)) == pytest.approx(2, abs=1e-3)


def test_the_average_takes_buffers_as_they_are() -> None:
    layer = torch.nn.BatchNorm1d(2)
    average = Average(layer, 0.999)
    layer.running_mean.fill_(5.0)
    average.update(layer)
    assert torch.equal(average.module.module.running_mean, layer.running_mean)
