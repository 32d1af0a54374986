"""Predicts what is in images and videos, with a checkpoint or an exported file."""

from repnext_mm.border import run_tool
from repnext_mm.commands.predict import main

if __name__ == '__main__':
    run_tool(main)
