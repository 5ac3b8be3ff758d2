"""MediaPipe's own face network as a reader of training pictures: where it sees lips, lids and irises.

Users judge a mouth by its shape. Reading both the truth and what was made tells in one number whether the picture shows
the pose it was asked for. Left and right are as the picture shows them.

N pictures, C channels, H rows, W columns, P points.

Source: Attention Mesh, arXiv 2006.10962; where a closer look lies is what the options of MediaPipe's own operators say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from avatar_client.errors import InvalidConfigError
from flatbuffers import flexbuffers
from torch import Tensor, nn
from torch.nn import functional as F

from training.tflite_graph import TfliteGraph

NETWORK: Final = "modules/face_landmark/face_landmark_with_attention.tflite"
READ_PX: Final = 192
"""Side of the picture that the network takes."""
SHARED: Final = "p_re_lu_3"
"""Features (N, 32, 48, 48) that the closer looks at lips and eyes are cut from."""
FINE: Final = 4
"""Points of a closer look come in quarters of its pixels."""
LOOKS: Final = {
    "lips": ("landmarks_to_transform_matrix_v2", "transform_tensor_bilinear_v2", ("conv_lips",)),
    "left_eye": (
        "landmarks_to_transform_matrix_v2_1",
        "transform_tensor_bilinear_v2_1",
        ("conv_left_eye", "conv_left_iris"),
    ),
    "right_eye": (
        "landmarks_to_transform_matrix_v2_2",
        "transform_tensor_bilinear_v2_2",
        ("conv_right_eye", "conv_right_iris"),
    ),
}
"""A closer look → its place, its features, its points."""


@dataclass(frozen=True, eq=False)
class Look:
    """Where a closer look is put in each picture.

    Attributes:
        place_N23: pixels of the look → pixels of the picture.
    """

    place_N23: Tensor

    def placed(self, points_NP2: Tensor) -> Tensor:
        """Points of the look, in pixels of the picture."""
        return points_NP2 @ self.place_N23[:, :, :2].transpose(1, 2) + self.place_N23[:, None, :, 2]


@dataclass(frozen=True, eq=False)
class Reading:
    """What was seen.

    Attributes:
        mesh_NP2: 468 points in pixels of the picture as the network takes it.
        points: of lips, eyes and irises: name → (N, P, 2), like the mesh.
        looks: closer look → where it was.
        features: (N, 32, 48, 48).
    """

    mesh_NP2: Tensor
    points: Mapping[str, Tensor]
    looks: Mapping[str, Look]
    features: Tensor


class FaceReader(nn.Module):
    """Reads faces that fill two thirds of an upright square, as the avatar's crop is. Its weights do not learn."""

    def __init__(self) -> None:
        """Takes the network from the installed MediaPipe, which is not imported.

        Raises:
            InvalidConfigError: MediaPipe is not installed.
            DataError: its network cannot be read.
        """
        super().__init__()
        found = find_spec("mediapipe")
        if found is None or not found.submodule_search_locations:
            raise InvalidConfigError(
                "reading faces needs MediaPipe: pip install mediapipe, or give --reading-weight 0 --likeness-weight 0"
            )
        self._graph = TfliteGraph(Path(found.submodule_search_locations[0]) / NETWORK)
        places = {operator.output: operator for operator in self._graph.operators}
        self._cuts = {
            name: flexbuffers.GetRoot(places[place].options).AsMap.Value for name, (place, _, _) in LOOKS.items()
        }

    def points_of(self, look: str) -> list[int]:
        """Which landmarks of the mesh a closer look finds."""
        return list(self._cuts[look]["subset_idxs"])

    def forward(self, picture_NCHW: Tensor, looks: Mapping[str, Look] | None = None) -> Reading:
        """Reads crops (N, 3, H, W) in [-1, 1]; `looks` of another reading makes both comparable."""
        # Half precision would round a landmark to a pixel.
        with torch.autocast(picture_NCHW.device.type, enabled=False):
            return self._read(picture_NCHW, looks)

    def _read(self, picture_NCHW: Tensor, looks: Mapping[str, Look] | None) -> Reading:
        small = F.interpolate((picture_NCHW.float() + 1) / 2, (READ_PX, READ_PX), mode="bilinear", antialias=True)
        mesh, features = self._graph({"input_1": small}, ("output_mesh", SHARED))
        mesh_NP2 = mesh.flatten(1).unflatten(1, (-1, 3))[..., :2]
        if looks is None:
            looks = {name: _look(mesh_NP2.detach(), cut) for name, cut in self._cuts.items()}
        points: dict[str, Tensor] = {}
        for name, (_, cut_features, wanted) in LOOKS.items():
            side = self._cuts[name]["output_width"]
            cut_NCHW = _cut(features, looks[name].place_N23, side)
            for one, seen in zip(wanted, self._graph({cut_features: cut_NCHW}, wanted), strict=True):
                points[one.removeprefix("conv_")] = looks[name].placed(seen.flatten(1).unflatten(1, (-1, 2)) / FINE)
        return Reading(mesh_NP2, points, looks, features)


def misread(made: Reading, true: Reading) -> Tensor:
    """Mean distance of lips, eyes and irises in two readings with the same looks. Unit: the width of the picture."""
    apart = [(seen - true.points[name]).square().sum(-1).add(1e-4).sqrt().mean() for name, seen in made.points.items()]
    return torch.stack(apart).mean() / READ_PX


def unlike(made: Reading, true: Reading) -> Tensor:
    """Mean absolute difference of the features that a face is read from, over their mean size, picture by picture."""
    apart_N, size_N = (x.abs().flatten(1).mean(1) for x in (made.features - true.features, true.features))
    return (apart_N / size_N).mean()


def _look(mesh_NP2: Tensor, cut: Mapping[str, Any]) -> Look:
    """A box around some points, level with two of them."""
    left, right = mesh_NP2[:, cut["left_rotation_idx"]], mesh_NP2[:, cut["right_rotation_idx"]]
    across = right - left
    angle = torch.atan2(across[:, 1], across[:, 0])
    cos, sin = angle.cos(), angle.sin()
    level = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], 1)
    placed = mesh_NP2[:, cut["subset_idxs"]] @ level.transpose(1, 2)
    low, high = placed.amin(1), placed.amax(1)
    centre = ((low + high) / 2).unsqueeze(1) @ level
    stretch = torch.tensor([cut["scale_x"] / cut["output_width"], cut["scale_y"] / cut["output_height"]])
    linear = level.transpose(1, 2) * ((high - low) * stretch.to(low)).unsqueeze(1)
    middle = torch.full_like(centre, cut["output_width"] / 2)
    offset = centre - middle @ linear.transpose(1, 2)
    return Look(torch.cat([linear, offset.transpose(1, 2)], 2))


def _cut(features_NCHW: Tensor, place_N23: Tensor, side: int) -> Tensor:
    """(N, C, side, side), sampled between pixels."""
    steps = torch.arange(side, device=features_NCHW.device, dtype=features_NCHW.dtype) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)], -1)
    places = torch.einsum("hwk,nck->nhwc", grid, place_N23.to(features_NCHW.dtype))
    return F.grid_sample(features_NCHW, 2 * places / READ_PX - 1, align_corners=False, padding_mode="border")
