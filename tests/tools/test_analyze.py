"""tools/analyze.py: a run and its file of predictions give the same, and what cannot be is said."""

import json

import pytest
from commands import CONFIG, SLIM


def analyze(inside, data, folder, *arguments) -> dict:
    options = ['--output', folder, '--pictures', 1, '--cfg-options', *SLIM]
    result = inside('analyze.py', CONFIG, *arguments, *options, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (folder / 'analysis.html').is_file()
    return json.loads((folder / 'analysis.json').read_text())


def test_a_file_of_predictions_gives_the_numbers_of_the_run(inside, data, checkpoint, tmp_path):
    pytest.importorskip('hotcoco', reason='the extra analysis is not installed')
    options = ['--work-dir', tmp_path / 'work', '--form', 'training']
    numbers = analyze(inside, data, tmp_path / 'run', checkpoint, *options)
    for kind in ('bbox', 'segm'):
        for key in ('AP', 'AP50', 'AP75'):
            name = f'coco/{kind}_m{key.replace("AP5", "AP_5").replace("AP7", "AP_7")}'
            assert numbers[kind][key] == pytest.approx(numbers['metrics'][name], abs=6e-4)
    out = tmp_path / 'found.pkl'
    arguments = [CONFIG, checkpoint, *options, '--out', out, '--cfg-options', *SLIM]
    result = inside('test.py', *arguments, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    again = analyze(inside, data, tmp_path / 'again', '--predictions', out, '--trust-file')
    for kind in ('bbox', 'segm'):
        assert again[kind] == numbers[kind]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'give either a checkpoint or an exported file, or --predictions'),
        (['a.pth', '--predictions', 'b.pkl'], 'give either a checkpoint'),
        (['--predictions', 'missing.pkl'], "there is no file 'missing.pkl'"),
        (['--predictions', __file__], 'can run code when it is read'),
        (['missing.pth'], "there is no checkpoint 'missing.pth'"),
        (['a.pth', '--launcher', 'pytorch'], 'tools/test.py --out FILE.pkl'),
        (['a.pth', '--pictures', '-1'], 'from 0 on, got -1'),
        (['a.pth', '--score-threshold', '2'], 'between 0 and 1, got 2.0'),
    ],
)
def test_what_cannot_be_is_said(arguments, message, inside):
    result = inside('analyze.py', CONFIG, *arguments)
    assert result.returncode == 2 and message in result.stderr
