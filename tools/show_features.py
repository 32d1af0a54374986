"""Shows what a network computes in images: feature maps, branches, and class activation."""

from repnext_mm.border import run_tool
from repnext_mm.commands.show_features import main

if __name__ == '__main__':
    run_tool(main)
