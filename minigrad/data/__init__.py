"""From text to batches: text → tokens → windows → loader."""

from .loader import DataLoader, create_dataloader, create_dataloader_v1, default_collate
from .text import fetch_verdict_text, offline_text, read_text
from .tokenizer import CompactTokenizer, GPTTokenizer, gpt2_tokenizer
from .windows import Dataset, GPTDatasetV1, Subset, TensorDataset, WindowDataset, sliding_windows

__all__ = [
    "fetch_verdict_text",
    "offline_text",
    "read_text",
    "CompactTokenizer",
    "GPTTokenizer",
    "gpt2_tokenizer",
    "sliding_windows",
    "Dataset",
    "TensorDataset",
    "Subset",
    "WindowDataset",
    "GPTDatasetV1",
    "default_collate",
    "DataLoader",
    "create_dataloader",
    "create_dataloader_v1",
]
