"""Writes a checkpoint of another layout as mmengine reads it: weights and a little metadata."""

from repnext_mm.border import run_tool
from repnext_mm.commands.convert_checkpoint import main

if __name__ == '__main__':
    run_tool(main)
