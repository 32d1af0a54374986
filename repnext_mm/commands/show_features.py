"""Shows what a network computes in images: feature maps, branches, and class activation.

Writes pictures below a folder: features/ with the maps of the backbone's stages, branches/ with the
parallel branches of blocks beside the convolution that they become, cam/ with class activation.
"""

import argparse
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from repnext_mm.border import ToolParser
from repnext_mm.compat import require_extra
from repnext_mm.feature_maps.activation import CAM_METHODS, WITHOUT_TARGET, Activation, usual_method
from repnext_mm.feature_maps.branches import block_maps
from repnext_mm.feature_maps.layers import check_layers, layer_outputs, stage_layers
from repnext_mm.feature_maps.network_image import NetworkImage, network_image
from repnext_mm.feature_maps.pages import activation_page, branches_page, stage_page
from repnext_mm.feature_maps.targets import Scores, find_targets
from repnext_mm.launch.options import ConfigOptions
from repnext_mm.prediction import find_inputs
from repnext_mm.prediction.checkpoint import CheckpointPredictor
from repnext_mm.prediction.inputs import frames_of
from repnext_mm.reparam.forms import FORMS, TRAINING
from repnext_mm.visualization.saving import save_picture

USUAL = 'auto'


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, in any known layout')
    parser.add_argument('images', nargs='+', help='images, folders, or patterns in quotes')
    parser.add_argument('--output', type=Path, required=True, help='folder for the pictures')
    parser.add_argument('--form', choices=FORMS, default=TRAINING, help='of the network; training')
    parser.add_argument(
        '--layers', nargs='+', metavar='NAME', help="modules to look at; the backbone's stages"
    )
    parser.add_argument('--channels', type=int, default=6, help='of a layer, to show; 6')
    parser.add_argument(
        '--branches',
        nargs='+',
        type=block_number,
        default=[],
        metavar='STAGE.BLOCK',
        help='blocks of a RepNeXt, both counted from 0, such as 0.0 2.1; of the training form',
    )
    parser.add_argument(
        '--cam',
        nargs='?',
        const=USUAL,
        choices=(USUAL, *CAM_METHODS),
        help='class activation; auto: hirescam for detectors, else gradcam',
    )
    parser.add_argument(
        '--classes', nargs='+', default=[], metavar='NAME', help='to explain, by name or number'
    )
    parser.add_argument('--object', type=int, help='of a detector, to explain; 0: most certain')
    parser.add_argument(
        '--score-threshold', type=float, default=0.3, help='of objects to explain; 0.3'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, help='override the config: key=value'
    )
    args = parser.parse_args()
    if args.channels < 1:
        parser.error(f'--channels is at least 1, got {args.channels}')
    if args.branches and args.form != TRAINING:
        parser.error('a merged network has no branches: leave --form or --branches out')
    if (args.classes or args.object is not None) and not args.cam:
        parser.error('--classes and --object are for --cam')
    return args


def block_number(text: str) -> tuple[int, int]:
    """The numbers of a stage and of a block in it, out of ``STAGE.BLOCK``."""
    stage, point, block = text.partition('.')
    if not (point and stage.isdecimal() and block.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r} is not STAGE.BLOCK, such as 0.0')
    return int(stage), int(block)


def main() -> None:
    args = parse_args()
    inputs = find_inputs(args.images)
    if args.cam:
        require_extra('pytorch_grad_cam', 'cam', '--cam')  # before anything slow
    predictor = CheckpointPredictor(args.config, args.checkpoint, args.form, args.cfg_options)
    predictor.model.requires_grad_(False)
    for source in inputs:
        for frame in frames_of(source):
            show(predictor, network_image(predictor, frame.pixels), f'{frame.name}.png', args)
    print(f'Written to {args.output}: {len(inputs)} inputs')


def show(
    predictor: CheckpointPredictor, image: NetworkImage, name: str, args: argparse.Namespace
) -> None:
    """Writes the pictures of one image."""
    model = predictor.model
    layers = args.layers or stage_layers(model, image.inputs)
    check_layers(model, layers)
    scores = Scores(model, predictor.task, image)
    outputs = layer_outputs(model, layers, lambda: scores(image.inputs))
    save_picture(stage_page(image, outputs, args.channels), args.output / 'features' / name)
    for stage, block in args.branches:
        page = branches_page(image, block_maps(model, stage, block, image.inputs), args.channels)
        save_picture(page, args.output / 'branches' / f'{stage}.{block}' / name)
    if not args.cam:
        return
    method = usual_method(predictor.task) if args.cam == USUAL else args.cam
    targets = (
        [None]
        if method in WITHOUT_TARGET
        else find_targets(
            scores, predictor.classes, args.classes, args.object, args.score_threshold
        )
    )
    if not targets:
        print(f'{name}: no object to explain; --cam eigencam needs none')
        return
    page = activation_page(Activation(model, scores, method), layers, targets)
    save_picture(page, args.output / 'cam' / name)
