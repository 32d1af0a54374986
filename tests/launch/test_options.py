"""Changes to a config from a command line: as mmengine reads them, and with their spaces."""

import pytest
from mmengine.config import DictAction

from repnext_mm.launch.command_line import build_parser
from repnext_mm.launch.options import parse_value

pytestmark = pytest.mark.distribution


@pytest.mark.parametrize(
    'text',
    [
        '3', '-1', '1e-4', 'True', 'false', 'None', 'text', '1,2,3', '[1,2]', '[1, 2]', '(1,2)',
        '[(1,2),[a,b],c]', '[]', '()', '[1,]', 'a,b', '"[1,2]"', "'8'", '[[1],[2,3]]', 'a=b', '',
    ],
)  # fmt: skip
def test_values_are_those_of_mmengine(text):
    assert parse_value(text) == DictAction._parse_iterable(text)
    assert type(parse_value(text)) is type(DictAction._parse_iterable(text))


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('/data/my images', '/data/my images'),
        ("/data/it's mine", "/data/it's mine"),
        ('C:\\new data', 'C:\\new data'),
        ("'/data/a, b'", '/data/a, b'),
        ('["a, b", c d ]', ['a, b', 'c d']),
        ('(1,2),(3,4)', [(1, 2), (3, 4)]),
        ('images (1)', 'images (1)'),
        ('Defective [', 'Defective ['),
        ("a,it's", ['a', "it's"]),
        ("[it's, b]", ["it's", 'b']),
    ],
)
def test_values_keep_what_belongs_to_them(text, value):
    assert parse_value(text) == value


def test_wrong_pairs_are_named(capsys):
    parser = build_parser('A tool.')
    args = parser.parse_args(
        ['config.py', '--cfg-options', 'a=1', 'b=x y', '--cfg-options', 'a.b=2=3']
    )
    assert args.cfg_options == {'a': 1, 'b': 'x y', 'a.b': '2=3'}
    for pair, problem in (
        ('lr', "expected KEY=VALUE, got 'lr'"),
        ('=3', "expected KEY=VALUE, got '=3'"),
        ('a=[1,2', 'brackets or quotes do not match'),
        ('a=1,)2', 'brackets or quotes do not match'),
        ("a=[1,'b]", 'brackets or quotes do not match'),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(['config.py', '--cfg-options', pair])
        assert problem in capsys.readouterr().err
