"""MediaPipe's face network in PyTorch: it reads what MediaPipe reads, and its readings can be learned from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")
pytest.importorskip("tflite", reason="training needs tflite; install the extra `train`")

from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from training_clips import CONFIG, drawn_batch  # noqa: E402

from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.topology import IRIS_LEFT, IRIS_RIGHT  # noqa: E402
from training import face_reader  # noqa: E402
from training.errors import DataError  # noqa: E402
from training.evaluate.landmarks import LandmarkFinder  # noqa: E402
from training.face_reader import READ_PX, FaceReader, misread, unlike  # noqa: E402
from training.heads.scene import FilmConfig  # noqa: E402
from training.rollout import RolloutConfig  # noqa: E402
from training.stages.adversarial import AdversarialConfig, AdversarialStage  # noqa: E402
from training.synthesize import SynthesisConfig, synthesise_clip  # noqa: E402
from training.tflite_graph import TfliteGraph  # noqa: E402
from training.windows import face_windows  # noqa: E402

BORDER = 64
LIP_POINTS, LID_POINTS = 40, 16
"""A closer look lists the edges of lips or lids first, then rings around them."""


@pytest.fixture(scope="module")
def reader() -> FaceReader:
    return FaceReader()


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """(256, 256, 3): a person who does not exist, as a training clip holds them."""
    return synthesise_clip(SynthesisConfig(frames=2, film=FilmConfig(side_px=384)), 2).truth[1]


def tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_it_sees_the_landmarks_that_mediapipe_sees(reader: FaceReader, crop: np.ndarray) -> None:
    with LandmarkFinder() as find:
        found = find(cv2.copyMakeBorder(crop, *(BORDER,) * 4, cv2.BORDER_REPLICATE))
    assert found is not None
    wanted = found[:, :2] - BORDER
    reading = reader(tensor(crop))
    scale = crop.shape[0] / READ_PX

    def apart(seen: Tensor, points: np.ndarray) -> float:
        return float(np.linalg.norm(seen[0].numpy() * scale - wanted[points], axis=1).mean())

    assert apart(reading.mesh_NP2, np.arange(468)) < 4
    for look, count in (("lips", LIP_POINTS), ("left_eye", LID_POINTS), ("right_eye", LID_POINTS)):
        points = np.array(reader.points_of(look)[:count])
        assert apart(reading.points[look][:, :count], points) < 2
    irises = torch.stack([reading.points["left_iris"][0, 0], reading.points["right_iris"][0, 0]]).numpy() * scale
    centres = wanted[[IRIS_RIGHT[0], IRIS_LEFT[0]]]
    assert np.linalg.norm(irises - centres, axis=1).max() < 2


def test_readings_of_the_same_picture_agree_and_of_a_moved_one_differ_by_the_move(
    reader: FaceReader, crop: np.ndarray
) -> None:
    picture = tensor(crop)
    true = reader(picture)
    assert misread(reader(picture, true.looks), true) < 1e-3
    assert unlike(reader(picture, true.looks), true) < 1e-6
    moved = reader(picture.roll(4, -1), true.looks)
    assert float(misread(moved, true)) == pytest.approx(4 / 256, rel=0.4)


def test_pixels_of_a_blurred_mouth_learn_from_what_was_seen_in_the_true_one(
    reader: FaceReader, crop: np.ndarray
) -> None:
    true = reader(tensor(crop))
    x, y = (int(v) * 256 // READ_PX for v in true.points["lips"][0].mean(0))
    mouth = (slice(None), slice(None), slice(y - 24, y + 24), slice(x - 32, x + 32))
    patch = F.avg_pool2d(tensor(crop)[mouth], 9, 1, 4).requires_grad_()
    optimiser, losses = torch.optim.Adam([patch], 0.01), []
    for _ in range(12):
        picture = tensor(crop)
        picture[mouth] = patch
        reading = reader(picture, true.looks)
        loss = misread(reading, true) + unlike(reading, true)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_what_several_ranks_see_averages_to_what_one_sees(reader: FaceReader, crop: np.ndarray) -> None:
    truth = torch.cat([tensor(crop), 0.3 * tensor(crop)])
    made = truth + 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    true = reader(truth)
    seen = reader(made, true.looks)
    parts = [reader(one) for one in truth.split(1)]
    made_parts = [reader(one, part.looks) for one, part in zip(made.split(1), parts, strict=True)]
    for loss in (misread, unlike):
        mean = torch.stack([loss(a, b) for a, b in zip(made_parts, parts, strict=True)]).mean()
        assert float(loss(seen, true)) == pytest.approx(float(mean), rel=1e-3)


def test_its_weights_do_not_learn(reader: FaceReader) -> None:
    assert not list(reader.parameters())


def test_without_mediapipe_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_reader, "find_spec", lambda name: None)
    with pytest.raises(InvalidConfigError, match="pip install mediapipe"):
        FaceReader()


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 8])
def test_a_file_that_is_no_model_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "face.tflite"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"face\.tflite"):
        TfliteGraph(path)


def test_a_window_is_pasted_where_it_was_cut() -> None:
    batch = drawn_batch(2, 3)
    window = face_windows(batch, 32, torch.Generator().manual_seed(2))
    assert torch.equal(window.pasted(window.truth, batch.truth()), batch.truth())
    black = window.pasted(-torch.ones_like(window.truth), torch.ones_like(batch.truth()))
    assert (black == -1).sum() == window.truth.numel()


def test_stage_3_learns_from_readings(reader: FaceReader) -> None:
    config = AdversarialConfig(
        frames=3,
        rollout=RolloutConfig(frames=3, segment=3, overlap=1),
        game_weight=0,
        pixel_frames=3,
        reading_weight=8.0,
        likeness_weight=0.2,
        read_every=2,
        parts=("decoder",),
    )
    model = AvatarModel.fresh(CONFIG, seed=1)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    before = model.decoder.last.weight.detach().clone()
    only_read = dict.fromkeys(("latent_weight", "gradient_weight", "stay_weight", "harm_weight"), 0.0)
    stage = AdversarialStage(model, None, AdversarialConfig(**{**vars(config), **only_read}), reader=reader)
    metrics = stage.step(drawn_batch(2, 3), 0, torch.Generator().manual_seed(0))
    assert metrics["misread"] > 0
    assert metrics["unlike"] > 0
    assert metrics["loss"].isfinite()
    assert not torch.equal(model.decoder.last.weight, before)
    assert not any("reader" in name for name in stage.networks)
