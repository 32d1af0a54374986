"""Prepares a small published data set for the configs of configs/small, from its archive."""

from repnext_mm.border import run_tool
from repnext_mm.commands.prepare_data import main

if __name__ == '__main__':
    run_tool(main)
