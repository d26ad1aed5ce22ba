"""Let a trained GPT write.

python examples/generate.py                                          # the nano model that train_gpt.py made
python examples/generate.py runs/mini/checkpoint.safetensors --prompt "A class" --temperature 0.7 --top-k 20
python examples/generate.py path/to/gpt2/model.safetensors           # GPT-2's published weights, if you have them
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import minigrad as torch
from minigrad.data import CompactTokenizer, gpt2_tokenizer
from minigrad.gpt import GPT, GPTConfig, load_gpt2


def load(path: Path, device: str) -> tuple[GPT, Any]:
    """The model of a checkpoint, or of the folder it is in, and its tokenizer."""
    if path.is_dir() and (path / "checkpoint.safetensors").exists():
        path = path / "checkpoint.safetensors"
    kept = {} if path.is_dir() else torch.load(path)
    if isinstance(kept, dict) and "embedding.token.weight" in kept:
        raise ValueError(f"{path} holds weights only; generate needs what train_gpt.py saves: sizes and vocabulary too")
    if not isinstance(kept, dict) or not {"config", "tokens", "model", "about"} <= kept.keys():
        return load_gpt2(path).to(device), gpt2_tokenizer()
    model = GPT(GPTConfig(**kept["config"]))
    model.load_state_dict(kept["model"])
    return model.to(device), gpt2_tokenizer() if kept["tokens"] is None else CompactTokenizer(kept["tokens"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path, default=Path("runs/nano/checkpoint.safetensors"))
    parser.add_argument("--prompt", default="The", help="go on from this text")
    parser.add_argument("--tokens", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--temperature", type=float, default=0.8, help="0: always the most likely token (default 0.8)")
    parser.add_argument("--top-k", type=int, default=40, help="draw among the k most likely; 0: among all (default 40)")
    parser.add_argument("--no-cache", action="store_true", help="compute keys and values anew for every token")
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    if options.tokens < 0:
        parser.error("--tokens must not be negative")
    if not options.checkpoint.exists():
        parser.error(
            f"there is no {options.checkpoint}; python examples/train_gpt.py makes runs/nano/checkpoint.safetensors"
        )
    try:
        model, tokenizer = load(options.checkpoint, options.device)
        model.eval()
        ids = tokenizer.encode(options.prompt)
        if not ids:
            raise ValueError("the prompt is empty: there is nothing to go on from")
        write(model, tokenizer, torch.tensor([ids], device=options.device), options)
    except (OSError, ValueError, RuntimeError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def write(model: GPT, tokenizer: Any, ids: torch.Tensor, options: argparse.Namespace) -> None:
    """Print the text as it comes."""
    torch.manual_seed(options.seed)
    began, written = time.perf_counter(), ids[0].tolist()
    stream = model.stream(ids, options.tokens, options.temperature, options.top_k or None, not options.no_cache)
    print(shown := tokenizer.decode(written), end="", flush=True)
    for following in stream:
        written.append(following.item())
        text = tokenizer.decode(written)
        if not text.endswith("\ufffd"):  # the last bytes of a character may be still to come
            print(text[len(shown) :], end="", flush=True)
            shown = text
    print(tokenizer.decode(written)[len(shown) :])
    seconds = time.perf_counter() - began
    print(f"[{options.tokens} tokens in {seconds:.1f} s{', without the cache' if options.no_cache else ''}]")


if __name__ == "__main__":
    main()
