"""Annotation files of users: what settings follow from is there, or is named."""

import json

import pytest

from repnext_mm.own_data.coco_file import read_coco

GOOD = dict(
    images=[dict(id=1, file_name='a.jpg', height=3, width=4)],
    categories=[dict(id=7, name='cat')],
    annotations=[dict(id=1, image_id=1, category_id=7, bbox=[0, 0, 2, 2.5])],
)


def changed(place: str, **values: object) -> dict:
    """The good file with other values in the first entry of a list; ``None`` takes one away."""
    entry = {k: v for k, v in (GOOD[place][0] | values).items() if v is not None}
    return GOOD | {place: [entry]}


BAD = {
    'no JSON': ('{', 'is no COCO annotation file: it is not JSON'),
    'nested': ('[' * 100_000, 'is no COCO annotation file: it is not JSON'),
    'a list': ([], 'it holds a list where an object should be'),
    'a list missing': (dict(images=[]), "has no list of objects 'annotations', but 'images'"),
    'no list': (GOOD | dict(images={}), "has no list of objects 'images'"),
    'no entry': (GOOD | dict(images=[3]), "has no list of objects 'images'"),
    'no file name': (changed('images', file_name=3), "has 3 as 'file_name' of number 0"),
    'no height': (changed('images', height=None), "has nothing as 'height'"),
    'a text as width': (changed('images', width='4'), "has '4' as 'width'"),
    'true as width': (changed('images', width=True), "has True as 'width'"),
    'width of 0': (changed('images', width=0), "has 0 as 'width'"),
    'infinite width': (changed('images', width=float('inf')), "has inf as 'width'"),
    'no id': (changed('images', id=[1]), r"has \[1\] as 'id'"),
    'no name': (changed('categories', name=None), "has nothing as 'name'"),
    'another image': (changed('annotations', image_id=2), "has 2 as 'image_id'"),
    'another class': (changed('annotations', category_id=[7]), "as 'category_id'"),
    'no class': (changed('annotations', category_id=8), "has 8 as 'category_id'"),
    'three numbers': (changed('annotations', bbox=[0, 0, 1]), "as 'bbox'"),
    'infinite box': (changed('annotations', bbox=[0, 0, 1, float('inf')]), "as 'bbox'"),
    'NaN in a box': (changed('annotations', bbox=[0, 0, 1, float('nan')]), "as 'bbox'"),
    'far box': (changed('annotations', bbox=[0, 0, 1, 1e30]), "as 'bbox'"),
    'texts as box': (changed('annotations', bbox=['0', 0, 1, 1]), "as 'bbox'"),
    'no box': (changed('annotations', bbox=None), "has nothing as 'bbox'"),
}


@pytest.mark.parametrize('name', BAD)
def test_what_cannot_be_is_named(name, tmp_path):
    content, problem = BAD[name]
    path = tmp_path / 'instances.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=rf'instances\.json .*{problem}'):
        read_coco(path)


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(GOOD))
    assert read_coco(path) == GOOD
