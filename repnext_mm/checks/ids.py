"""Ids of an annotation file: numbers, each once, and each that is named is there."""

from collections import Counter
from collections.abc import Iterator

from repnext_mm.checks.findings import Finding, Level
from repnext_mm.checks.wording import examples, of_all
from repnext_mm.datasets.annotation_file import AnnotationFile


def check_ids(file: AnnotationFile) -> Iterator[Finding]:
    """Ids of categories, images and annotations, and what refers to them."""
    yield from _missing(file)
    yield from _repeated_categories(file)
    yield from _repeated_ids(file)
    yield from _strings(file)
    yield from _unknown(file)


def _missing(file: AnnotationFile) -> Iterator[Finding]:
    """Ids and names that are not there, or are lists and the like: readers of COCO end at the first."""
    number, text = (str, int, float), (str,)
    for what, items, fields in (
        ('images', file.images, dict(id=number)),
        ('annotations', file.annotations, dict(id=number, image_id=number, category_id=number)),
        ('categories', file.categories, dict(id=number, name=text)),
    ):
        for name, types in fields.items():
            lacking = [item for item in items if not isinstance(item.get(name), types)]
            if lacking:
                has = f', which has {lacking[0][name]!r}' if name in lacking[0] else ''
                yield Finding(
                    'error',
                    'missing-fields',
                    file.path,
                    f'{of_all(len(lacking), len(items), what)} have no {name!r} that is a '
                    f'{"number" if types is number else "text"}, such as number '
                    f'{items.index(lacking[0])}{has}',
                    f'Write one into each of them, or remove these {what}',
                )


def _repeated_categories(file: AnnotationFile) -> Iterator[Finding]:
    for what, values in (
        ('name', file.names),
        ('id', [_plain(category.get('id')) for category in file.categories]),
    ):
        repeated = [value for value, count in Counter(values).items() if count > 1]
        if repeated:
            yield Finding(
                'error',
                'repeated-categories',
                file.path,
                f'{values.count(repeated[0])} categories have the {what} {repeated[0]!r}, and mmdet '
                'gives each a number of its own',
                'Make them one category, and give its id to the annotations of the others',
            )


def _repeated_ids(file: AnnotationFile) -> Iterator[Finding]:
    for name, items in (('images', file.images), ('annotations', file.annotations)):
        ids = [_plain(item.get('id')) for item in items]
        if len(set(ids)) < len(ids):
            value, count = Counter(ids).most_common(1)[0]
            missing = value == 'None'
            yield Finding(
                'error',
                'repeated-ids',
                file.path,
                f'{count} {name} have {"no id" if missing else f"the id {value}"}, and only one of '
                'them is found again',
                f'Number the {name} from 1',
            )


def _plain(value: object) -> str:
    """An id as text, the same for 1, 1.0 and true, which Python takes for one."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if isinstance(value, bool) or whole else str(value)  # type: ignore[call-overload]


def _strings(file: AnnotationFile) -> Iterator[Finding]:
    lists = (
        ('the id of the category', file.categories, 'id'),
        ('the id of the image', file.images, 'id'),
        ('category_id of the annotation', file.annotations, 'category_id'),
        ('image_id of the annotation', file.annotations, 'image_id'),
    )
    texts = [(what, item[key]) for what, items, key in lists for item in _first_text(items, key)]
    if texts:
        what, value = texts[0]
        lost = int((file.category_of < 0).sum() + (file.image_of < 0).sum())
        effect = f'; {lost} references do not match for that' if lost else ''
        level: Level = 'error' if lost else 'warning'
        yield Finding(
            level,
            'category-ids',
            file.path,
            f"{what} is a string, {value!r}, where COCO's format has numbers{effect}",
            'Write numbers without quotes for ids, everywhere in the file',
        )


def _first_text(items: list[dict], key: str) -> list[dict]:
    return next(([item] for item in items if isinstance(item.get(key), str)), [])


def _unknown(file: AnnotationFile) -> Iterator[Finding]:
    for kind, key, positions, name in (
        ('category-ids', 'category_id', file.category_of, 'categories'),
        ('image-ids', 'image_id', file.image_of, 'images'),
    ):
        lost = (positions < 0).nonzero()[0].tolist()
        if lost:
            values = dict.fromkeys(str(file.annotations[i].get(key)) for i in lost)
            every = len(lost) == len(file.annotations)
            yield Finding(
                'error' if every else 'warning',
                kind,
                file.path,
                f'{of_all(len(lost), len(file.annotations), "annotations")} have a {key} that no '
                f'entry of "{name}" has as its id: {examples(values)}',
                f'Give {name} and annotations the same ids; annotations without are left out',
            )
