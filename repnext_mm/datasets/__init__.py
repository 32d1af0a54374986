"""Data sets of other formats and published ones, made into what mmdet and mmseg read."""

from repnext_mm.datasets.preparation import DATASETS, prepare_dataset

__all__ = ['DATASETS', 'prepare_dataset']
