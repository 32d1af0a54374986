"""The kinds of findings by name, which a config or the command line can leave out."""

from typing import NamedTuple

ERROR, WARNING, EITHER = 'error', 'warning', 'error or warning'


class Kind(NamedTuple):
    """What a finding of one kind is about."""

    level: str
    """Whether it ends the run, or only warns."""

    meaning: str
    """What is wrong, as the docs list it."""


CONFIG_KINDS = {
    'num-classes': Kind(EITHER, 'a head or the data preprocessor has another number of classes'),
    'topk': Kind(ERROR, '`topk` asks for more classes than there are'),
    'class-weight': Kind(ERROR, 'the `class_weight` of a loss has another number of classes'),
    'dataset-settings': Kind(ERROR, 'a dataset refuses its settings'),
    'classes-type': Kind(ERROR, '`classes` is a string, not a tuple, or holds no strings'),
    'classes-repeated': Kind(ERROR, '`classes` names one twice'),
    'classes-differ': Kind(ERROR, 'two datasets of the config number classes differently'),
    'unchecked': Kind(WARNING, 'a check itself failed, and training goes on without it'),
}
"""Of the config alone, whatever the task."""

COCO_KINDS = {
    'annotation-file': Kind(ERROR, 'an annotation file is empty, broken or in another format'),
    'missing-classes': Kind(EITHER, 'classes of the config are not in the file, or misspelt'),
    'order-of-classes': Kind(ERROR, 'the config has the classes in another order than the file'),
    'order-of-files': Kind(ERROR, 'two annotation files have the categories in different orders'),
    'repeated-categories': Kind(ERROR, 'several categories have one name or one id'),
    'category-ids': Kind(EITHER, 'ids are strings, or annotations name categories of no id'),
    'unused-categories': Kind(WARNING, 'objects of categories that the config does not name'),
    'absent-classes': Kind(WARNING, 'a class never occurs in training data'),
    'repeated-ids': Kind(ERROR, 'two images or two annotations have one id'),
    'image-ids': Kind(EITHER, 'annotations name images that the file does not have'),
    'missing-fields': Kind(ERROR, 'no id, name, `bbox`, `area`, `iscrowd` or image size'),
    'not-finite': Kind(ERROR, 'NaN or infinity in boxes, areas or polygons'),
    'lost-boxes': Kind(WARNING, 'boxes without area or outside, which training leaves out'),
    'boxes-beyond-image': Kind(WARNING, 'boxes that reach beyond their image'),
    'missing-masks': Kind(ERROR, 'no `segmentation` where masks are trained or evaluated'),
    'broken-polygons': Kind(EITHER, 'polygons of too few, odd or impossible coordinates'),
    'broken-rle': Kind(ERROR, 'run lengths that do not fill their image'),
    'no-images-left': Kind(ERROR, 'the filter of the dataset leaves no image'),
    'images-left-out': Kind(WARNING, 'the filter of the dataset leaves out many images'),
    'evaluator-file': Kind(EITHER, 'the evaluator names other annotations than the dataset'),
}
"""Of annotation files in COCO's format."""

IMAGE_KINDS = {
    'missing-images': Kind(ERROR, 'images that are listed are not there, or have another suffix'),
    'broken-image': Kind(ERROR, 'an image cannot be read'),
    'image-size': Kind(ERROR, 'the file gives other sizes than images have when loaded'),
    'orientation': Kind(WARNING, 'photos that their EXIF data turn, boxes perhaps not'),
}
"""Of images, whatever the task."""

LABEL_MAP_KINDS = {
    'missing-label-maps': Kind(ERROR, 'an image has no label map'),
    'label-map-colours': Kind(ERROR, 'label maps hold colours, not class numbers'),
    'label-map-bits': Kind(ERROR, 'values that do not fit into 8 bits, as labels are loaded'),
    'label-map-size': Kind(ERROR, 'a label map has another size than its image'),
    'label-values': Kind(ERROR, 'values beyond the classes'),
    'labels-0-and-255': Kind(ERROR, 'only 0 and 255 occur, and 255 is ignored'),
    'reduce-zero-label': Kind(EITHER, '`reduce_zero_label` does not fit the labels'),
    'ignored-index': Kind(EITHER, 'head, dataset and metric ignore different values'),
    'lossy-label-maps': Kind(WARNING, 'label maps are JPEG files, which change numbers'),
}
"""Of label maps; ``absent-classes`` is theirs too."""

FOLDER_KINDS = {
    'class-folders': Kind(ERROR, 'class folders differ between the splits, or from the classes'),
    'empty-class': Kind(WARNING, 'a class folder has no images, or files of other suffixes'),
    'list-file': Kind(ERROR, 'a line of a list of images has no valid label'),
}
"""Of classification data."""

RUN_KINDS = {
    'old-settings': Kind(EITHER, 'settings of mmdet 2.x and mmseg 0.x, which have no effect today'),
    'metric-key': Kind(EITHER, '`save_best` or early stopping waits for a metric nobody gives'),
    'schedule': Kind(WARNING, 'the learning rate is 0 long before training ends'),
    'batch-of-one': Kind(ERROR, 'one image in a batch, where a batch norm needs two'),
    'unequal-images': Kind(ERROR, 'batches of images of several sizes, which nothing pads'),
}
"""Of training and testing, whatever the data."""

CHECKPOINT_KINDS = {
    'checkpoint': Kind(EITHER, 'a checkpoint lacks a part, or has it in another shape (`test.py`)'),
    'broken-weights': Kind(ERROR, 'weights that are NaN or infinite (`test.py`)'),
}
"""Of the checkpoint that ``tools/test.py`` loads, which are never left out."""

INSPECTION_KINDS = {
    'pipeline': Kind(ERROR, 'the training pipeline fails on an image (`check_dataset.py` alone)'),
    'shared-images': Kind(WARNING, 'the same image is in two splits (`check_dataset.py` alone)'),
    'anchor-sizes': Kind(WARNING, 'objects that no anchor fits (`check_dataset.py` alone)'),
}
"""Of what only ``tools/check_dataset.py`` looks at."""

KINDS: dict[str, Kind] = {
    **CONFIG_KINDS,
    **COCO_KINDS,
    **IMAGE_KINDS,
    **LABEL_MAP_KINDS,
    **FOLDER_KINDS,
    **RUN_KINDS,
    **CHECKPOINT_KINDS,
    **INSPECTION_KINDS,
}
"""All of them."""


ALL = 'all'
"""Skips all checks."""


def check_kinds(names: list[str]) -> None:
    """Makes sure that these are kinds of findings, or ``'all'``.

    Raises:
        ValueError: If one is not; the message lists all kinds.
    """
    unknown = [name for name in names if name not in KINDS and name != ALL]
    if unknown:
        raise ValueError(
            f'there is no kind of findings {unknown[0]!r} to skip; there are {", ".join(KINDS)}'
        )
