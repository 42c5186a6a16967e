"""Probabilities and samples of a model straight from torch, apart from any engine."""

from collections import Counter
from functools import cache

import torch
from torch import Tensor

from benchmarks.family import tokenizer
from benchmarks.family.model import Llama


@cache
def spellings(text: str) -> tuple[tuple[int, ...], ...]:
    """Every sequence of token ids that decodes to `text`; the canonical one is among them."""
    if not text:
        return ((),)
    found = []
    for index, token in enumerate(tokenizer.VOCABULARY):
        if index >= len(tokenizer.SPECIAL) and text.startswith(token):
            found += [(index, *rest) for rest in spellings(text[len(token) :])]
    return tuple(found)


@torch.no_grad()
def log_probabilities(
    model: Llama, pairs: list[tuple[str, str]], *, is_canonical_only: bool = False
) -> list[float]:
    """Log of P(the completion is exactly this text, ended by EOS | prompt), in nats.

    Sums over every spelling in tokens, since a checker sees text; `is_canonical_only` takes the
    tokenizer's own spelling alone, for texts that have too many others.
    """
    rows, owners = [], []
    for owner, (prompt, completion) in enumerate(pairs):
        head = [tokenizer.BOS_ID, *tokenizer.encode(prompt)]
        canonical = (tuple(tokenizer.encode(completion)),)
        for spelling in canonical if is_canonical_only else spellings(completion):
            rows.append((head, [*spelling, tokenizer.EOS_ID]))
            owners.append(owner)
    scores: list[list[float]] = [[] for _ in pairs]
    for first in range(0, len(rows), 256):
        part = rows[first : first + 256]
        for owner, score in zip(owners[first : first + 256], _scores(model, part), strict=True):
            scores[owner].append(score)
    return [float(torch.logsumexp(torch.tensor(values), 0)) for values in scores]


def _scores(model: Llama, rows: list[tuple[list[int], list[int]]]) -> list[float]:
    length = max(len(head) + len(tail) for head, tail in rows)
    ids = torch.full((len(rows), length), tokenizer.PAD_ID)
    for index, (head, tail) in enumerate(rows):
        ids[index, : len(head) + len(tail)] = torch.tensor(head + tail)
    logs = torch.log_softmax(model(ids[:, :-1]).double(), -1)
    picked = logs.gather(-1, ids[:, 1:, None]).squeeze(-1)
    return [
        float(picked[index, len(head) - 1 : len(head) + len(tail) - 1].sum())
        for index, (head, tail) in enumerate(rows)
    ]


@torch.no_grad()
def sample(
    model: Llama,
    prompt: str,
    n_samples: int,
    *,
    generator: torch.Generator,
    max_tokens: int = 48,
    batch_size: int = 4096,
) -> Counter[str]:
    """Completions at temperature 1 with their counts; one cut at `max_tokens` is left out."""
    ids = torch.tensor([[tokenizer.BOS_ID, *tokenizer.encode(prompt)]])
    found: Counter[str] = Counter()
    for first in range(0, n_samples, batch_size):
        rows = min(batch_size, n_samples - first)
        found.update(_sample_batch(model, ids, rows, generator, max_tokens))
    return found


def _sample_batch(
    model: Llama, ids: Tensor, rows: int, generator: torch.Generator, max_tokens: int
) -> list[str]:
    caches: list[list[Tensor]] = [[] for _ in model.blocks]
    logits = model.extend(ids, caches, 0).expand(rows, -1)
    caches[:] = [[part.expand(rows, -1, -1, -1) for part in cache] for cache in caches]
    drawn = torch.empty(rows, 0, dtype=torch.long)
    finished: list[str] = []
    for position in range(ids.shape[1], ids.shape[1] + max_tokens):
        weights = torch.softmax(logits, -1)
        noise = torch.empty_like(weights).exponential_(generator=generator)
        drawn = torch.cat((drawn, (weights / noise).argmax(-1, keepdim=True)), 1)
        is_over = drawn[:, -1] == tokenizer.EOS_ID
        if is_over.any():
            finished += [tokenizer.decode(row[:-1]) for row in drawn[is_over].tolist()]
            drawn = drawn[~is_over]
            caches = [[part[~is_over] for part in cache] for cache in caches]
        if not len(drawn):
            break
        logits = model.extend(drawn[:, -1:], caches, position)
    return finished


@torch.no_grad()
def greedy(model: Llama, prompt: str, *, max_tokens: int = 48) -> str:
    """The completion that takes the likeliest token every time."""
    ids = [tokenizer.BOS_ID, *tokenizer.encode(prompt)]
    caches: list[list[Tensor]] = [[] for _ in model.blocks]
    logits = model.extend(torch.tensor([ids]), caches, 0)
    drawn: list[int] = []
    while len(drawn) < max_tokens:
        token = int(logits.argmax())
        if token == tokenizer.EOS_ID:
            return tokenizer.decode(drawn)
        drawn.append(token)
        logits = model.extend(torch.tensor([[token]]), caches, len(ids) + len(drawn) - 1)
    return tokenizer.decode(drawn)
