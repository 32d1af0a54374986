"""Trains a detector, segmentor or classifier from a config."""

from repnext_mm.border import run_tool
from repnext_mm.commands.train import main

if __name__ == '__main__':
    run_tool(main)
