"""The service: pictures in, answers or refusals out."""

import asyncio
import io
import json
import threading
import time

import numpy as np
import pytest
from noise import noise
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from pycocotools import mask as coco_mask
from serving import TestClient, as_file, build_app
from tiny_networks import CHANNELS, tiny_classifier, tiny_detector, tiny_segmentor

from repnext_mm.runtime import open_reader
from repnext_mm.serve.bodies import PICTURES
from repnext_mm.serve.limits import USUAL_LIMITS, ServiceLimits

WRITERS = dict(detection=tiny_detector, segmentation=tiny_segmentor, classification=tiny_classifier)
PNG = {'Content-Type': 'image/png'}


@pytest.fixture(scope='module')
def readers(tmp_path_factory):
    """A reader for each task."""
    folder = tmp_path_factory.mktemp('tiny')
    return {task: open_reader(write(folder / f'{task}.onnx')) for task, write in WRITERS.items()}


@pytest.fixture
def serve(readers):
    """Starts a service and gives a client of it; all end with the test."""
    clients = []

    def start(task_or_reader, limits=USUAL_LIMITS):
        reader = readers.get(task_or_reader, task_or_reader)
        client = TestClient(build_app(reader, 'tiny', limits), raise_server_exceptions=False)
        clients.append(client)
        return client.__enter__()

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope='module')
def image():
    return noise(30, 40, seed=3)


def decoded(runs):
    return coco_mask.decode(dict(size=runs['size'], counts=runs['counts'].encode())).astype(bool)


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_objects_are_those_of_the_reader(serve, readers, image):
    expected = readers['detection'](image)
    answer = serve('detection').post('/predict?masks=rle', content=as_file(image), headers=PNG)
    found = answer.json()
    assert (found['width'], found['height'], found['task']) == (40, 30, 'detection')
    assert len(found['objects']) == len(expected.scores) == 3
    for number, entry in enumerate(found['objects']):
        left, top, right, bottom = expected.boxes[number]
        np.testing.assert_allclose(
            entry['bbox'], [left, top, right - left, bottom - top], atol=1e-3
        )
        assert entry['score'] == pytest.approx(float(expected.scores[number]), abs=1e-6)
        assert entry['name'] == ('round', 'square')[expected.labels[number]]
        mask = expected.masks[number]
        assert mask.any() and np.array_equal(decoded(entry['segmentation']), mask)
        assert entry['area'] == mask.sum()


@pytest.mark.parametrize('kind', PICTURES)
def test_pictures_of_these_formats_are_read(serve, image, kind):
    answer = serve('detection').post('/predict', content=as_file(image, kind))
    assert answer.status_code == 200 and answer.json()['width'] == 40, answer.text


@pytest.mark.parametrize('kind', ['png', 'jpeg'])
def test_a_form_and_a_raw_body_are_the_same(serve, image, kind):
    client, content = serve('detection'), as_file(image, kind)
    raw = client.post('/predict', content=content).json()
    form = client.post('/predict', files={'image': (f'x.{kind}', content)}).json()
    assert raw['objects'] == form['objects'] and 'segmentation' not in raw['objects'][0]


def test_threshold_and_limit(serve):
    client, white = serve('detection'), as_file(np.full((30, 40, 3), 255, np.uint8))
    certain = client.post('/predict?score_threshold=0.5', content=white).json()['objects']
    assert [round(entry['score'], 2) for entry in certain] == [1.0, 0.7]
    (best,) = client.post('/predict?limit=1', content=white).json()['objects']
    assert best['score'] == 1


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
@pytest.mark.parametrize('kind', ['png', 'jpeg'])
def test_pictures_show_what_was_found(serve, readers, image, task, kind):
    answer = serve(task).post(f'/predict?format={kind}', content=as_file(image))
    assert answer.headers['content-type'] == f'image/{kind}'
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.format == kind.upper()
    reader = readers[task]
    expected = reader.draw(image, reader(image))
    assert picture.size == (expected.shape[1], expected.shape[0])
    assert np.abs(np.asarray(picture, int) - expected).mean() < (1e-6 if kind == 'png' else 12)


def test_classes_of_pixels(serve, readers, image):
    client, content = serve('segmentation'), as_file(image)
    expected = readers['segmentation'](image)
    answer = client.post('/predict?format=labels', content=content)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), expected)
    found = client.post('/predict?masks=rle', content=content).json()['classes']
    assert sum(entry['pixels'] for entry in found) == image.shape[0] * image.shape[1]
    assert sum(entry['share'] for entry in found) == pytest.approx(1, abs=1e-5)
    for entry in found:
        assert entry['name'] == CHANNELS[entry['label']]
        assert np.array_equal(decoded(entry['segmentation']), expected == entry['label'])


def test_the_most_probable_classes(serve, readers):
    blue = np.full((8, 8, 3), (10, 60, 200), np.uint8)
    expected = readers['classification'](blue)
    found = serve('classification').post('/predict?top=2', content=as_file(blue)).json()['scores']
    assert [entry['name'] for entry in found] == ['blue', 'green']
    assert found[0]['score'] == pytest.approx(float(expected[2]), abs=1e-6)


SMALL = ServiceLimits(max_bytes=4000, max_pixels=5000)
REFUSED = {
    'too many bytes': (413, dict(content=bytes(5000)), 'max_bytes'),
    'too many bytes in chunks': (413, dict(content=iter([bytes(3000)] * 2)), 'max_bytes'),
    'too many bytes in a form': (413, dict(files={'x': ('x', bytes(5000))}), 'max_bytes'),
    'too many pixels': (413, dict(content=as_file(np.zeros((100, 60, 3), np.uint8))), 'max_pixels'),
    'another type': (415, dict(content=b'{}', headers={'Content-Type': 'application/json'}), None),
    'no picture': (415, dict(content=b'GIF or PNG?'), None),
    'a damaged picture': (422, dict(content=as_file(noise(20, 20))[:60]), None),
    'nothing': (422, dict(content=b''), None),
    'a form without a file': (422, dict(data={'a': 'b'}, files={}), None),
    'two files': (422, dict(files=[('a', ('a', b'1')), ('b', ('b', b'2'))]), None),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refusals_say_what_to_do(serve, case):
    status, request, limit = REFUSED[case]
    if case == 'a form without a file':
        body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
        headers = {'Content-Type': 'multipart/form-data; boundary=x'}
        request = dict(content=body, headers=headers)
    answer = serve('detection', SMALL).post('/predict', **request)
    told = answer.json()['error']
    assert answer.status_code == told['status'] == status, told
    assert told['message'] and told['remedy'] and told.get('limit') == limit
    if limit:
        assert (
            told['allowed'] == getattr(SMALL, limit) and f'{told["allowed"]:,}' in told['message']
        )


@pytest.mark.parametrize(
    ('task', 'query', 'words'),
    [
        ('detection', 'score_threshold=2', '0 to 1'),
        ('detection', 'score_threshold=nan', '0 to 1'),
        ('detection', 'limit=0', 'at least 1'),
        ('detection', 'masks=polygon', 'none, rle'),
        ('detection', 'format=labels', 'json, png, jpeg'),
        ('detection', 'top=3', 'score_threshold'),
        ('segmentation', 'limit=3', 'format, masks'),
        ('classification', 'format=png', 'json'),
        ('classification', 'top=a', 'whole number'),
    ],
)
def test_wrong_parameters_are_named_with_what_is_allowed(serve, image, task, query, words):
    answer = serve(task).post(f'/predict?{query}', content=as_file(image))
    told = answer.json()['error']
    assert answer.status_code == 422
    assert query.partition('=')[0] in told['message'] and words in told['remedy']


@pytest.mark.parametrize(
    ('method', 'path', 'status'), [('GET', '/nothing', 404), ('GET', '/predict', 405)]
)
def test_other_addresses(serve, method, path, status):
    answer = serve('detection').request(method, path)
    assert answer.status_code == status and '/predict' in answer.json()['error']['remedy']


class Slow:
    """A reader that waits until it may go on."""

    def __init__(self, reader):
        self.reader = reader
        self.task, self.classes, self.spec = reader.task, reader.classes, reader.spec
        self.colours, self.details = reader.colours, getattr(reader, 'details', None)
        self.go = threading.Event()
        self.begun = 0

    def __call__(self, image, *arguments, **options):
        if image.shape != (64, 64, 3):  # not the first run of the service's own
            self.begun += 1
            assert self.go.wait(20)
        return self.reader(image, *arguments, **options)


@pytest.fixture
def slow(readers):
    reader = Slow(readers['classification'])
    yield reader
    reader.go.set()


def in_thread(function, *arguments, **options):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function(*arguments, **options)))
    thread.start()
    return thread, answers


def test_more_requests_than_may_wait_are_sent_away(serve, slow, image):
    client = serve(slow, ServiceLimits(concurrency=1, waiting=1))
    requests = [in_thread(client.post, '/predict', content=as_file(image)) for _ in range(2)]
    until(lambda: b'repnext_mm_requests_present 2.0' in client.get('/metrics').content)
    refused = client.post('/predict', content=as_file(image))
    told = refused.json()['error']
    assert refused.status_code == 429 and refused.headers['retry-after'] == '1'
    assert told['allowed'] == 2 and '--waiting' in told['remedy']
    assert slow.begun == 1
    assert client.get('/health').json() == dict(live=True, ready=True)  # the loop is free
    slow.go.set()
    for thread, answers in requests:
        thread.join(20)
        assert answers[0].status_code == 200
    assert client.post('/predict', content=as_file(image)).status_code == 200


def test_an_answer_that_takes_too_long_keeps_its_place_until_it_ends(serve, slow, image):
    client = serve(slow, ServiceLimits(max_seconds=0.2, concurrency=1, waiting=0))
    answer = client.post('/predict', content=as_file(image))
    told = answer.json()['error']
    assert answer.status_code == 504 and told['limit'] == 'max_seconds' and told['allowed'] == 0.2
    assert client.post('/predict', content=as_file(image)).status_code == 429
    slow.go.set()
    until(lambda: client.post('/predict', content=as_file(image)).status_code == 200)


def test_a_body_that_does_not_come_is_given_up(readers):
    app = build_app(readers['classification'], 'tiny', ServiceLimits(max_seconds=0.1))
    sent = []

    async def receive():
        await asyncio.sleep(5)

    async def send(message):
        sent.append(message)

    scope = dict(type='http', method='POST', path='/predict', query_string=b'', headers=[])
    asyncio.run(app(scope, receive, send))
    assert sent[0]['status'] == 408
    assert json.loads(sent[1]['body'])['error']['limit'] == 'max_seconds'


def test_failures_are_told_without_their_inner_parts(serve, readers, image):
    reader = Slow(readers['classification'])
    reader.reader = None
    client = serve(reader)
    reader.go.set()
    answer = client.post('/predict', content=as_file(image))
    assert answer.status_code == 500 and 'NoneType' not in answer.text
    assert answer.json()['error']['remedy']


def test_ready_only_after_a_run(serve, readers):
    client = serve('detection')
    until(lambda: client.get('/health').status_code == 200)
    assert client.get('/health/ready').json() == dict(live=True, ready=True)
    broken = Slow(readers['detection'])
    broken.reader = None
    client = serve(broken)
    time.sleep(0.1)
    answer = client.get('/health')
    assert answer.status_code == 503 and answer.json() == dict(live=True, ready=False)
    assert client.get('/health/live').status_code == 200


def test_metrics_count_requests_by_status(serve, image):
    client = serve('detection')
    for content in (as_file(image), as_file(image), b'no picture'):
        client.post('/predict', content=content)
    answer = client.get('/metrics')
    assert answer.headers['content-type'].startswith('text/plain')
    families = text_string_to_metric_families(answer.text)
    samples = {
        (sample.name, sample.labels.get('status')): sample.value
        for family in families
        for sample in family.samples
        if sample.labels.keys() <= {'status'}
    }
    assert samples['repnext_mm_requests_total', '200'] == 2
    assert samples['repnext_mm_requests_total', '415'] == 1
    assert samples['repnext_mm_pixels_total', None] == 2 * 30 * 40
    assert samples['repnext_mm_request_seconds_count', None] == 3
    assert samples['repnext_mm_network_seconds_count', None] == 2
    assert samples['repnext_mm_requests_present', None] == 0


def test_a_long_file_of_a_form_stays_in_memory(serve, monkeypatch):
    import tempfile

    def refuse(*arguments, **options):
        raise AssertionError('a file was written')

    monkeypatch.setattr(tempfile, 'TemporaryFile', refuse)
    monkeypatch.setattr(tempfile, 'mkstemp', refuse)
    monkeypatch.setattr(tempfile, '_TemporaryFileWrapper', refuse)
    large = as_file(np.random.default_rng(0).integers(0, 256, (800, 900, 3)).astype(np.uint8))
    assert len(large) > 1 << 20
    answer = serve('detection').post('/predict', files={'image': ('large.png', large)})
    assert answer.status_code == 200


def test_the_model_and_the_page(serve):
    client = serve('detection')
    model = client.get('/model').json()
    assert model['classes'] == ['round', 'square'] and model['has_masks']
    assert (
        len(model['colours']) == 2 and model['limits']['max_pixels'] == ServiceLimits().max_pixels
    )
    page = client.get('/')
    assert page.headers['content-type'].startswith('text/html')
    assert "frame-ancestors 'none'" in page.headers['content-security-policy']
    assert client.get('/app.js').headers['content-type'].startswith('text/javascript')
    assert 'predict' in client.get('/network.js').text
