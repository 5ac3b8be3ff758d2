"""How a face moves: a small set of shapes, each a pull on a few points that the skin follows.

Names are close to ARKit's; right and left are the subject's. A weight of 1 is the strongest an adult can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, OVAL
from training.heads.anatomy import (
    BROWS,
    EYES,
    JAW_HINGE,
    LIPS,
    LOWER_INNER,
    LOWER_OUTER,
    MIRROR,
    NOSE_SKIN,
    SKIN,
    TOP_OF_OVAL,
    UPPER_INNER,
    UPPER_OUTER,
    lids,
    pull,
    turned,
)

Floats = NDArray[np.float64]

JAW_DEGREES: Final = 22.0
"""Opening of the jaw at weight 1."""
NAMES: Final = (
    "jaw_open", "jaw_side", "lips_close", "pucker", "funnel", "press", "upper_lip_up", "lower_lip_down",
    "smile_right", "smile_left", "frown_right", "frown_left", "stretch_right", "stretch_left", "cheek_puff", "sneer",
    "blink_right", "blink_left", "squint_right", "squint_left", "wide_right", "wide_left",
    "brow_inner_up", "brow_outer_up_right", "brow_outer_up_left", "brow_down_right", "brow_down_left",
)  # fmt: skip
INDEX: Final = {name: i for i, name in enumerate(NAMES)}
_JAW_SHARE: Final = {
    152: 1, 148: 1, 377: 1, 176: 1, 400: 1, 149: 0.95, 378: 0.95, 150: 0.85, 379: 0.85, 136: 0.7, 365: 0.7,
    172: 0.5, 397: 0.5, 58: 0.3, 288: 0.3, 132: 0.12, 361: 0.12, 199: 1, 200: 1, 18: 1,
}  # fmt: skip
"""How far skin of chin and jaw follows the bone."""


@cache
def shapes() -> Floats:
    """(shapes, 468, 3): displacement of the average face at weight 1, in `NAMES`' order."""
    made = {**_jaw(), **_lips(), **_both_sides(_mouth_corner), **_both_sides(_lid_shapes), **_both_sides(_brow_shapes)}
    made["brow_inner_up"] = _brow_inner()
    table = np.stack([made[name] for name in NAMES])
    table.flags.writeable = False
    return table


@cache
def lid_bulge() -> Floats:
    """(2, 468, 3): how far half-closed lids of the right and left eye ride over the eyeball."""
    bulges = []
    for eye in (EYE_RIGHT, EYE_LEFT):
        upper, _ = lids(eye)
        bulges.append(pull({int(i): (0, 0, 0.09) for i in upper[1:-1]}, [*OVAL, *BROWS, *NOSE_SKIN, *LIPS]))
    return np.stack(bulges)


def shapes_of(skin: Floats) -> Floats:
    """The shapes of one person (468, 3): as everybody's, but lids and lips that close do so exactly."""
    table = shapes().copy()
    for side, eye, other in (("right", EYE_RIGHT, EYE_LEFT), ("left", EYE_LEFT, EYE_RIGHT)):
        table[INDEX[f"blink_{side}"]] = _lid_pull(skin, eye, other, 0.93, 0.09, 0.1)
    table[INDEX["lips_close"]] = _lips_close(skin)
    return table


def deform(skin: Floats, own_shapes: Floats, weights: Floats) -> Floats:
    """The skin (468, 3) of one person with an expression.

    Args:
        skin: at rest.
        own_shapes: from `shapes_of`.
        weights: (shapes,), each usually in [0, 1].
    """
    moved = skin + np.tensordot(weights, own_shapes, 1)
    closing = np.clip(weights[[INDEX["blink_right"], INDEX["blink_left"]]], 0, 1)
    return np.asarray(moved + np.tensordot(4 * closing * (1 - closing), lid_bulge(), 1))


def _jaw() -> dict[str, Floats]:
    still = [*TOP_OF_OVAL, *EYES, *BROWS, *NOSE_SKIN]
    share: dict[int, float] = dict(_JAW_SHARE)
    share.update({int(i): 1.0 for i in np.r_[LOWER_INNER[1:-1], LOWER_OUTER[1:-1]]})
    share.update({int(i): 0.75 for i in (95, 324, 146, 375)})
    share.update({int(i): 0.45 for i in (78, 308, 61, 291)})
    share.update({int(i): 0.03 for i in np.r_[UPPER_INNER[1:-1], UPPER_OUTER[1:-1]]})
    opened = turned(SKIN, JAW_DEGREES, JAW_HINGE) - SKIN
    side = {int(i): (0.6, 0, 0) for i in (*LOWER_INNER[1:-1], *LOWER_OUTER[1:-1], 152, 148, 377, 199, 200)}
    side |= {61: (0.3, 0, 0), 291: (0.3, 0, 0), 0: (0.1, 0, 0)}
    return {
        "jaw_open": pull({i: w * opened[i] for i, w in share.items()}, [*still, 93, 323]),
        "jaw_side": pull(side, [*still, 132, 361, 93, 323]),
    }


def _lips() -> dict[str, Floats]:
    still = [*TOP_OF_OVAL, *EYES, *BROWS, *NOSE_SKIN, *OVAL]
    inner_up, inner_low, outer_up, outer_low = (
        [int(i) for i in part[1:-1]] for part in (UPPER_INNER, LOWER_INNER, UPPER_OUTER, LOWER_OUTER)
    )
    corners = (61, 291, 78, 308)
    x, y = SKIN[:, 0], SKIN[:, 1]
    mouth_y = float(y[[13, 14]].mean())

    def towards_middle(amount: float, forward: float) -> dict[int, tuple[float, float, float]]:
        return {int(i): (-amount * x[i], 0.1 * (mouth_y - y[i]), forward - 0.05 * abs(x[i])) for i in LIPS}

    funnel = {i: (-0.25 * x[i], 0.35, 0.5) for i in inner_up + outer_up}
    funnel |= {i: (-0.25 * x[i], -0.5, 0.5) for i in inner_low + outer_low}
    funnel |= {i: (-0.22 * x[i], 0, 0.3) for i in corners}
    press = dict.fromkeys(inner_up, (0, -0.12, -0.25)) | dict.fromkeys(inner_low, (0, 0.12, -0.25))
    press |= dict.fromkeys(outer_up, (0, -0.2, -0.1)) | dict.fromkeys(outer_low, (0, 0.2, -0.1))
    up = {i: (0, 0.5 - 0.1 * abs(x[i]), 0.1) for i in inner_up} | {
        i: (0, 0.4 - 0.08 * abs(x[i]), 0.1) for i in outer_up
    }
    up |= dict.fromkeys((*inner_low, *outer_low, *corners), (0, 0, 0))
    down = {i: (0, -0.6 + 0.1 * abs(x[i]), 0.05) for i in inner_low}
    down |= {i: (0, -0.5 + 0.1 * abs(x[i]), 0.05) for i in outer_low}
    down |= dict.fromkeys((*inner_up, *outer_up, *corners), (0, 0, 0))
    puff: dict[int, tuple[float, float, float]] = {int(i): (0, 0, 0.1) for i in LIPS}
    for right, move in ((50, (-0.1, 0, 0.4)), (205, (-0.4, 0, 0.7)), (207, (-0.5, 0, 0.7))):
        puff[right], puff[int(MIRROR[right])] = move, (-move[0], move[1], move[2])
    sneer = {48: (-0.05, 0.35, 0.05), 278: (0.05, 0.35, 0.05), 98: (0, 0.2, 0), 327: (0, 0.2, 0)}
    sneer |= {50: (0, 0.3, 0.2), 280: (0, 0.3, 0.2)}
    return {
        "lips_close": _lips_close(SKIN),
        "pucker": pull(towards_middle(0.38, 0.75), still),
        "funnel": pull(funnel, still),
        "press": pull(press, still),
        "upper_lip_up": pull(up, still),
        "lower_lip_down": pull(down, still),
        "cheek_puff": pull(puff, still),
        "sneer": pull(sneer, [*TOP_OF_OVAL, *EYES, 1, 4, 5, 6, 195, 168, 2, *OVAL]),
    }


def _lips_close(skin: Floats) -> Floats:
    inner_up, inner_low, outer_up, outer_low = (
        [int(i) for i in part[1:-1]] for part in (UPPER_INNER, LOWER_INNER, UPPER_OUTER, LOWER_OUTER)
    )
    close: dict[int, Sequence[float]] = dict.fromkeys((61, 291, 78, 308), (0, 0, 0))
    for up, low in zip(inner_up, inner_low, strict=True):
        gap = skin[low] - skin[up]
        close[up], close[low] = (0, gap[1] / 2, 0.5 * gap[2]), (0, -gap[1] / 2, -0.5 * gap[2])
    close |= dict.fromkeys(outer_up, (0, -0.1, 0)) | dict.fromkeys(outer_low, (0, 0.12, 0))
    return pull(close, [*TOP_OF_OVAL, *EYES, *BROWS, *NOSE_SKIN, *OVAL])


def _lid_pull(
    skin: Floats, eye: NDArray[np.int64], other: NDArray[np.int64], top: float, bottom: float, lift: float = 0.0
) -> Floats:
    """Moves both lids of an eye by shares of the gap between them; `lift` takes the upper one over the eyeball."""
    still = [*OVAL, *NOSE_SKIN, *LIPS, *other, *BROWS, eye[0], eye[8]]
    upper, lower = lids(eye)
    handles: dict[int, Sequence[float]] = {}
    for up, low in zip(upper[1:-1], lower[1:-1], strict=True):
        gap = skin[low] - skin[up]
        handles[int(up)], handles[int(low)] = gap * top + (0, 0, lift), -gap * bottom
    return pull(handles, still)


def _mouth_corner() -> dict[str, Floats]:
    """Shapes of the right corner of the mouth."""
    still = [*OVAL, *EYES, *BROWS, *NOSE_SKIN]
    middle = {0: (0, 0.05, -0.1), 17: (0, 0.02, -0.1), 13: (0, 0.06, -0.1), 14: (0, 0.02, -0.1)}
    smile = {61: (-0.9, 0.75, -0.5), 78: (-0.9, 0.72, -0.5), 50: (-0.2, 0.35, 0.25), 205: (-0.25, 0.35, 0.2)}
    frown = {61: (-0.2, -0.6, 0), 78: (-0.2, -0.55, 0)}
    stretch = {61: (-0.8, -0.1, -0.5), 78: (-0.8, -0.1, -0.5)}
    return {
        "smile": pull({**middle, **smile}, still),
        "frown": pull({**dict.fromkeys((0, 13), (0, 0, 0)), 17: (0, 0.1, 0), 14: (0, 0.05, 0), **frown}, still),
        "stretch": pull({**middle, **stretch}, still),
    }


def _lid_shapes() -> dict[str, Floats]:
    """Shapes of the right eye's lids."""
    share = {"blink": (0.93, 0.09, 0.1), "squint": (0.15, 0.35), "wide": (-0.3, -0.1)}
    return {name: _lid_pull(SKIN, EYE_RIGHT, EYE_LEFT, *by) for name, by in share.items()}


def _brow_shapes() -> dict[str, Floats]:
    """Shapes of the right brow."""
    still = [*OVAL, *NOSE_SKIN, *LIPS, *EYES, *BROW_LEFT]
    rise = (0.6, 0.75, 0.6, 0.35, 0.1, 0.1, 0.3, 0.5, 0.65, 0.55)
    outer = {int(i): (0, h, 0) for i, h in zip(BROW_RIGHT, rise, strict=True)}
    down = {int(i): (0.2 if k in (3, 4, 5, 6) else 0.0, -0.45, 0.1) for k, i in enumerate(BROW_RIGHT)}
    return {"brow_outer_up": pull(outer, still), "brow_down": pull(down, still)}


def _brow_inner() -> Floats:
    rise = (0, 0.1, 0.3, 0.55, 0.75, 0.75, 0.5, 0.25, 0.1, 0)
    handles = {int(i): (0, h, 0) for brow in (BROW_RIGHT, BROW_LEFT) for i, h in zip(brow, rise, strict=True)}
    return pull(handles, [*OVAL, *NOSE_SKIN, *LIPS, *EYES])


def _both_sides(make: object) -> dict[str, Floats]:
    """The shapes of the right side and their mirror images."""
    assert callable(make)
    right: dict[str, Floats] = make()
    both = {}
    for name, shape in right.items():
        both[f"{name}_right"] = shape
        both[f"{name}_left"] = shape[MIRROR] * (-1, 1, 1)
    return both
