"""Exports a trained model, merged, to a file that runs without the mm packages."""

from repnext_mm.border import run_tool
from repnext_mm.commands.export import main

if __name__ == '__main__':
    run_tool(main)
