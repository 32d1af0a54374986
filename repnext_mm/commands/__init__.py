"""The command line: one file for each command, with its options and its way through the rooms.

``tools/NAME.py`` and ``repnext-mm NAME`` are doors to the ``main`` of a file.
"""
