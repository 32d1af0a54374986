"""ONNX Runtime, used by us, leaves nothing in the home folder and has nothing to tell anybody."""

import os
import subprocess
import sys

from tiny_networks import tiny_classifier

USE = """
import sys
sys.argv[0] = 'repnext-mm'  # whose imports are the fewest
import numpy
from repnext_mm.runtime import open_reader
print(open_reader(sys.argv[1])(numpy.zeros((8, 8, 3), numpy.uint8)))
"""


def test_opening_a_file_writes_nothing(tmp_path):
    """Its telemetry writes before it sends: an identity, a queue, and a session."""
    model = tiny_classifier(tmp_path / 'tiny.onnx')
    home = tmp_path / 'home'
    home.mkdir()
    environment = dict(os.environ, HOME=str(home), TMPDIR=str(home), XDG_CACHE_HOME='')
    environment.pop('ORT_DISABLE_TELEMETRY', None)
    command = [sys.executable, '-B', '-c', USE, str(model)]
    result = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert [path for path in home.rglob('*') if path.is_file()] == []
