"""Images, folders, patterns and videos of a command line, and the images in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repnext_mm.datasets.annotations import IMAGE_SUFFIXES
from repnext_mm.runtime.images import image_module, read_image

VIDEO_SUFFIXES = frozenset(
    {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv'}
)
LAST_PART = 0.05
"""Of a video's announced frames that may be missing at its end: containers often count wrong."""


class Input(NamedTuple):
    """A file to look at."""

    path: Path
    name: str
    """Its own among all inputs, relative, with suffix."""

    @property
    def is_video(self) -> bool:
        """Whether it has frames."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


class Frame(NamedTuple):
    """An image of an input."""

    name: str
    """Of what is written for it: the input's, and for a video the number of the frame."""

    pixels: np.ndarray
    """``(H, W, 3)`` uint8, RGB."""


def find_inputs(given: Sequence[str]) -> list[Input]:
    """Lists the files that a command line names.

    Args:
        given: Images, videos, folders (with all below them), and patterns such as ``'*.jpg'``.

    Raises:
        FileNotFoundError: If one of them is not there or matches nothing.
    """
    found: dict[Path, str] = {}
    for text in given:
        path = Path(text)
        if path.is_dir():
            inner = {file: file.relative_to(path).as_posix() for file in sorted(path.rglob('*'))}
            chosen = {file: name for file, name in inner.items() if _is_known(file)}
        else:
            files = [path] if path.is_file() else _matching(path)
            chosen = {file: file.name for file in files if file.is_file()}
        if not chosen:
            raise FileNotFoundError(
                f'there is no image or video {text!r}: name files, folders, or a pattern in quotes'
            )
        found |= {file: name for file, name in chosen.items() if file not in found}
    names = list(found.values())
    return [
        Input(path, name if names.count(name) == 1 else path.as_posix().strip('./'))
        for path, name in found.items()
    ]


def _matching(pattern: Path) -> list[Path]:
    """The paths that a pattern such as ``data/*.jpg`` matches, sorted."""
    root = Path(pattern.anchor or '.')
    relative = pattern.relative_to(root) if pattern.anchor else pattern
    return sorted(root.glob(str(relative)))


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and not path.name.startswith('.')


def announced_frames(source: Input, every: int = 1) -> int:
    """How many images an input has, as far as its header tells; 0 for a video that cannot be opened."""
    if not source.is_video:
        return 1
    cv2 = image_module('cv2')
    capture = cv2.VideoCapture(str(source.path))
    count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    capture.release()
    return -(-count // every)


def frames_of(source: Input, done: frozenset[str] = frozenset(), every: int = 1) -> Iterator[Frame]:
    """The images of an input that are not done yet.

    Args:
        source: Image or video.
        done: Names of frames that are left out.
        every: Of a video, the first of so many frames.

    Raises:
        OSError, ValueError: If it cannot be read; of a video, what came before is given first.
    """
    if not source.is_video:
        if source.name not in done:
            yield Frame(source.name, read_image(source.path))
        return
    cv2 = image_module('cv2')
    capture = cv2.VideoCapture(str(source.path))
    try:
        if not capture.isOpened():
            raise ValueError(f'{source.path} is no video that OpenCV can read')
        announced, number = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while capture.grab():
            name = f'{source.name}/{number:06d}'
            if number % every == 0 and name not in done:
                readable, image = capture.retrieve()
                if not readable:
                    raise ValueError(f'{source.path} cannot be decoded at frame {number}')
                yield Frame(name, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            number += 1
        if number < announced * (1 - LAST_PART):
            raise ValueError(
                f'{source.path} breaks off after {number} of {announced} frames, or cannot be decoded'
            )
    finally:
        capture.release()
