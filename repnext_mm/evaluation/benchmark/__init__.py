"""How fast and how large networks are: one tool for every form, runtime and device.

``cases`` names what is measured, ``networks`` builds it, ``measure`` takes the time and
``report`` writes what was found. Each file knows nothing of those after it.
"""
