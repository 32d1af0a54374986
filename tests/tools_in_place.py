"""Tools that do nothing but write what the real ones write, each in a moment."""

from pathlib import Path

TRAIN = """
import sys
from pathlib import Path
config, *options = sys.argv[1:]
work_dir = Path(options[options.index('--work-dir') + 1])
work_dir.mkdir(parents=True, exist_ok=True)
with (work_dir / 'calls.txt').open('a') as file:
    file.write(' '.join(options) + '\\n')
print('11/26 01:00:00 - mmengine - INFO - Epoch(train) [1][2/2] eta: 0:00:00', flush=True)
if any('fail=True' in option for option in options):
    print('ValueError: learning rate 7 is too high', flush=True)
    sys.exit(1)
seed = [option.split('=')[1] for option in options if 'randomness.seed' in option][0]
(work_dir / 'epoch_2.pth').write_text(seed)
(work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
"""
TEST = """
import json, sys
from pathlib import Path
config, subject, *options = sys.argv[1:]
work_dir = Path(options[options.index('--work-dir') + 1])
work_dir.mkdir(parents=True, exist_ok=True)
value = 50.0 + 10 * int(Path(subject).read_text())
metrics = {'accuracy/top1': value, 'accuracy/top5': 99.5, 'names': ['a']}
(work_dir / 'metrics.json').write_text(json.dumps(dict(metrics=metrics)))
"""
EXPORT = """
import sys
from pathlib import Path
config, subject, *options = sys.argv[1:]
Path(options[options.index('--output') + 1]).write_text(Path(subject).read_text())
"""
QUANTIZE = """
import json, sys
from pathlib import Path
config, subject, *options = sys.argv[1:]
Path(options[options.index('--output') + 1]).write_text(Path(subject).read_text())
work_dir = Path(options[options.index('--work-dir') + 1])
work_dir.mkdir(parents=True, exist_ok=True)
report = dict(max_loss=0.01, within_max_loss=False)
(work_dir / 'quantization.json').write_text(json.dumps(report))
sys.exit(1)
"""


def write_tools(folder: Path) -> Path:
    """Writes them to a folder, which is made."""
    folder.mkdir()
    texts = dict(train=TRAIN, test=TEST, export=EXPORT, quantize=QUANTIZE)
    for name, text in texts.items():
        (folder / f'{name}.py').write_text(text)
    return folder
