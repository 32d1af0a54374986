"""Measures how fast networks are and how much memory they take, all rows in turn in one run."""

from repnext_mm.border import run_tool
from repnext_mm.commands.benchmark import main

if __name__ == '__main__':
    run_tool(main)
