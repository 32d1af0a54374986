"""Converts a data set of another format: objects to COCO's, label maps to mmseg's folders."""

from repnext_mm.border import run_tool
from repnext_mm.commands.convert_dataset import main

if __name__ == '__main__':
    run_tool(main)
