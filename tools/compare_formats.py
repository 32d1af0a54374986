"""Exports a model to every format that is installed, and compares size, difference and speed."""

from repnext_mm.border import run_tool
from repnext_mm.commands.compare_formats import main

if __name__ == '__main__':
    run_tool(main)
