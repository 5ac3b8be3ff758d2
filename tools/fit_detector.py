"""Makes training/heads/assets/detector.npz: how MediaPipe's landmarks differ from the exact ones on rendered faces.

Films people with `training.heads`, tracks them with MediaPipe as the client does, and fits `DetectorModel`: a ridge
regression on pose and expression, the principal components of what stays with a person and of what changes from frame
to frame, and the lag.

    python tools/fit_detector.py --people 60
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT, LANDMARKS, LIPS_INNER, LIPS_OUTER
from training.heads.detector import FEATURES, features, head_frame
from training.heads.scene import Scene

Floats = NDArray[np.float64]
PERSON_MODES, NOISE_MODES, FRAMES, SEED = 12, 20, 48, 7_000_000
OUTPUT = Path(__file__).parents[1] / "training/heads/assets/detector.npz"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=60)
    options = parser.parse_args()
    films = [film for k in range(options.people) if (film := track(Scene(SEED + k))) is not None]
    lag = fit_lag(films)
    people = [errors(exact, seen, lag) for exact, seen in films]
    x, e = np.concatenate([p[0] for p in people]), np.concatenate([p[1] for p in people])
    habit = np.linalg.solve(x.T @ x + 1e-2 * len(x) * np.diag([0.0] + [1.0] * (len(FEATURES) - 1)), x.T @ e)
    left = [p[1] - p[0] @ habit for p in people]
    person = modes(np.stack([r.mean(0) for r in left]), PERSON_MODES)
    moving = [r - r.mean(0) for r in left]
    noise = modes(np.concatenate(moving), NOISE_MODES)
    scores = [r @ np.linalg.pinv(noise) for r in moving]
    memory = np.array([np.mean([np.corrcoef(s[:-1, k], s[1:, k])[0, 1] for s in scores]) for k in range(NOISE_MODES)])
    stored = {
        "habit": habit.reshape(len(FEATURES), LANDMARKS, 3),
        "person": person.reshape(-1, LANDMARKS, 3),
        "noise": noise.reshape(-1, LANDMARKS, 3),
        "memory": memory.clip(0, 0.98),
        "lag": lag,
    }
    np.savez_compressed(OUTPUT, **{name: array.astype(np.float16) for name, array in stored.items()})
    print(f"{len(films)} people; habit {abs(habit).mean():.4f}, person {spread(person):.4f}, noise {spread(noise):.4f}")
    print("memory", memory.round(2), "lag", np.unique(lag.round(3)), OUTPUT)


def track(scene: Scene) -> tuple[Floats, Floats] | None:
    """Exact and detected landmarks (F, 478, 3) of one person, in pixels; None when the face was ever lost."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    act, exact, seen = scene.act(FRAMES), [], []
    side = scene.config.side_px
    with FaceMesh(refine_landmarks=True, max_num_faces=1) as mesh:
        first = scene.take(act, 0).image
        for _ in range(3):
            mesh.process(first)
        for k in range(FRAMES):
            take = scene.take(act, k, k)
            faces = mesh.process(cv2.resize(take.image, None, fx=4 / 3, fy=4 / 3)).multi_face_landmarks
            if not faces:
                return None
            exact.append(take.landmarks)
            seen.append([(p.x * side - 0.5, p.y * side - 0.5, p.z * side) for p in faces[0].landmark])
    return np.array(exact), np.array(seen)


def fit_lag(films: list[tuple[Floats, Floats]]) -> Floats:
    """(478,): the share of the previous frame that explains what was detected; one for mouth, eyes and rest each."""
    lag = np.zeros(LANDMARKS)
    mouth, eyes = np.r_[LIPS_INNER, LIPS_OUTER], np.r_[EYE_RIGHT, EYE_LEFT, 468:478]
    rest = np.setdiff1d(np.arange(LANDMARKS), np.r_[mouth, eyes])
    for part in (mouth, eyes, rest):
        moved = np.concatenate([np.diff(exact[:, part, :2], axis=0)[1:].ravel() for exact, _ in films])
        before = np.concatenate([np.diff(exact[:, part, :2], axis=0)[:-1].ravel() for exact, _ in films])
        found = np.concatenate([np.diff(seen[:, part, :2], axis=0)[1:].ravel() for _, seen in films])
        now, late = np.linalg.lstsq(np.stack([moved, before], 1), found, rcond=None)[0]
        lag[part] = np.clip(late / (now + late), 0, 0.5)
    return lag


def errors(exact: Floats, seen: Floats, lag: Floats) -> tuple[Floats, Floats]:
    """Features (F, 8) and errors (F, 478 · 3) in the frame of the head."""
    late = exact.copy()
    late[1:] += lag[:, None] * (exact[:-1] - exact[1:])
    x, e = [], []
    for true, found in zip(late, seen, strict=True):
        axes, unit = head_frame(true)
        difference = found - true
        difference[:, 2] -= difference[:, 2].mean()  # depth has no origin
        x.append(features(true, axes))
        e.append((difference @ axes / unit).ravel())
    return np.array(x), np.array(e)


def modes(samples: Floats, count: int) -> Floats:
    """(count, D): principal directions, each scaled by its deviation."""
    centred = samples - samples.mean(0)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(s[:count, None] * vt[:count] / np.sqrt(len(samples)))


def spread(basis: Floats) -> float:
    """Mean deviation of a coordinate."""
    return float(np.sqrt((basis**2).sum(0)).mean())


if __name__ == "__main__":
    main()
