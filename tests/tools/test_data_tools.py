"""The tools for data, as a user runs them."""

import json
import tarfile

from commands import CONFIG, SLIM
from raw_data import save_image


def test_data_is_checked_and_gets_a_page(inside, data, tmp_path):
    options = ['--work-dir', tmp_path, '--cfg-options', *SLIM]
    result = inside('check_dataset.py', CONFIG, *options, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['errors'] == 0 and report['splits'][0]['images'] == 8
    assert '<html' in (tmp_path / 'index.html').read_text()


def test_an_archive_is_unpacked(inside, tmp_path):
    with tarfile.open(tmp_path / 'cifar10.tar.gz', 'w:gz') as file:
        for split in ('train', 'test'):
            file.add(save_image(tmp_path / 'x.png'), f'{split}/cat/0.png')
    arguments = ['cifar10', tmp_path / 'cifar10.tar.gz', '--out', tmp_path / 'data']
    result = inside('prepare_data.py', *arguments)
    assert result.returncode == 0 and 'train: 1, test: 1' in result.stdout, result.stderr[-3000:]
    assert (tmp_path / 'data' / 'cifar10' / 'test' / 'cat' / '0.png').is_file()
    again = inside('prepare_data.py', *arguments)
    assert again.returncode == 2 and 'is there already' in again.stderr
