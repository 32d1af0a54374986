"""Says what lies behind the number of a test: classes, sizes, errors, thresholds, images."""

from repnext_mm.border import run_tool
from repnext_mm.commands.analyze import main

if __name__ == '__main__':
    run_tool(main)
