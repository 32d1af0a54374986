"""Names and order of classes: in the config, in annotation files, and between datasets."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.findings import Finding, Level
from repnext_mm.checks.wording import as_classes, examples, near_match, of_all
from repnext_mm.datasets.annotation_file import AnnotationFile


def check_given_classes(leaf: LeafDataset) -> Iterator[Finding]:
    """What stands for the classes in the config: several different strings."""
    given = leaf.given_classes
    place = f'{leaf.key}.metainfo.classes'
    if isinstance(given, str):
        yield Finding(
            'error',
            'classes-type',
            place,
            f'it is the string {given!r}, which is neither a file nor a tuple of names',
            f'Write classes = ({given!r},): the comma makes a tuple of one name',
        )
    elif given is not None and leaf.classes is None:
        yield Finding(
            'error',
            'classes-type',
            place,
            f'it should be a tuple of names, and is {given!r}',
            "Write classes = ('first', 'second')",
        )
    classes = leaf.classes or ()
    if classes == tuple(leaf.default_classes or ()):
        return  # ImageNet's own have a bird and a machine named crane
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        yield Finding(
            'error',
            'classes-repeated',
            place,
            f'the class {repeated[0]!r} is named {classes.count(repeated[0])} times',
            f'Name each once: {as_classes(dict.fromkeys(classes))}',
        )


def check_same_classes(leaves: Sequence[LeafDataset]) -> Iterator[Finding]:
    """Every dataset numbers the classes as the first one does."""
    named = [leaf for leaf in leaves if leaf.classes]
    for leaf in named[1:]:
        first, own = named[0].classes or (), leaf.classes or ()
        if own == first:
            continue
        pairs = enumerate(zip(first, own, strict=False))
        number = next((i for i, (a, b) in pairs if a != b), min(len(first), len(own)))
        here, there = (
            repr(names[number]) if number < len(names) else 'missing' for names in (own, first)
        )
        yield Finding(
            'error',
            'classes-differ',
            f'{leaf.key}.metainfo.classes',
            f'class number {number} is {here} here and {there} in {named[0].key}, so that labels '
            'mean different things',
            f'Give every dataset the same metainfo=dict({as_classes(first).replace(" = ", "=")})',
        )


def check_names_in_file(leaf: LeafDataset, file: AnnotationFile) -> Iterator[Finding]:
    """The classes of a dataset are categories of its file, in its order."""
    classes = leaf.classes or ()
    missing = [name for name in classes if name not in file.names]
    if missing:
        yield _missing(leaf, file, missing)
    counts = file.count_by_name()
    unused = {name: counts[name] for name in counts if counts[name] and name not in classes}
    if unused and len(missing) < len(classes):
        yield Finding(
            'warning',
            'unused-categories',
            file.path,
            f'{sum(unused.values())} of {len(file.annotations)} annotations are of categories that '
            f'the config does not name and that are left out: {examples(unused)}',
            'If they are meant, add them to classes, to metainfo and to num_classes of the heads',
        )
    order = [name for name in file.names if name in classes]
    wanted = [name for name in classes if name in file.names]
    if sorted(order) == sorted(wanted) and order != wanted:
        yield _order(leaf, file, order, missing)


def _missing(leaf: LeafDataset, file: AnnotationFile, missing: list[str]) -> Finding:
    classes = leaf.classes or ()
    unnamed = [name for name in file.names if name not in classes]
    meant = {name: match for name in missing if (match := near_match(name, unnamed))}
    only_last = not meant and missing == list(classes[len(classes) - len(missing) :])
    harmless = only_last and len(missing) < len(classes)
    level: Level = 'warning' if harmless else 'error'
    effect = (
        'so there is no object of them'
        if harmless
        else 'so there is no object of them, and mmdet gives their numbers to the classes after them'
        if len(missing) < len(classes)
        else 'so no object is left'
    )
    has = f'its categories are {examples(file.names, 8)}'
    if meant:
        name, match = next(iter(meant.items()))
        corrected = [meant.get(name, name) for name in classes]
        remedy = f'{name!r} probably means {match!r}: write {as_classes(corrected)}'
    else:
        remedy = (
            'Name the classes as the file does, or add the missing ones to its "categories"; for '
            f'all of its own write {as_classes(dict.fromkeys(file.names))}'
        )
    return Finding(
        level,
        'missing-classes',
        file.path,
        f'classes of {leaf.key} are not among its categories: {examples(missing)}, {effect}; {has}',
        remedy,
    )


def _order(
    leaf: LeafDataset, file: AnnotationFile, order: list[str], missing: list[str]
) -> Finding:
    number, (ours, theirs) = next(
        (i, pair)
        for i, pair in enumerate(
            zip([c for c in leaf.classes or () if c not in missing], order, strict=True)
        )
        if pair[0] != pair[1]
    )
    return Finding(
        'error',
        'order-of-classes',
        file.path,
        f"mmdet numbers classes in the order of the file's categories, and {leaf.key} has them in "
        f'another order: class {number} is {theirs!r} in the file and {ours!r} in the config, so '
        'objects would get wrong names in pictures, metrics and exported files',
        f"Write the file's order into the config: {as_classes([*order, *missing])}",
    )


def check_orders_of_files(
    pairs: Sequence[tuple[LeafDataset, AnnotationFile]],
) -> Iterator[Finding]:
    """All files have the categories in one order, as only one can be written into the config."""
    reference: AnnotationFile | None = None
    seen: set[str] = set()
    for leaf, file in pairs:
        if file.path in seen:
            continue
        seen.add(file.path)
        reference = reference or file
        common = set(reference.names) & set(file.names) & set(leaf.classes or ())
        first, own = (
            [name for name in names if name in common] for names in (reference.names, file.names)
        )
        if first != own and sorted(first) == sorted(own):
            yield Finding(
                'error',
                'order-of-files',
                file.path,
                f'its categories have the order {examples(own, 8)}, and those of {reference.path} '
                f'the order {examples(first, 8)}; mmdet numbers classes in the order of each file',
                f'Sort the list "categories" in {file.path} as in {reference.path}',
            )


def check_occurrence(
    pairs: Iterable[tuple[LeafDataset, AnnotationFile]],
) -> Iterator[Finding]:
    """Every class has an object in some training data."""
    trained = [(leaf, file) for leaf, file in pairs if leaf.trained]
    if not trained:
        return
    classes = trained[0][0].classes or ()
    found: Counter[str] = Counter()
    for leaf, file in trained:
        used = file.used(leaf.classes or ())
        found.update(file.names[number] for number in file.category_of[used].tolist())
    known = {name for _, file in trained for name in file.names if name in classes}
    absent = [name for name in classes if name in known and not found[name]]
    places = ', '.join(dict.fromkeys(file.path for _, file in trained))
    if known and not found:
        yield Finding(
            'error',
            'no-images-left',
            places,
            'no object is left to train on: no annotation is of the classes of the config and has an '
            'area within its image',
            'Look at classes, areas and boxes of the file',
        )
    elif absent:
        yield Finding(
            'warning',
            'absent-classes',
            places,
            f'{of_all(len(absent), len(classes), "classes")} never occur in the training data, so the '
            f'network cannot learn them: {examples(absent)}',
            'Add images with such objects, or leave them out of the classes',
        )
