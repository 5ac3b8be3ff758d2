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
    """

    scale: float
    rotation: Doubles
    translation: Doubles


class SimilarityFit:
    """Least-squares similarities from one fixed point set to many others.

    Source: Horn, Closed-form solution of absolute orientation using unit quaternions, JOSA A 1987. It never reflects.
    """

    def __init__(self, source: Doubles) -> None:
        """`source` (N, 3), not all on one line."""
        self._mean = source.mean(0)
        self._centred = source - self._mean
        self._spread = float((self._centred**2).sum())
        self._count = len(source)

    def to(self, target: Doubles) -> Similarity:
        """The similarity that takes the source to `target` (N, 3)."""
        mean = np.add.reduce(target) / self._count
        centred = target - mean
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (self._centred.T @ centred).tolist()
        key = np.array(
            [
                [xx + yy + zz, yz - zy, zx - xz, xy - yx],
                [yz - zy, xx - yy - zz, xy + yx, zx + xz],
                [zx - xz, xy + yx, yy - xx - zz, yz + zy],
                [xy - yx, zx + xz, yz + zy, zz - xx - yy],
            ]
        )
        values, vectors = np.linalg.eigh(key)
        w, x, y, z = vectors[:, 3].tolist()
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        scale = max(float(values[3]) / self._spread, 1e-9)
        return Similarity(scale, rotation, mean - scale * rotation @ self._mean)


def rotation_vector(rotation: Doubles) -> Doubles:
    """(3,) axis × angle of a rotation matrix. Unit: radians, angle in [0, π]."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    x, y, z = zy - yz, xz - zx, yx - xy
    sine, cosine = math.sqrt(x * x + y * y + z * z) / 2, (xx + yy + zz - 1) / 2
    angle = math.atan2(sine, cosine)
    if sine > 1e-6:
        return np.array([x, y, z]) * (angle / (2 * sine))
    if cosine > 0:
        return np.array([x, y, z]) / 2
    # Half a turn: the axis is the eigenvector of eigenvalue 1.
    column = rotation + np.eye(3)
    best = column[:, int(np.argmax(np.diag(column)))]
    return np.asarray(best / np.linalg.norm(best) * angle)


def rotation_matrix(vector: Doubles) -> Doubles:
    """Inverse of `rotation_vector` (Rodrigues' formula)."""
    x, y, z = vector.tolist()
    square = x * x + y * y + z * z
    angle = math.sqrt(square)
    cosine = math.cos(angle)
    if square < 1e-12:
        sine_share, bend = 1.0, 0.5
    else:
        sine_share, bend = math.sin(angle) / angle, (1 - cosine) / square
    x_sine, y_sine, z_sine = x * sine_share, y * sine_share, z * sine_share
    xy, xz, yz = x * y * bend, x * z * bend, y * z * bend
    return np.array(
        [
            [cosine + x * x * bend, xy - z_sine, xz + y_sine],
            [xy + z_sine, cosine + y * y * bend, yz - x_sine],
            [xz - y_sine, yz + x_sine, cosine + z * z * bend],
        ]
    )


def limit(value: float, knee: float, most: float) -> float:
    """`value` unchanged up to ±`knee`, then bent so that it never passes ±`most`."""
    size = abs(value)
    if size <= knee:
        return value
    room = most - knee
    return math.copysign(knee + room * math.tanh((size - knee) / room), value)
