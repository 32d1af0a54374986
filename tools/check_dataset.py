"""Checks the data of a config: every kind of trouble that training would meet, and a page about it."""

from repnext_mm.border import run_tool
from repnext_mm.commands.check_dataset import main

if __name__ == '__main__':
    run_tool(main)
