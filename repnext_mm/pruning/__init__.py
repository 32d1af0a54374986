"""Structured pruning with torch-pruning: fewer channels, and the config of the smaller network.

Of the package only :mod:`repnext_mm.pruning.channels` knows torch-pruning, which follows channels
from layer to layer and says how important they are. What is left is read back as an arch dict, so
that the pruned network trains, merges, exports and quantizes like any other.
"""
