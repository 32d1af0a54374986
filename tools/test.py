"""Tests a checkpoint: AP, mIoU or accuracy, on the merged network unless told otherwise."""

from repnext_mm.border import run_tool
from repnext_mm.commands.test import main

if __name__ == '__main__':
    run_tool(main)
