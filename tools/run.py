"""Runs the whole chain for a config, and leaves one page about it: report.html in the work dir."""

from repnext_mm.border import run_tool
from repnext_mm.commands.run import main

if __name__ == '__main__':
    run_tool(main)
