"""Two devices compute one stream: what each shows is what one alone would show, and each remembers half."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the runtime needs torch; install the extra `train` or `gpu`")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch has no gloo", allow_module_level=True)

from training_ranks import free_port  # noqa: E402
from video_models import GENERATOR  # noqa: E402
from video_ranks import CASES, main, run  # noqa: E402

from avatar_sdk.model.video_presets import RESOLUTIONS, VIDEO_PRESETS  # noqa: E402
from avatar_sdk.runtime.torch.video.sequence import SequencePart, joined_devices  # noqa: E402

# Two processes share the core with each other and with whatever else the machine does.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(main, (free_port(), folder), nprocs=2)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_two_devices_show_what_one_shows(name: str, two: Path) -> None:
    latents, frames, held = run(name)
    for rank in range(2):
        seen = np.load(two / f"{list(CASES).index(name)}.{rank}.npz")
        scale = latents.std()
        assert np.abs(seen["latents"] - latents).max() < (0.05 if CASES[name][1].fp8_cache else 1e-4) * scale
        assert np.abs(seen["frames"].astype(int) - frames).max() <= (24 if CASES[name][1].fp8_cache else 1)
        assert seen["held"] == held / 2


def test_tokens_are_dealt_out_evenly_and_none_is_missing() -> None:
    config = VIDEO_PRESETS["aapt-8b"].at(RESOLUTIONS["416p"])
    parts = [SequencePart.of(config, rank, 8) for rank in range(8)]
    tokens = [token for part in parts for token in range(part.tokens.start, part.tokens.stop)]
    assert tokens == list(range(1196))
    assert {part.counts[part.rank] for part in parts} == {149, 150}
    assert [part.heads for part in parts] == [slice(3 * k, 3 * k + 3) for k in range(8)]


def test_heads_that_do_not_divide_are_refused_with_what_would_do() -> None:
    with pytest.raises(
        InvalidConfigError, match="12 heads and 1560 tokens do not divide among 8 devices; 1, 2, 3, 4, 6"
    ):
        SequencePart.of(VIDEO_PRESETS["wan-1.3b"].at(RESOLUTIONS["480p"]), 0, 8)
    with pytest.raises(InvalidConfigError, match="1, 2 devices would do"):
        SequencePart.of(replace(GENERATOR, grid=1, columns=2), 0, 3)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with joined_devices("cpu") as alone:
        assert alone == (0, 1, "cpu")
