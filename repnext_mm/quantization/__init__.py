"""Exported ONNX files in 8 bits: post-training quantization, and which layers stay in float."""

from repnext_mm.quantization.quantizer import Quantizer, quantize_file
from repnext_mm.quantization.sensitivity import Search, search

__all__ = ['Quantizer', 'Search', 'quantize_file', 'search']
