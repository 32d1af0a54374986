"""Exported files in the evaluators of the mm packages, and the speed of forms and runtimes."""
