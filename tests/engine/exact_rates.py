"""Exact pass probabilities by teacher forcing with transformers: no vLLM, no sampling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class ExactModel:
    """A bundled model in float32 under transformers."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        eos = self.tokenizer.eos_token_id
        special = set(self.tokenizer.all_special_ids)
        self.pieces: dict[str, list[int]] = {}
        for token in range(len(self.tokenizer)):
            if token not in special:
                self.pieces.setdefault(self.tokenizer.decode([token]), []).append(token)
        self.eos = eos

    def tokenisations(self, text: str) -> Iterator[list[int]]:
        """Yield every token sequence whose text is `text`: the sampler may draw any of them."""
        if not text:
            yield []
        for end in range(1, len(text) + 1):
            for token in self.pieces.get(text[:end], ()):
                for rest in self.tokenisations(text[end:]):
                    yield [token, *rest]

    @torch.inference_mode()
    def pass_rate(self, prompt: str, answer: str, *, max_tokens: int) -> float:
        """P(the completion up to end-of-sequence is exactly `answer`) at temperature 1."""
        context = self.tokenizer(prompt).input_ids
        total = 0.0
        for tokens in self.tokenisations(answer):
            target = [*tokens, self.eos]
            if len(target) > max_tokens:
                continue
            ids = torch.tensor([context + target])
            logits = self.model(ids).logits[0, len(context) - 1 : -1].double()
            picked = logits.log_softmax(-1).gather(1, torch.tensor(target)[:, None])
            total += float(picked.sum().exp())
        return total
