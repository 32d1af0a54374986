"""What the page must know of a network."""

from typing import Any

from repnext_mm.runtime import ExportedNetwork
from repnext_mm.visualization.colours import class_colours

INSTANCES = 64
"""Colours for objects where there is one class; then they begin again."""


def describe_network(reader: ExportedNetwork, name: str) -> dict[str, Any]:
    """A network's task, classes and colours, as plain values.

    Args:
        reader: The network.
        name: What the page calls it.
    """
    details = reader.spec.details
    count = len(reader.classes) or INSTANCES
    return dict(
        name=name,
        task=reader.task,
        classes=reader.classes,
        colours=[_hexadecimal(colour) for colour in reader.colours(count)],
        instance_colours=[_hexadecimal(colour) for colour in class_colours(INSTANCES)],
        score_threshold=details.get('score_threshold'),
        has_masks=details.get('mask_threshold') is not None or 'mask_frame' in details,
    )


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return '#' + ''.join(f'{value:02x}' for value in colour)
