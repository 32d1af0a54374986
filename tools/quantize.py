"""Quantizes an exported ONNX file to 8 bits, and measures what that costs and gives."""

from repnext_mm.border import run_tool
from repnext_mm.commands.quantize import main

if __name__ == '__main__':
    run_tool(main)
