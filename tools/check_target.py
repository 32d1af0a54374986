"""Says whether a runtime takes an exported ONNX file, and what to do where it does not."""

from repnext_mm.border import run_tool
from repnext_mm.commands.check_target import main

if __name__ == '__main__':
    run_tool(main)
