"""The model index by the rules of OpenMMLab's mim, which reads it from the installed package.

mim itself is not needed: ``modelindex``, which parses for it, comes with mmpretrain.
"""

from collections import Counter
from pathlib import Path
from urllib.parse import urlparse

import pytest
from modelindex.load_model_index import load
from modelindex.models.Model import Model

ROOT = Path(__file__).parents[1]
INDEX = load(str(ROOT / 'model-index.yml'))
COLLECTIONS = {collection.name: collection for collection in INDEX.collections}


def test_index_is_read_without_errors():
    errors = INDEX.check(silent=True)
    # READMEs are named from the root, as everywhere in OpenMMLab; modelindex looks beside the file.
    assert [error for error in errors if 'README' not in error] == []
    assert INDEX.models and COLLECTIONS
    for collection in COLLECTIONS.values():
        assert (ROOT / collection.readme).is_file(), collection.readme


def test_names_are_unique_and_those_of_the_configs():
    names = Counter(model.name for model in INDEX.models)
    assert set(names.values()) == {1}
    # `mim train` and `mim test` look for a config by its file name in the whole package.
    files = Counter(path.name for path in (ROOT / 'configs').rglob('*.py'))
    for model in INDEX.models:
        assert Path(model.config).stem == model.name
        assert files[f'{model.name}.py'] == 1
        assert (ROOT / model.config).is_file() and model.config.startswith('configs/')
        assert model.name == model.name.lower(), 'mim lower-cases what --config is given'


@pytest.mark.parametrize('model', list(INDEX.models), ids=lambda model: model.name)
def test_model_can_be_searched(model: Model):
    assert model.in_collection in COLLECTIONS
    fields = [name.lower() for name in model.metadata.data]
    assert len(fields) == len(set(fields))
    assert isinstance(model.metadata.training_data, str), '--dataset compares whole values'
    collection = COLLECTIONS[model.in_collection]
    for metadata in (model.metadata, collection.metadata):
        for value in metadata.data.values():
            parts = value if isinstance(value, list) else [value]
            assert parts and all(isinstance(part, str | int | float) for part in parts)
    for result in model.results or []:
        assert result.task and result.dataset and result.metrics
        assert all(isinstance(number, int | float) for number in result.metrics.values())
    if model.weights:  # the file that `mim download` fetches and names
        url = urlparse(model.weights)
        assert url.scheme == 'https' and Path(url.path).suffix in ('.pth', '.safetensors')
