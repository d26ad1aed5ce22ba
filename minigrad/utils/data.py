"""torch.utils.data's names, for `from minigrad.utils.data import DataLoader`; the code is in minigrad.data."""

from ..data import DataLoader, Dataset, Subset, TensorDataset, default_collate

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "default_collate"]
