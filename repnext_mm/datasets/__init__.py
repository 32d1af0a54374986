"""Small published data sets, made ready for training from the archives in which they come."""

from repnext_mm.datasets.preparation import DATASETS, prepare_dataset

__all__ = ['DATASETS', 'prepare_dataset']
