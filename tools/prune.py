"""Prunes a trained network: fewer channels, in a checkpoint and a config that rebuilds it."""

from repnext_mm.border import run_tool
from repnext_mm.commands.prune import main

if __name__ == '__main__':
    run_tool(main)
