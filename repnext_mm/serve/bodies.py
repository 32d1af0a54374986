"""The picture in a request: as its body, or as a file of a form. Nothing is written to a disk."""

import io
from collections.abc import AsyncGenerator

from PIL import Image, UnidentifiedImageError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from repnext_mm.serve.limits import RefusedError, ServiceLimits, too_large, too_many_pixels

FORM = 'multipart/form-data'
RAW = ('', 'application/octet-stream', 'application/x-www-form-urlencoded')
"""Types of a body that is a picture, besides ``image/...``; the last is what curl says by itself."""

PICTURES = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF', 'PPM', 'JPEG2000')
"""Formats of Pillow that OpenCV reads too."""

HOW = 'send a JPEG, PNG or WebP file as the body, or as the only file of a form'


class FormInMemory(MultiPartParser):
    """A parser of forms whose files stay in memory, however long they are."""

    spool_max_size = 0


async def read_content(request: Request, limits: ServiceLimits) -> bytes:
    """Reads the picture's file from a request.

    Raises:
        RefusedError: If the body is too long (413), of another type (415), or a form without exactly
            one file (422).
    """
    declared = request.headers.get('content-length', '')
    if declared.isdigit() and int(declared) > limits.max_bytes:
        raise too_large(int(declared), limits.max_bytes)
    kind = request.headers.get('content-type', '').partition(';')[0].strip().lower()
    stream = limited(request, limits.max_bytes)
    if kind == FORM:
        return await _file_of_form(request, stream)
    if kind not in RAW and not kind.startswith('image/'):
        raise RefusedError(415, f'a body of the type {kind!r} is no picture', HOW)
    content = b''.join([chunk async for chunk in stream])
    if not content:
        raise RefusedError(422, 'the body is empty', HOW)
    return content


async def limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The chunks of a body.

    Raises:
        RefusedError: As soon as there are more than ``most`` bytes.
    """
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > most:
            raise too_large(None, most)
        yield chunk


async def _file_of_form(request: Request, stream: AsyncGenerator[bytes, None]) -> bytes:
    try:
        form = await FormInMemory(request.headers, stream, max_files=1, max_fields=8).parse()
    except MultiPartException as error:
        raise RefusedError(422, f'the form cannot be read: {error.message}', HOW) from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if len(files) != 1:
        raise RefusedError(422, f'the form has {len(files)} files', HOW)
    content = await files[0].read()
    await form.close()
    return content


def check_picture(content: bytes, limits: ServiceLimits) -> None:
    """Looks at the header of a picture, before anything is decoded.

    Raises:
        RefusedError: If it is no picture (415), or has too many pixels (413).
    """
    try:
        with Image.open(io.BytesIO(content), formats=PICTURES) as picture:
            width, height = picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RefusedError(
            413, f'the picture is too large: {error}', 'send a smaller one', limit='max_pixels'
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise RefusedError(415, 'the file is no picture that can be read', HOW) from error
    if width * height > limits.max_pixels:
        raise too_many_pixels(width, height, limits.max_pixels)
