"""Registration in mmengine's root and in our scope."""

import pytest
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS

from repnext_mm import registry
from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.models import RepNeXt

pytestmark = pytest.mark.distribution


def test_class_is_found_in_our_scope_and_in_the_root():
    assert registry.MODELS.scope == 'repnext_mm' and registry.MODELS.parent is ROOT_MODELS
    for ours, root, cls in (
        (registry.MODELS, ROOT_MODELS, RepNeXt),
        (registry.HOOKS, ROOT_HOOKS, ReparameterizeHook),
    ):
        name = cls.__name__
        assert ours.module_dict[name] is root.module_dict[name] is cls
        assert root.get(f'repnext_mm.{name}') is cls


def test_decorator_returns_the_class_and_refuses_a_second_one_of_its_name():
    parent = type(ROOT_MODELS)('thing', scope='root')
    child = type(ROOT_MODELS)('thing', parent=parent, scope='leaf')

    class Thing:
        """Anything."""

    assert registry.register(child)(Thing) is Thing
    assert parent.module_dict == child.module_dict == {'Thing': Thing}
    with pytest.raises(KeyError, match='Thing is already registered'):
        registry.register(child)(type('Thing', (), {}))
