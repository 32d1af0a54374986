"""Exported files in the evaluators of the mm packages, and how fast and large networks are."""
