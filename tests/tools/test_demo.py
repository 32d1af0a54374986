"""Both demos from data to pictures, in a few iterations."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import cv2
import pytest
from commands import run_inside

FORMS = ['training', 'fused', 'plain']
EXPORTED = ['fused, ONNX', 'fused, INT8']
FILES = ['model.onnx', 'model_int8.onnx']
FEWER = {
    'train.py': ['train_dataloader.batch_size=2'],  # goes on after --cfg-options
    'benchmark.py': ['--rounds', '1', '--images', '4'],
    'quantize.py': ['--images', '3'],
}
"""Options after the demo's own: few images, and one round of them, show that a tool runs."""


def run_tool_inside(command: list, **options) -> subprocess.CompletedProcess:
    """Runs what the demo starts as a process in this one, which saves it minutes of imports."""
    if command[0] != sys.executable:
        return START(command, **options)
    settings = {key: options['env'][key] for key in ('SHAPES_ROOT', 'PYTHONWARNINGS')}
    name = Path(command[1]).name
    result = run_inside(name, *command[2:], *FEWER.get(name, []), **settings)
    assert result.returncode == 0, result.stderr[-3000:]
    return result


START = subprocess.run


@pytest.mark.filterwarnings('ignore')  # as the demo asks of the tools
@pytest.mark.parametrize(
    ('task', 'metrics'),
    [('detection', ['box AP', 'mask AP']), ('segmentation', ['mIoU', 'mAcc'])],
)
def test_demo_runs_from_data_to_table(task, metrics, tmp_path):
    sizes = ['--train-images', 8, '--val-images', 6, '--iterations', 4, '--any-result']
    with patch('subprocess.run', run_tool_inside):
        result = run_inside('demo.py', '--task', task, '--work-dir', tmp_path, *sizes)
    assert result.returncode == 0, result.stderr[-3000:]
    table = (tmp_path / 'summary.md').read_text()
    assert table in result.stdout
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()]
    assert rows[0][1:3] == metrics
    values = [[float(value) for value in row[1:3]] for row in rows[2:]]
    for form in (1, 2, 3):
        assert values[0] == pytest.approx(values[form], abs=2e-3)
    assert [line.split('|')[1].strip() for line in table.splitlines()[2:]] == [*FORMS, *EXPORTED]
    (speed,) = json.loads((tmp_path / 'benchmark_model.json').read_text())['tables']
    forms = [row['case']['form'] for row in speed['rows']]
    assert forms == [*FORMS, 'fused', 'fused']
    networks = [row['case']['network'] for row in speed['rows']]
    assert networks[3:] == [str(tmp_path / name) for name in FILES]
    assert speed['rows'][0]['ratio'] == 1
    assert all(row['images_per_second'] > 0 for row in speed['rows'])
    assert all(line.split('|')[6].strip() for line in table.splitlines()[2:5])  # parameters
    for name in ('predictions.png', 'curves.png'):
        height, width = cv2.imread(str(tmp_path / name)).shape[:2]
        assert height > 300 and width >= 900
