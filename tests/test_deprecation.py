"""Old names: the warning names the line that uses one."""

import inspect

import pytest

from repnext_mm.deprecation import renamed_argument


@renamed_argument('mode', 'form')
def chosen(form: str = 'fused') -> str:
    return form


def test_old_argument_works_and_its_user_is_named():
    with pytest.warns(DeprecationWarning, match="the argument 'mode'.*use 'form'") as warned:
        line = inspect.currentframe().f_lineno + 1
        assert chosen(mode='plain') == 'plain'
    assert [(found.filename, found.lineno) for found in warned] == [(__file__, line)]
    assert chosen(form='plain') == chosen('plain') == 'plain'


def test_both_names_at_once_are_an_error():
    with pytest.raises(TypeError, match="'form' and its old name 'mode'"):
        chosen(form='plain', mode='fused')
