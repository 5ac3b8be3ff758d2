"""Rotations and similarities in three dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """`target = scale * source @ rotation.T + translation` for points in rows.

    Attributes:
        scale: > 0.
        rotation: (3, 3).
        translation: (3,).
        residual: root mean square distance after the fit, in the target's unit.
    """

    scale: float
    rotation: Doubles
    translation: Doubles
    residual: float


def fit_similarity(source: Doubles, target: Doubles) -> Similarity:
    """The least-squares similarity between two point sets.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, PAMI 1991.

    Args:
        source: (N, 3), not all on one line.
        target: (N, 3).
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, 1.0 if np.linalg.det(u) * np.linalg.det(vt) > 0 else -1.0])
    rotation = (u * sign) @ vt
    spread = float((a * a).sum())
    scale = max(float((s * sign).sum()) / spread, 1e-9)
    left_over = max(float((b * b).sum()) - scale * scale * spread, 0.0)
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean, math.sqrt(left_over / len(source)))


def rotation_vector(rotation: Doubles) -> Doubles:
    """(3,) axis × angle of a rotation matrix. Unit: radians, angle in [0, π]."""
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine, cosine = float(np.linalg.norm(axis)) / 2, (float(np.trace(rotation)) - 1) / 2
    angle = math.atan2(sine, cosine)
    if sine > 1e-6:
        return np.asarray(axis * (angle / (2 * sine)))
    if cosine > 0:
        return np.asarray(axis / 2)
    # Half a turn: the axis is the eigenvector of eigenvalue 1.
    column = rotation + np.eye(3)
    best = column[:, int(np.argmax(np.diag(column)))]
    return np.asarray(best / np.linalg.norm(best) * angle)


def rotation_matrix(vector: Doubles) -> Doubles:
    """Inverse of `rotation_vector` (Rodrigues' formula)."""
    x, y, z = (float(v) for v in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-8:
        return np.asarray(np.eye(3) + cross)
    bend = (1 - math.cos(angle)) / angle**2
    return np.asarray(np.eye(3) + math.sin(angle) / angle * cross + bend * (cross @ cross))


def limit(value: float, knee: float, most: float) -> float:
    """`value` unchanged up to ±`knee`, then bent so that it never passes ±`most`."""
    size = abs(value)
    if size <= knee:
        return value
    room = most - knee
    return math.copysign(knee + room * math.tanh((size - knee) / room), value)
