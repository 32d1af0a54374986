"""tools/benchmark_runtimes.py measures every form in every runtime."""

import json

import pytest
from commands import CONFIG, SLIM

OPTIONS = ['--cfg-options', *(option for option in SLIM if option.startswith('model'))]
RUNTIMES = ('ONNX Runtime', 'OpenVINO')


def test_every_form_is_measured_in_every_runtime(tmp_path, inside):
    arguments = ['--shapes', '64x96', '--rounds', 1, '--parts', 'backbone', '--work-dir', tmp_path]
    result = inside('benchmark_runtimes.py', CONFIG, *arguments, *OPTIONS)
    assert result.returncode == 0, result.stderr[-3000:]
    (table,) = json.loads((tmp_path / 'runtimes.json').read_text()).values()
    exported = [f'{form}{kind}, {runtime}' for form in ('fused', 'plain') for kind in ('', ' INT8')
                for runtime in RUNTIMES]  # fmt: skip
    assert list(table) == ['training', 'fused', 'plain', *exported]
    assert table['training']['ratio'] == 1
    for row in table.values():
        assert row['milliseconds'] > 0
        expected = table['training']['milliseconds'] / row['milliseconds']
        assert row['ratio'] == pytest.approx(expected)
    assert '| fused INT8, ONNX Runtime |' in result.stdout


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--dtype', 'float16'], 'are for backbones: add --parts backbone'),
        (['--shapes', '64'], 'argument --shapes'),
        (['--rounds', '0', '--parts', 'backbone'], 'must be positive'),
    ],
)
def test_wrong_arguments_are_named(arguments, message, inside):
    result = inside('benchmark_runtimes.py', CONFIG, *arguments, *OPTIONS)
    assert result.returncode != 0 and message in result.stderr


def test_other_precision_is_measured_in_torch(tmp_path, inside):
    arguments = ['--shapes', '64x64', '--rounds', 1, '--parts', 'backbone', '--dtype', 'bfloat16']
    arguments += ['--batch', 2, '--work-dir', tmp_path]
    result = inside('benchmark_runtimes.py', CONFIG, *arguments, *OPTIONS)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'backbone at 64x64, batch 2' in json.loads((tmp_path / 'runtimes.json').read_text())
