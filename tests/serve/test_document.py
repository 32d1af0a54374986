"""docs/service.md: its commands and its Python work, and its tables name what there is."""

import io
import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import pytest
from noise import noise
from serving import TestClient, build_app
from tiny_networks import tiny_detector

from repnext_mm.runtime import open_reader
from repnext_mm.serve import __main__ as command
from repnext_mm.serve.answer_options import ANSWER_FORMATS, PARAMETERS
from repnext_mm.serve.limits import ServiceLimits, too_many_pixels
from repnext_mm.web import onnxruntime_web
from repnext_mm.web.__main__ import read_arguments

TEXT = (Path(__file__).parents[2] / 'docs' / 'service.md').read_text()


def lines_of(kind):
    blocks = re.findall(rf'```{kind}\n(.*?)```', TEXT, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope='module')
def client(tmp_path_factory):
    reader = open_reader(tiny_detector(tmp_path_factory.mktemp('tiny') / 'tiny.onnx'))
    with TestClient(build_app(reader, 'tiny')) as client:
        yield client


@pytest.fixture
def image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('image.jpg', 190 + noise(30, 40) // 4)
    return tmp_path / 'image.jpg'


def test_what_curl_sends_is_answered(client, image):
    commands = [shlex.split(line) for line in lines_of('bash') if line.startswith('curl')]
    assert len(commands) == 3
    for words in commands:
        (address,) = (word for word in words if word.startswith('http'))
        parts = urlsplit(address)
        content = image.read_bytes()
        if '-F' in words:
            field, _, name = words[words.index('-F') + 1].partition('=@')
            sent = dict(files={field: (name, content)})
        else:
            assert words[words.index('--data-binary') + 1] == '@image.jpg'
            form = 'application/x-www-form-urlencoded'  # what curl says unless it is told otherwise
            sent = dict(content=content, headers={'Content-Type': form})
        answer = client.post(f'{parts.path}?{parts.query}', **sent)
        assert answer.status_code == 200, answer.text


def test_the_python_prints_what_is_found(client, image, monkeypatch, capsys):
    def post(request):
        parts = urlsplit(request.full_url)
        answer = client.request(request.method, f'{parts.path}?{parts.query}', content=request.data)
        return io.BytesIO(answer.content)

    monkeypatch.setattr('urllib.request.urlopen', post)
    exec('\n'.join(lines_of('python')), {})
    assert capsys.readouterr().out.startswith('round ')


def test_commands_of_the_page_are_understood():
    serve = [line for line in lines_of('bash') if 'repnext_mm.serve' in line]
    web = [line for line in lines_of('bash') if 'repnext_mm.web' in line]
    for line in serve:
        command.parse_arguments(shlex.split(line)[3:])
    for line in web:
        read_arguments(shlex.split(line)[3:])
    assert serve and web
    assert onnxruntime_web.GET_IT in lines_of('bash')


def test_options_and_their_defaults_are_told():
    usual = vars(command.parse_arguments(['model.onnx']))
    for name in usual.keys() - {'model', 'debug'}:
        assert f'`--{name.replace("_", "-")}`' in TEXT, name
    told = dict(re.findall(r'^\| `--([\w-]+)` \| ([\d.]+)', TEXT, re.MULTILINE))
    assert len(told) == len(vars(ServiceLimits()))
    for name, value in told.items():
        assert usual[name.replace('-', '_')] == float(value), name


def test_parameters_metrics_and_the_refusal_are_told(client):
    for name in {name for names in PARAMETERS.values() for name in names}:
        assert f'| `{name}` |' in TEXT
    for name in {name for names in ANSWER_FORMATS.values() for name in names}:
        assert f'`{name}`' in TEXT
    metrics = set(
        re.findall(
            r'^# TYPE (repnext_mm_\w+) (?!gauge.*created)', client.get('/metrics').text, re.M
        )
    )
    assert {name for name in metrics if not name.endswith('_created')} <= set(
        re.findall(r'`(repnext_mm_\w+)`', TEXT)
    )
    told = '\n'.join(lines_of('json'))
    refusal = too_many_pixels(9000, 8000, 50_000_000)
    assert json.loads(told) == refusal.to_json()
