"""Data of a user's own: what is in it, which settings follow from that, and a config made of them."""

from repnext_mm.own_data.apply import SLOT, use_own_data

__all__ = ['SLOT', 'use_own_data']
