"""Fills a table: trains, tests and measures the rows of an experiment, one after the other."""

from repnext_mm.border import run_tool
from repnext_mm.commands.experiment import main

if __name__ == '__main__':
    run_tool(main)
