"""Says whether a runtime takes an exported ONNX file, and what to do where it does not.

For TensorRT the graph is compared with the rules of its documented operators, and parsed by the
package tensorrt where that is installed; for OpenCV it is run and compared with ONNX Runtime. The
exit status is 1 if something is not taken.
"""

import argparse

from repnext_mm.border import ToolParser
from repnext_mm.export.targets import TARGETS, by_reason, check_for


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('file', help='ONNX file of tools/export.py or tools/quantize.py')
    parser.add_argument('--target', required=True, help=f'one of {", ".join(TARGETS)}')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    findings = check_for(args.target, args.file)
    for line in by_reason(findings):
        print(f'- {line}')
    verdict = 'does not take' if findings else 'should take'
    print(f'{args.target} {verdict} {args.file}')
    return int(bool(findings))
