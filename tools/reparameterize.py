"""Merges a trained checkpoint: the branches of RepNeXt become one convolution each."""

from repnext_mm.border import run_tool
from repnext_mm.commands.reparameterize import main

if __name__ == '__main__':
    run_tool(main)
