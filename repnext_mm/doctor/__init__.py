"""What is wrong with the installed packages, and the line that mends it.

``python -m repnext_mm.doctor`` needs the standard library alone: it has to work where torch or the
mm packages are missing or broken.
"""
