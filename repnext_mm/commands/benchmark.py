"""Measures how fast networks are and how much memory they take, all rows in turn in one run.

Writes benchmark_WHAT.json, .md and .png to the work dir, after each round what there is.
Without any option it measures the forms of a whole model on the config's test images.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from repnext_mm.border import ToolParser, program_name
from repnext_mm.checks.presence import check_data
from repnext_mm.evaluation.benchmark.cases import (
    BENCHMARK_LAYOUTS,
    COMPILERS,
    DTYPES,
    INT8,
    MEASURED_PARTS,
    MEASURED_STEPS,
    OFFICIAL,
    RUNTIMES,
    parse_shape,
)
from repnext_mm.evaluation.benchmark.machine import LoadWatch, describe_machine, matrix_rate
from repnext_mm.evaluation.benchmark.measure import Limits
from repnext_mm.evaluation.benchmark.networks import Networks, Source
from repnext_mm.evaluation.benchmark.plans import QUESTIONS, Question, answer, sizes_of, tables_of
from repnext_mm.evaluation.benchmark.report import MATRIX_RATE, BenchmarkReport, warning_text
from repnext_mm.evaluation.benchmark.scaling import draw_scaling, line_rows
from repnext_mm.launch.command_line import add_trust_option, check_trust, config_of
from repnext_mm.launch.options import ConfigOptions
from repnext_mm.places import named_config
from repnext_mm.reparam.forms import AUTO, FORMS
from repnext_mm.timing import format_table

RUNTIME_NAMES = tuple(name + kind.strip() for kind in ('', INT8) for name in RUNTIMES)
SWITCH = dict(on=True, off=False)


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'configs', nargs='+', help='configs, each followed by its checkpoint if it has one'
    )
    parser.add_argument(
        '--backbone',
        nargs='+',
        default=[],
        metavar='NAME',
        help='measure every config with these backbones, too, such as resnet50 or another of timm',
    )
    parser.add_argument('--what', choices=QUESTIONS, default='model', help='default: model')
    parser.add_argument(
        '--part', choices=MEASURED_PARTS, default='backbone', help='for other whats'
    )
    parser.add_argument(
        '--step', choices=MEASURED_STEPS, default='inference', help='for --what memory'
    )
    parser.add_argument('--work-dir', default='work_dirs/benchmark')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, help='for all configs')
    parser.add_argument(
        '--variant',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME', 'KEY=VALUE'),
        help='measure every config with these options, too; may be given more than once',
    )
    parser.add_argument(
        '--forms',
        nargs='+',
        choices=(*FORMS, AUTO, OFFICIAL),
        help="default: the first three; official is RepNeXt-M as its authors' code merges it",
    )
    parser.add_argument(
        '--shapes',
        nargs='+',
        type=parse_shape,
        metavar='HxW',
        help='default: 224x224 800x1216; of --what model the test images; of scaling seven squares',
    )
    parser.add_argument('--batches', nargs='+', type=int, metavar='N', help='images at a time')
    parser.add_argument('--devices', nargs='+', default=['cpu'], help='such as cpu cuda')
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=['float32'])
    parser.add_argument('--layouts', nargs='+', choices=BENCHMARK_LAYOUTS, default=['as-is'])
    parser.add_argument(
        '--compile',
        nargs='+',
        choices=['eager', *COMPILERS],
        default=['eager'],
        help='torch.compile for backbones; reduce-overhead uses CUDA graphs, graph only those',
    )
    parser.add_argument(
        '--primitives', nargs='+', choices=SWITCH, default=['on'], help="oneDNN's and cuDNN's"
    )
    parser.add_argument('--runtimes', nargs='+', choices=RUNTIME_NAMES, default=RUNTIME_NAMES)
    parser.add_argument(
        '--release-memory',
        action='store_true',
        help='on CPU: give memory of large tensors back to the system at once, as torch does',
    )
    parser.add_argument('--images', type=int, default=32, help='how many test images')
    parser.add_argument(
        '--exported', nargs='+', default=[], help='files of tools/export.py, on the test images'
    )
    add_trust_option(parser)
    parser.add_argument('--rounds', type=int, default=5, help='how often to time each row')
    args = parser.parse_args()
    check_trust(parser, args, args.exported)
    return args


def sources_of(args: argparse.Namespace) -> dict[str, Source]:
    """The configs of the command line with their own and with the other backbones, and each of
    these with the options of every variant.

    A checkpoint is of the config's own backbone.
    """
    pairs: list[tuple[str, str | None]] = []
    for path in args.configs:
        if not pairs or named_config(path).endswith('.py'):
            pairs.append((path, None))
        else:
            pairs[-1] = (pairs[-1][0], path)
    titles = titles_of([path for path, _ in pairs])
    found = {}
    for variant, options in [('', []), *((name, options) for name, *options in args.variant)]:
        extra = argparse.Namespace(cfg_options={})
        action = ConfigOptions(['--variant'], 'cfg_options', nargs='+')
        action(argparse.ArgumentParser(), extra, options)
        changes = (args.cfg_options or {}) | extra.cfg_options
        configs = list(zip(titles, pairs, strict=True))
        for (stem, (path, checkpoint)), backbone in product(configs, [None, *args.backbone]):
            cfg = config_of(path, changes, args.release_memory, backbone)
            names = ', '.join(name for name in (backbone, variant) if name)
            title = stem + (f' ({names})' if names else '')
            found[title] = Source(cfg, None if backbone else checkpoint)
    return found


def titles_of(paths: list[str]) -> list[str]:
    """Names of configs: those of their files, or whole paths where two files have one name.

    Raises:
        ValueError: If a config is there twice.
    """
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(
            f'{twice[0]} is given twice, so its rows could not be told apart: inherit from it in a '
            'config of another name'
        )
    stems = [Path(path).stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else path for stem, path in zip(stems, paths, strict=True)
    ]


def question_of(args: argparse.Namespace) -> Question:
    """What the command line asks."""
    return Question(
        what=args.what,
        part=args.part,
        step=args.step,
        forms=args.forms,
        shapes=args.shapes,
        batches=args.batches,
        devices=args.devices,
        dtypes=args.dtypes,
        layouts=args.layouts,
        compilers=[None if name == 'eager' else name for name in args.compile],
        primitives=[SWITCH[name] for name in args.primitives],
        runtimes=[name.replace(INT8.strip(), INT8) for name in args.runtimes],
        images=args.images,
        files=args.exported,
        trust_files=args.trust_file,
    )


def main() -> int:
    args = parse_args()
    busy = LoadWatch().warnings()
    for text in busy:
        print(warning_text(text), flush=True)
    question, limits = question_of(args), Limits(args.rounds)
    networks = Networks(sources_of(args))
    if question.on_test_data:
        for source in networks.sources.values():
            check_data(source.cfg, 'test')
    gpus = [device for device in args.devices if device != 'cpu']
    header = describe_machine((gpus or ['cpu'])[0])
    rates = [] if gpus else [matrix_rate()]
    header['command'] = ' '.join([program_name('tools/benchmark.py'), *sys.argv[1:]])
    report = BenchmarkReport(Path(args.work_dir) / f'benchmark_{args.what}', header, busy)
    report.sizes = sizes_of(networks, tables_of(question, networks))
    for result in answer(question, networks, limits, lambda text: print(text, flush=True)):
        report.add(result)
    if not gpus:
        rates.append(matrix_rate())
        report.header[MATRIX_RATE] = round(max(rates) / 1e9, 1)
    finish(report, question)
    print(f'Written to {report.path}.json, .md and .png')
    return 1 if report.failures else 0


def finish(report: BenchmarkReport, question: Question) -> None:
    """Prints the tables, and draws."""
    for table in report.tables.values():
        print(f'\n{table.title}\n\n{report.table_text(table)}\n', flush=True)
    if question.what != 'scaling':
        report.write()
        report.draw()
        return
    for table in report.tables.values():
        report.notes += [f'Lines of {table.title}:', format_table(line_rows(table))]
    print('\n\n'.join(report.notes))
    report.write()
    draw_scaling(list(report.tables.values()), report.path.with_suffix('.png'))
