"""Tables of experiments: several configs trained, tested and measured, and what was found.

``specification`` says what a table consists of, ``checks`` looks at it before anything slow,
``commands`` and ``running`` start the tools, ``speed`` measures all rows in turn, ``results``
keeps everything in one file, from which ``tables`` and ``report`` are made.
"""
