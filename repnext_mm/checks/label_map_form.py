"""Label maps as files: readable, one number of 8 bits for each pixel, as large as the image."""

from collections.abc import Iterator

from repnext_mm.checks.findings import Finding
from repnext_mm.checks.images import Extent, ImageLoader, loader_of, open_image, report_broken
from repnext_mm.checks.label_data import LabelData
from repnext_mm.checks.sampling import OPENED_FILES
from repnext_mm.checks.wording import examples, of_all


def check_files(data: LabelData) -> Iterator[Finding]:
    """Label maps can be read, and hold the number of a class for each pixel."""
    yield from _readable(data)
    yield from _one_channel(data)
    yield from _eight_bits(data)
    if any(found.path.lower().endswith(('.jpg', '.jpeg')) for found in data.maps):
        yield Finding(
            'warning',
            'lossy-label-maps',
            data.folder,
            f'label maps are JPEG files, such as {data.maps[0].path!r}; compression changes the '
            'numbers along the borders of classes',
            'Write PNG files from the original labels',
        )


def _readable(data: LabelData) -> Iterator[Finding]:
    broken = [found for found in data.maps if found.trouble]
    if broken:
        yield Finding(
            'error',
            'broken-image',
            data.folder,
            f'{of_all(len(broken), len(data.maps), "opened label maps")} cannot be read: '
            f'{broken[0].path!r} ({broken[0].trouble})',
            'Write them anew',
        )


def _one_channel(data: LabelData) -> Iterator[Finding]:
    coloured = [found for found in data.maps if len(found.shape) > 2]
    if coloured:
        grey = all(len(set(colour[:3])) == 1 for found in coloured for colour in found.colours)
        remedy = (
            'Write PNG files of one channel, with the number of the class that each colour means'
        )
        yield Finding(
            'error',
            'label-map-colours',
            data.folder,
            f'{of_all(len(coloured), len(data.maps), "opened label maps")} have '
            f'{coloured[0].shape[2]} channels, where a pixel should hold the number of its class: '
            f'{coloured[0].path!r} has the colours {examples(coloured[0].colours)}',
            'Save one of the equal channels: Image.fromarray(labels[..., 0])' if grey else remedy,
        )


def _eight_bits(data: LabelData) -> Iterator[Finding]:
    wide = [found for found in data.maps if any(not 0 <= v <= 255 for v in found.values)]
    if wide:
        values = sorted(v for v in wide[0].values if not 0 <= v <= 255)
        yield Finding(
            'error',
            'label-map-bits',
            data.folder,
            f'{of_all(len(wide), len(data.maps), "opened label maps")} have values that do not fit '
            f'into 8 bits: {wide[0].path!r} ({wide[0].dtype}) has {examples(values)}, which mmseg '
            f'loads as {examples(value % 256 for value in values)}',
            'Write the numbers of the classes, from 0 to '
            f'{len(data.leaf.classes or (0,)) - 1}, as 8-bit PNG files',
        )


def check_sizes(data: LabelData, extent: Extent) -> Iterator[Finding]:
    """Label maps are as large as their images, which are opened for that."""
    loader = loader_of(data.leaf) or ImageLoader()
    readable = [found for found in data.maps if found.shape]
    chosen = readable if extent.every else readable[:OPENED_FILES]
    images = f'images of {data.leaf.folder("img_path")}'
    opened = [
        open_image(found.image_path, loader, extent.every) for found in extent.track(chosen, images)
    ]
    yield from report_broken(data.leaf.folder('img_path'), opened)
    wrong = [
        (found, image)
        for found, image in zip(chosen, opened, strict=True)
        if image.size and image.size[::-1] != found.shape[:2]
    ]
    for found, image in wrong[:1]:
        height, width = found.shape[:2]
        turned = image.orientation > 4
        yield Finding(
            'error',
            'label-map-size',
            data.folder,
            f'{of_all(len(wrong), len(opened), "opened label maps")} have another size than their '
            f'image: {found.path!r} has {width}x{height} pixels, and {image.path!r} is loaded with '
            f'{"x".join(map(str, image.size or ()))}{", turned by its EXIF data" if turned else ""}',
            'Write the images without their EXIF orientation, or turn the label maps'
            if turned
            else 'Bring label maps to the size of the images, by nearest-neighbour interpolation',
        )
