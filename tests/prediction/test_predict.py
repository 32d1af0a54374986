"""Images and videos become pictures and tables; what cannot be read is listed, and nothing is done twice."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import run_inside
from mmengine.config import Config
from pycocotools.coco import COCO

from repnext_mm.prediction import Settings, find_inputs, predict_all
from repnext_mm.prediction.inputs import frames_of
from repnext_mm.runtime import Detections
from repnext_mm.visualization.objects import DrawOptions

CONFIG = Path(__file__).parents[2] / 'configs' / 'demo' / 'mask_rcnn_repnext_slim_shapes.py'


class Finder:
    """Finds two objects in every image, the second one uncertain, and notes what it saw."""

    task = 'detection'
    classes = ('cat', 'dog')
    colours = ((255, 0, 0), (0, 0, 255))

    def __init__(self):
        self.batches: list[int] = []

    def __call__(self, images):
        self.batches.append(len(images))
        return [self.find(*image.shape[:2]) for image in images]

    @staticmethod
    def find(height: int, width: int) -> Detections:
        masks = np.zeros((2, height, width), bool)
        masks[:, 2:6, 1:9] = True
        boxes = np.array([[1, 2, 9, 6]] * 2, np.float32)
        return Detections(boxes, np.array([0.9, 0.2], np.float32), np.array([1, 0]), masks)


class Segmenter(Finder):
    task = 'segmentation'

    def __call__(self, images):
        return [np.arange(image[..., 0].size).reshape(image.shape[:2]) % 2 for image in images]


class Classifier(Finder):
    task = 'classification'

    def __call__(self, images):
        return [np.array([0.25, 0.75], np.float32) for _ in images]


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / 'images'
    (folder / 'deep').mkdir(parents=True)
    for number, name in enumerate(('a.png', 'b.jpg', 'deep/a.png')):
        pixels = np.full((20, 30 + number, 3), 90, np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    (folder / 'notes.txt').write_text('no image')
    return folder


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / 'film.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (32, 24))
    for number in range(6):
        writer.write(np.full((24, 32, 3), 40 * number, np.uint8))
    writer.release()
    return path


def run(predictor, inputs, folder: Path, **changes) -> list[str]:
    return predict_all(
        predictor, find_inputs([str(path) for path in inputs]), folder, Settings('net', **changes)
    )


def rows(folder: Path) -> list[list[str]]:
    with (folder / 'predictions.csv').open(newline='') as file:
        return list(csv.reader(file))


def test_objects_are_written_in_coco_format_as_table_and_as_pictures(images, tmp_path):
    out = tmp_path / 'out'
    finder = Finder()
    assert run(finder, [images], out, batch=2) == [] and finder.batches == [2, 1]
    coco = COCO(str(out / 'predictions.json'))
    files = [image['file_name'] for image in coco.imgs.values()]
    assert files == ['a.png', 'b.jpg', 'deep/a.png']
    entry = coco.anns[1]
    assert entry['bbox'] == [1, 2, 8, 4] and entry['score'] == pytest.approx(0.9)
    assert coco.cats[entry['category_id']]['name'] == 'dog' and len(coco.anns) == 3
    assert coco.annToMask(entry).sum() == entry['area'] == 32
    assert rows(out)[1] == ['a.png', 'dog', '0.9', '1.0', '2.0', '8.0', '4.0', '32']
    for name in files:
        picture = cv2.imread(str(out / 'pictures' / f'{name}.png'))
        assert (picture[..., 0].astype(int) - picture[..., 2] > 100).any()  # blue, of the dog


def test_thresholds_and_pictures_are_options(images, tmp_path):
    out = tmp_path / 'out'
    run(Finder(), [images / 'a.png'], out, draw=DrawOptions(score_threshold=0.1), pictures=False)
    assert len(rows(out)) == 3 and not (out / 'pictures').exists()


def test_interrupted_runs_go_on_and_other_networks_are_refused(images, tmp_path):
    out = tmp_path / 'out'

    class Breaking(Finder):
        def __call__(self, found):
            if self.batches == [1, 1]:
                raise RuntimeError('out of memory')
            return super().__call__(found)

    with pytest.raises(RuntimeError):
        run(Breaking(), [images], out)
    assert len(list((out / 'records').rglob('*.json'))) == 2
    finder = Finder()
    run(finder, [images], out)
    assert finder.batches == [1] and len(rows(out)) == 4
    with pytest.raises(
        ValueError, match='holds predictions of another network: name another folder'
    ):
        predict_all(finder, find_inputs([str(images)]), out, Settings('other'))


def test_a_folder_that_goes_meanwhile_is_told(images, tmp_path):
    out = tmp_path / 'out'

    class Removing(Finder):
        def __call__(self, found):
            if self.batches == [1]:
                shutil.rmtree(out)
            return super().__call__(found)

    with pytest.raises(RuntimeError, match='out lacks 1 records that were written'):
        run(Removing(), [images], out)
    assert not (out / 'predictions.json').exists()
    run(Finder(), [images], out)
    assert len(rows(out)) == 4


def test_what_cannot_be_read_is_listed_and_the_rest_is_done(images, tmp_path):
    (images / 'broken.png').write_bytes(b'no image')
    (images / 'empty.mp4').write_bytes(b'')
    troubles = run(Finder(), [images], tmp_path / 'out')
    assert len(troubles) == 2 and len(rows(tmp_path / 'out')) == 4
    assert any(f'{images / "broken.png"} is no image' in text for text in troubles)
    assert any('empty.mp4 is no video that OpenCV can read' in text for text in troubles)


def test_frames_of_videos_are_images(video, tmp_path):
    out = tmp_path / 'out'
    run(Finder(), [video], out, every=2)
    names = [row[0] for row in rows(out)[1:]]
    assert names == ['film.avi/000000', 'film.avi/000002', 'film.avi/000004']
    assert (out / 'pictures' / 'film.avi' / '000004.png').is_file()
    (source,) = find_inputs([str(video)])
    (frame,) = frames_of(source, frozenset(names[:2]), every=2)
    assert frame.name == names[2] and abs(frame.pixels.mean() - 160) < 8


def test_inputs_are_files_folders_and_patterns(images, monkeypatch):
    found = find_inputs([str(images / '*.png'), str(images)])
    assert [entry.path.name for entry in found] == ['a.png', 'b.jpg', 'a.png']
    assert len({entry.name for entry in found}) == 3
    with pytest.raises(FileNotFoundError, match=r'no image or video .*\*.bmp'):
        find_inputs([str(images / '*.bmp')])


def test_label_maps_and_classes_have_records_of_their_own(images, tmp_path):
    run(Segmenter(), [images / 'a.png'], tmp_path / 'maps')
    assert rows(tmp_path / 'maps') == [
        ['image', 'class', 'pixels'], ['a.png', 'cat', '300'], ['a.png', 'dog', '300']
    ]  # fmt: skip
    labels = cv2.imread(str(tmp_path / 'maps' / 'labels' / 'a.png.png'), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (20, 30) and set(labels.ravel()) == {0, 1}
    run(Classifier(), [images / 'a.png'], tmp_path / 'classes')
    assert rows(tmp_path / 'classes')[1:] == [['a.png', 'dog', '0.75'], ['a.png', 'cat', '0.25']]
    assert (tmp_path / 'classes' / 'pictures' / 'a.png.png').is_file()


@pytest.fixture(scope='module')
def network(tmp_path_factory) -> tuple[Path, Path]:
    """A config with a slim detector, and a checkpoint of random weights that finds a lot."""
    import torch
    from mmengine.registry import init_default_scope

    from repnext_mm.checkpoints.loading import build_model

    folder = tmp_path_factory.mktemp('network')
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.arch.channels = cfg.model.neck.in_channels = [8, 8, 16, 16]
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=5)
    cfg.dump(folder / 'config.py')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    torch.save(dict(state_dict=build_model(cfg).state_dict()), folder / 'weights.pth')
    return folder / 'config.py', folder / 'weights.pth'


@pytest.mark.distribution
def test_checkpoint_and_its_exported_file_predict_the_same(network, images, tmp_path):
    config, weights = network
    random = np.random.default_rng(0)  # on flat images anchors tie
    for path in images.rglob('*.*g'):
        cv2.imwrite(str(path), random.integers(0, 256, cv2.imread(str(path)).shape, np.uint8))
    exported = tmp_path / 'net.onnx'
    result = run_inside('export.py', config, weights, '--output', exported, SHAPES_ROOT=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    (images / 'broken.png').write_bytes(b'no image')
    options = ['--score-threshold', '0', '--no-pictures', '--output']
    batch = ['--batch', '2', *options]
    first = run_inside('predict.py', config, weights, images, *batch, tmp_path / 'torch')
    second = run_inside('predict.py', exported, images, *options, tmp_path / 'onnx')
    for result in (first, second):
        assert result.returncode == 1 and 'Not read' in result.stderr, result.stderr[-2000:]
        assert '3 of 4 inputs' in result.stdout
    ours, theirs = (COCO(str(tmp_path / name / 'predictions.json')) for name in ('torch', 'onnx'))
    assert len(ours.anns) == len(theirs.anns) == 15
    for number, entry in ours.anns.items():
        other = theirs.anns[number]
        assert entry['score'] == pytest.approx(other['score'], abs=1e-3)
        assert entry['bbox'] == pytest.approx(other['bbox'], abs=0.2)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['net.py', 'image.png'], 'after a config come its checkpoint and the inputs'),
        (['net.onnx', 'image.png', '--batch', '0'], 'are at least 1'),
        (['net.onnx', 'image.png', '--batch', '2'], 'an exported file gets one image at a time'),
        (['net.onnx', 'nothing.png'], "there is no image or video 'nothing.png'"),
        (['net.onnx', '{image}'], 'there is no exported file net.onnx'),
        (['net.py', 'none.pth', '{image}'], "there is no config 'net.py'"),
    ],
)
def test_wrong_command_lines_are_explained(arguments, message, images, tmp_path):
    arguments = [text.replace('{image}', str(images / 'a.png')) for text in arguments]
    result = run_inside('predict.py', *arguments, '--output', tmp_path / 'out')
    assert result.returncode != 0
    assert message in result.stderr + str(result.returncode)
    assert not (tmp_path / 'out').exists()
