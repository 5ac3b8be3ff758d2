"""The loop: what resumes, what is refused, and what is never overwritten."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from training.curves import plot_curves  # noqa: E402
from training.data.batches import Batch  # noqa: E402
from training.errors import DataError, DivergedError, OutOfMemoryError  # noqa: E402
from training.run import LOG, MODEL, RunConfig, train  # noqa: E402
from training.state import INITIAL, STATE, export_portable, import_portable  # noqa: E402


class Mean:
    """A stage that learns the mean grey of the truth, with noise, in one bias of a real model."""

    name = "codec"
    frames = 1

    def __init__(self, fails_at: int = -1, error: BaseException | None = None, preset: str = "test") -> None:
        self.model = AvatarModel.fresh(PRESETS[preset])
        self.networks = {"model": self.model}
        self.optimisers = {"all": torch.optim.AdamW([self.model.decoder.last.bias], 1e-2)}
        self.fails_at, self.error = fails_at, error

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Any]:
        if step == self.fails_at and self.error is not None:
            raise self.error
        noise = 0.01 * torch.randn((), generator=rng) + 0.01 * torch.randn(())
        loss = (self.model.decoder.last.bias.mean() - batch.truth().mean() + noise).square()
        if step == self.fails_at:
            loss = loss * float("nan")
        self.optimisers["all"].zero_grad()
        loss.backward()
        self.optimisers["all"].step()
        return {"loss": loss.detach()}

    def product(self) -> AvatarModel:
        return self.model


class Greys:
    """Batches of one grey each."""

    def __init__(self) -> None:
        self.closed = False

    def stream(self, first: int) -> Iterator[Batch]:
        try:
            while True:
                grey = (37 * first) % 256
                planes = [(2, 1, 3), (2, 1, 11), (2, 1), (2, 11)]
                yield Batch(*(torch.full((*shape, 8, 8), grey, dtype=torch.uint8) for shape in planes))
                first += 1
        finally:
            self.closed = True


def config(steps: int, **changes: Any) -> RunConfig:
    return RunConfig(steps, log_every=1, warm_up=3, **changes)


def curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "codec" / LOG).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_ten_steps_equal_five_and_five_more(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path / "whole", config(10))
    assert not train(Mean(), Greys(), tmp_path / "parts", config(10, minutes=0.0)).finished
    train(Mean(), Greys(), tmp_path / "parts", config(5))
    result = train(Mean(), Greys(), tmp_path / "parts", config(10))
    assert result.finished
    assert result.step == 10
    assert curve(tmp_path / "whole") == curve(tmp_path / "parts")
    ends = [torch.load(tmp_path / run / "codec" / STATE)["networks"]["model"] for run in ("whole", "parts")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_lines_logged_after_the_last_saved_state_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power"):
        train(Mean(7, RuntimeError("power")), Greys(), tmp_path, config(10))
    assert len(curve(tmp_path)) == 7
    train(Mean(), Greys(), tmp_path, config(10))
    assert [line["step"] for line in curve(tmp_path)] == list(range(1, 11))


def test_a_finished_run_does_nothing_and_says_so(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path, config(3))
    result = train(Mean(), Greys(), tmp_path, config(3))
    assert result.finished
    assert not result.metrics


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_cleanly_and_the_state_is_written(tmp_path: Path, number: int) -> None:
    class Interrupted(Mean):
        def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Any]:
            if step == 3:
                os.kill(os.getpid(), number)
            return super().step(batch, step, rng)

    before = signal.getsignal(number)
    batches = Greys()
    result = train(Interrupted(), batches, tmp_path, config(10))
    assert result.interrupted
    assert not result.finished
    assert result.step == 4
    assert torch.load(tmp_path / "codec" / STATE)["progress"]["step"] == 4
    assert signal.getsignal(number) is before
    assert batches.closed


def test_a_loss_that_is_no_number_stops_with_its_step_and_keeps_the_good_state(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"codec diverged: the loss of step 7 .*state\.pt.*smaller --lr"):
        train(Mean(fails_at=6), Greys(), tmp_path, RunConfig(20, log_every=10, warm_up=3, save_every_s=0))
    kept = torch.load(tmp_path / "codec" / STATE)
    assert kept["progress"]["step"] == 6
    assert all(bool(torch.isfinite(t).all()) for t in kept["networks"]["model"].values())
    assert bool(torch.isfinite(checkpoint.load(tmp_path / MODEL)[0].decoder.last.bias).all())


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    stage = Mean()
    torch.nn.init.constant_(stage.model.generator.head.bias, float("inf"))  # the loss does not see it
    with pytest.raises(DivergedError, match="model holds weights that are not numbers; nothing was saved"):
        train(stage, Greys(), tmp_path, config(2))
    assert not (tmp_path / "codec" / STATE).exists()
    assert not (tmp_path / MODEL).exists()


def test_a_full_device_says_what_fits(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemoryError, match="2 clips of 1 frames do not fit on the device; --clips 1 may"):
        train(Mean(0, torch.OutOfMemoryError("")), Greys(), tmp_path, config(2))


def test_the_state_of_another_seed_or_network_is_refused(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path, config(2))
    with pytest.raises(DataError, match="made with seed 0, not 1"):
        train(Mean(), Greys(), tmp_path, config(4, seed=1))
    with pytest.raises(DataError, match="made with name test, not lite"):
        train(Mean(preset="lite"), Greys(), tmp_path, config(4))


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path, config(2))
    state = tmp_path / "codec" / STATE
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"state\.pt does not fit this command"):
        train(Mean(), Greys(), tmp_path, config(4))


def test_the_learning_rate_may_change_between_sessions(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path, config(4))
    stage = Mean()
    stage.optimisers["all"].param_groups[0]["lr"] = 1e-5
    train(stage, Greys(), tmp_path, config(6))
    assert stage.optimisers["all"].param_groups[0]["lr"] == 1e-5


def test_the_product_says_what_it_has_been_through(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path, config(1), ("adapt", "codec"))
    assert checkpoint.read_header(tmp_path / MODEL).stages == ("adapt", "codec")


def test_a_full_disk_keeps_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(Mean(), Greys(), tmp_path, config(2))

    def full(*_: Any) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DataError, match="free some space"):
        train(Mean(), Greys(), tmp_path, config(4))
    monkeypatch.undo()
    assert train(Mean(), Greys(), tmp_path, config(4)).step == 4


def test_a_portable_state_goes_on_elsewhere(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path / "here", config(5))
    parts = export_portable(tmp_path / "here/codec", tmp_path / "small", part_bytes=20_000)
    assert len(parts) > 2
    assert all(part.stat().st_size <= 20_000 for part in parts)
    import_portable(tmp_path / "small", tmp_path / "there/codec")
    stage = Mean()
    result = train(stage, Greys(), tmp_path / "there", config(6))
    assert result.step == 6
    assert stage.optimisers["all"].param_groups[0]["lr"] == pytest.approx(1e-2 / 3)  # warms up anew
    assert result.metrics["loss"] < 1
    assert checkpoint.read_header(tmp_path / "there/codec" / INITIAL).config == PRESETS["test"]


def test_a_damaged_portable_state_is_refused(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path, config(1))
    parts = export_portable(tmp_path / "codec", tmp_path / "small")
    parts[1].write_bytes(parts[1].read_bytes()[:-1])
    with pytest.raises(DataError, match="damaged; copy them again"):
        import_portable(tmp_path / "small", tmp_path / "there")
    with pytest.raises(DataError, match="no portable state"):
        import_portable(tmp_path / "nowhere", tmp_path / "there")
    with pytest.raises(DataError, match="train first"):
        export_portable(tmp_path / "nowhere", tmp_path / "small")


def test_the_curves_of_a_run_are_drawn_and_a_run_without_any_is_named(tmp_path: Path) -> None:
    train(Mean(), Greys(), tmp_path / "run", config(4))
    assert plot_curves(tmp_path / "run", tmp_path / "curves.png") == [Mean.name]
    assert (tmp_path / "curves.png").stat().st_size > 5000
    with pytest.raises(DataError, match=r"holds no log\.jsonl of any stage; train first"):
        plot_curves(tmp_path, tmp_path / "none.png")
