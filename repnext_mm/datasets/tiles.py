"""Large images cut into tiles of equal sizes."""

from collections.abc import Iterator

TILE = 256
"""Pixels of a side of a tile of nuclei, about: images are cut evenly."""


def tiles_of(shape: tuple[int, ...], side: int = TILE) -> Iterator[tuple[slice, slice]]:
    """Cuts an image of this height and width evenly into tiles of about ``side`` pixels."""
    edges = []
    for length in shape:
        parts = max(1, round(length / side))
        edges.append([round(length * part / parts) for part in range(parts + 1)])
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            yield slice(top, bottom), slice(left, right)
