"""Options that several tools share."""

import argparse

import pytest

from repnext_mm.launch.command_line import add_form_option
from repnext_mm.reparam import INFERENCE_FORMS


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='tool')
    add_form_option(parser, 'the form', old='--mode', default='fused')
    return parser


def test_form_has_one_spelling(parser, capsys):
    assert parser.parse_args([]).form == 'fused'
    assert parser.parse_args(['--form', 'training']).form == 'training'
    with pytest.raises(SystemExit):
        parser.parse_args(['--form', 'none'])
    assert "invalid choice: 'none'" in capsys.readouterr().err


def test_old_name_is_hidden_and_warns_where_the_arguments_are_parsed(parser, capsys):
    for old, new in (('none', 'training'), ('plain', 'plain')):
        with pytest.warns(DeprecationWarning, match='option --mode is an old.*--form') as warned:
            assert parser.parse_args(['--mode', old]).form == new
        assert [found.filename for found in warned] == [__file__]
    with pytest.raises(SystemExit):
        parser.parse_args(['--mode', 'plane'])
    with pytest.raises(SystemExit), pytest.warns(DeprecationWarning):
        parser.parse_args(['--form', 'training', '--mode', 'plain'])
    said = capsys.readouterr().err
    assert "invalid choice: 'plane'" in said and 'not allowed with' in said
    assert '--mode' not in parser.format_help() and '--form' in parser.format_help()


def test_forms_may_be_fewer():
    parser = argparse.ArgumentParser()
    add_form_option(parser, 'the form', '--mode', INFERENCE_FORMS)
    assert parser.parse_args([]).form is None
    with pytest.raises(SystemExit), pytest.warns(DeprecationWarning):
        parser.parse_args(['--mode', 'none'])
