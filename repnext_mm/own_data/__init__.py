"""Data of a user's own: what is in it, which settings follow from that, and a config made of them."""

from repnext_mm.own_data.apply import SLOT, Wishes, use_own_data

__all__ = ['SLOT', 'Wishes', 'use_own_data']
