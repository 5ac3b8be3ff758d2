"""Random light: a key with shadows, fills, and the light of the surroundings."""

from __future__ import annotations

import numpy as np

from training.heads.raster import Lights


def draw_lights(rng: np.random.Generator) -> Lights:
    """One to three directional lights and an ambient gradient, from flat daylight to a hard lamp at the side."""
    directions, colours = [], []
    hard = rng.random()
    for k in range(int(rng.integers(1, 4))):
        spread = 1.3 if k else rng.uniform(0.2, 1.1)
        across, up = rng.normal(0, 0.75 * spread), rng.normal(0.45, 0.4)
        direction = np.array((np.sin(across), np.sin(up), np.cos(across) * np.cos(up) + 0.15))
        warm = rng.normal(0, 0.12)
        colour = np.array((1 + warm, 1.0, 1 - warm)) * (rng.uniform(0.3, 0.85) if k == 0 else rng.uniform(0, 0.3))
        directions.append(direction / np.linalg.norm(direction))
        colours.append(colour * (0.6 + 0.6 * hard))
    tint = np.exp(rng.normal(0, 0.08, 3))
    mean = rng.uniform(0.3, 0.6) * (1.25 - 0.55 * hard) * tint
    ambient = np.stack([mean, mean * rng.uniform(0, 0.35), mean * rng.uniform(-0.3, 0.3)])
    return Lights(
        np.array(directions, np.float32),
        np.array(colours, np.float32),
        ambient.astype(np.float32),
        float(rng.uniform(0.25, 0.9) * (0.4 + 0.6 * hard)),
    )
