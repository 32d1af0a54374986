"""Tests a checkpoint: AP, mIoU or accuracy, on the merged network unless told otherwise."""

import argparse
import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import repnext_mm.engine  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.logging import print_log

from repnext_mm.engine.launch import build_parser, build_runner, check_data, load_config
from repnext_mm.engine.types import type_name
from repnext_mm.files import to_plain, write_text

HOOK = 'ReparameterizeHook'


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file, in any known layout')
    parser.add_argument(
        '--deploy',
        choices=['none', 'fused', 'plain'],
        help="test the training form, or merged to this form; default: that of the config's "
        'ReparameterizeHook or backbone, or fused',
    )
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir', help='save pictures in this folder, below the time stamp in the work dir'
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds for each --show')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out writes a pickle file, so it must end in .pkl; got {args.out!r}')
    if not args.checkpoint.startswith(('http:', 'https:')) and not Path(args.checkpoint).is_file():
        parser.error(f'there is no checkpoint {args.checkpoint!r}')
    return args


def choose_form(cfg: Config, deploy: str | None) -> str:
    """Makes the config test the form that the command line asks for.

    A hook of the config keeps its options, and without ``deploy`` its mode too, unless
    the backbone is built merged.

    Returns:
        The form that is tested.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    own = [hook for hook in hooks if type_name(hook) == HOOK]
    others = [hook for hook in hooks if type_name(hook) != HOOK]
    hook = own[0] if own else dict(type=f'repnext_mm.{HOOK}')
    built = built_form(cfg)
    if built and deploy == 'none':
        raise ValueError(
            f'the config builds its backbone merged (deploy={built!r}): leave model.backbone.deploy '
            'out of it to test the training form'
        )
    deploy = deploy or built or hook.get('mode', 'fused')
    cfg.custom_hooks = others if deploy == 'none' else [*others, dict(hook, mode=deploy)]
    return deploy


def built_form(cfg: Config) -> str | None:
    """The form in which the config builds its backbone; None for the training form."""
    backbone = cfg.get('model', {}).get('backbone') or {}
    return backbone.get('deploy')


def enable_pictures(cfg: Config, args: argparse.Namespace) -> None:
    """Turns the visualization hook on, in the words of the config's package."""
    hook = cfg.default_hooks.get('visualization')
    if hook is None:
        raise ValueError(
            f'--show and --show-dir need a visualization hook in default_hooks of {args.config}'
        )
    hook.show, hook.wait_time = args.show, args.wait_time
    scope = cfg.get('default_scope')
    if scope == 'mmpretrain':
        hook.enable, hook.out_dir = True, args.show_dir
    else:
        hook.draw = True
    if scope == 'mmdet' and args.show_dir:
        hook.test_out_dir = args.show_dir
    if scope == 'mmseg':
        if type_name(cfg.visualizer) == 'SegLocalVisualizer':
            cfg.visualizer.type = 'repnext_mm.SegLegendVisualizer'
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir


DEFAULT_TTA = {
    'mmdet': dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    ),
    'mmseg': dict(type='SegTTAModel'),
    'mmpretrain': dict(type='AverageClsScoreTTA'),
}
TTA_SCALES = {'mmdet': (0.5, 1.0, 1.5), 'mmseg': (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)}
"""Relative to the size that the config tests at."""


def enable_tta(cfg: Config) -> None:
    """Wraps the model for test-time augmentation.

    Unless the config has its own plan, detectors and segmentors see each image in several
    sizes, and all models see it flipped too.
    """
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    scope = cfg.get('default_scope')
    if 'tta_model' not in cfg:
        cfg.tta_model = DEFAULT_TTA[scope]
    if 'tta_pipeline' not in cfg:
        cfg.tta_pipeline = tta_pipeline(dataset.pipeline, TTA_SCALES.get(scope, ()))
    if scope == 'mmdet' and 'mask_head' in cfg.model.get('roi_head', {}):
        test_boxes_only(cfg)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def tta_pipeline(pipeline: list[dict], scales: Sequence[float]) -> list[dict]:
    """A test pipeline as one that gives every image in several sizes, and flipped."""
    *steps, pack = deepcopy(pipeline)
    if 'meta_keys' in pack:
        pack['meta_keys'] = (*pack['meta_keys'], 'flip', 'flip_direction')
    resizes = [i for i, step in enumerate(steps) if type_name(step) == 'Resize' and 'scale' in step]
    first = resizes[0] if scales and resizes else len(steps)
    variants = [[step] for step in steps[first:]]
    if first < len(steps):
        size = steps[first]['scale']
        width, height = (size, size) if isinstance(size, int) else size
        variants[0] = [
            dict(steps[first], scale=(round(width * scale), round(height * scale)))
            for scale in scales
        ]
    flips = [dict(type='RandomFlip', prob=probability) for probability in (0.0, 1.0)]
    views = dict(type='TestTimeAug', transforms=[*variants, flips, [pack]])
    return [*steps[:first], views]


def test_boxes_only(cfg: Config) -> None:
    """Takes the mask head and the mask metric away: mmdet's TTA cannot merge masks."""
    print_log("mmdet's TTA merges boxes only: testing without masks", logger='current')
    for name in ('mask_head', 'mask_roi_extractor'):
        cfg.model.roi_head.pop(name, None)
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if 'metric' in evaluator:
            evaluator.metric = 'bbox'


class DumpLabels(DumpResults):
    """Without the scores of every class for every pixel, which take 200 MB an image on ADE20K."""

    def process(self, data_batch: dict, predictions: Sequence[dict]) -> None:
        labels = [
            {key: value for key, value in sample.items() if not key.endswith('logits')}
            for sample in predictions
        ]
        super().process(data_batch, labels)


def dump_metric(scope: str | None, path: str):
    """The metric that writes predictions; mmdet's keeps masks as RLE, mmseg's labels only."""
    if scope == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=path)
    return (DumpLabels if scope == 'mmseg' else DumpResults)(out_file_path=path)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    check_data(cfg, 'test')
    deploy = choose_form(cfg, args.deploy)
    if args.show or args.show_dir:
        enable_pictures(cfg, args)
    if args.tta:
        enable_tta(cfg)
    runner = build_runner(cfg)
    if args.out:
        runner.test_evaluator.metrics.append(dump_metric(cfg.get('default_scope'), args.out))
    metrics = runner.test()
    if is_main_process():
        report = dict(
            config=args.config,
            checkpoint=args.checkpoint,
            deploy=deploy,
            tta=args.tta,
            metrics=metrics,
        )
        path = Path(runner.work_dir) / 'metrics.json'
        write_text(path, json.dumps(report, indent=2, default=to_plain))
        runner.logger.info(f'Metrics written to {path}')


if __name__ == '__main__':
    main()
