"""From text to batches: text → tokens → windows → loader."""

from .datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .loader import (
    DataLoader,
    create_dataloader,
    create_dataloader_v1,
    default_collate,
    default_convert,
    get_worker_info,
)
from .samplers import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .shards import Shards
from .text import fetch_verdict_text, offline_text, read_text
from .tokenizer import CompactTokenizer, GPTTokenizer, gpt2_tokenizer
from .windows import (
    GPTDatasetV1,
    WindowDataset,
    sliding_windows,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "CompactTokenizer",
    "ConcatDataset",
    "create_dataloader",
    "create_dataloader_v1",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "default_collate",
    "default_convert",
    "fetch_verdict_text",
    "get_worker_info",
    "gpt2_tokenizer",
    "GPTDatasetV1",
    "GPTTokenizer",
    "IterableDataset",
    "offline_text",
    "random_split",
    "RandomSampler",
    "read_text",
    "Sampler",
    "SequentialSampler",
    "Shards",
    "sliding_windows",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WindowDataset",
]
