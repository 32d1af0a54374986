"""Writes a checkpoint of another layout as mmengine reads it: weights and a little metadata.

Takes what the tools and load_from also take as it is: official ImageNet files, detectors
of mmdet 2.x, segmentors of mmseg 0.x, mmengine checkpoints and safetensors.
"""

import argparse
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.registry import init_default_scope

from repnext_mm.border import ToolParser
from repnext_mm.checkpoints.files import (
    check_checkpoint_path,
    load_from_local,
    sha256,
    write_checkpoint,
)
from repnext_mm.checkpoints.identity import dataset_meta, identify
from repnext_mm.checkpoints.loading import build_model, report_loading
from repnext_mm.compat import forbid_code_in_checkpoints, read_config
from repnext_mm.models import RepNeXt
from repnext_mm.networks.layouts import unwrap
from repnext_mm.places import named_config
from repnext_mm.version import __version__


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('source', help='checkpoint to read')
    parser.add_argument('target', help='file to write: .pth or .safetensors')
    parser.add_argument('--config', help='load it into the model of this config, and report')
    parser.add_argument(
        '--allow-partial-load',
        action='store_true',
        help='write the file even if entries outside the backbone are missing',
    )
    args = parser.parse_args()
    if Path(args.target).resolve() == Path(args.source).resolve():
        parser.error('source and target are the same file')
    return args


def main() -> int:
    args = parse_args()
    check_checkpoint_path(args.target)
    forbid_code_in_checkpoints()
    checkpoint = load_from_local(args.source, map_location='cpu')
    state = unwrap(checkpoint)
    found = identify(checkpoint)
    if found:
        print(f'Backbone: RepNeXt {found.arch}, {found.form} form, complete')
    elif not args.config:
        print(
            'Nothing written: this is no complete checkpoint of a named RepNeXt, which are '
            f'{tuple(RepNeXt.arch_settings)}. For others, name the --config of the model'
        )
        return 1
    if args.config:
        cfg = read_config(named_config(args.config))
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        report = report_loading(state, build_model(cfg))
        print(f'Model of {args.config}: {report}')
        if not report.complete and not args.allow_partial_load:
            print('Nothing written: entries are missing (--allow-partial-load writes all the same)')
            return 1
    meta = dict(source_sha256=sha256(args.source), repnext_mm=__version__)
    extra = (found._asdict() if found else {}) | dict(dataset_meta=dataset_meta(checkpoint))
    write_checkpoint(args.target, state, meta | {k: v for k, v in extra.items() if v})
    print(f'Written to {args.target}')
    return 0
