"""Writes `avatar_sdk/assets/face_triangles.npy`: the triangles of MediaPipe's face mesh, with eyes and mouth left open.

MediaPipe publishes the mesh as edges only (`FACEMESH_TESSELATION`). Its triangles are the 3-cliques of that graph, less
those that merely surround a vertex of degree three.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parents[1] / "avatar_sdk" / "assets" / "face_triangles.npy"


def faces(edges: frozenset[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """The triangles of a planar graph, sorted."""
    near: defaultdict[int, set[int]] = defaultdict(set)
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    cliques = sorted((a, b, c) for a in near for b in near[a] if b > a for c in near[a] & near[b] if c > b)
    return [(a, b, c) for a, b, c in cliques if not any(len(near[d]) == 3 for d in near[a] & near[b] & near[c])]


def oriented(triangles: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The same triangles, all turning the same way."""
    by_edge: defaultdict[frozenset[int], list[int]] = defaultdict(list)
    for i, (a, b, c) in enumerate(triangles):
        for edge in ((a, b), (b, c), (c, a)):
            by_edge[frozenset(edge)].append(i)
    turned = {0: triangles[0]}
    waiting = [0]
    while waiting:
        a, b, c = turned[waiting.pop()]
        for x, y in ((a, b), (b, c), (c, a)):
            for i in by_edge[frozenset((x, y))]:
                if i not in turned:
                    (z,) = set(triangles[i]) - {x, y}
                    turned[i] = (y, x, z)
                    waiting.append(i)
    return [turned[i] for i in range(len(triangles))]


def main() -> None:
    """Derives and writes the table."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    table = np.array(oriented(faces(FACEMESH_TESSELATION)), np.int16)
    np.save(OUTPUT, table)
    print(f"{OUTPUT}: {len(table)} triangles, {table.max() + 1} vertices")


if __name__ == "__main__":
    main()
