"""The training stream: document `i` of seed `s` is a pure function of `(s, i)`.

Nothing that belongs to the held-out part of the language enters the stream: a question or a
program is held out when the hash of its key says so, and the key of a program is its behaviour,
not its text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count, islice
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.family import programs, questions, tokenizer

HELD_OUT_SHARE: Final = 1 / 16
KINDS: Final = ("code", "answer", "choice", "steps")
KIND_WEIGHTS: Final = (0.45, 0.25, 0.12, 0.18)
PROGRAM_CALLS: Final = (1, 2, 2, 3, 3, 4, 4, 5)
STEP_COUNTS: Final = (1, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Document:
    """One training text: BOS, prompt, completion, EOS."""

    kind: str
    prompt: str
    completion: str

    def ids(self) -> list[int]:
        """Token ids with BOS and EOS; prompt and completion are encoded apart, as at test time."""
        body = tokenizer.encode(self.prompt) + tokenizer.encode(self.completion)
        return [tokenizer.BOS_ID, *body, tokenizer.EOS_ID]


def is_held_out(key: bytes | str) -> bool:
    """Whether a key belongs to the part of the language that training never sees."""
    data = key.encode() if isinstance(key, str) else key
    digest = blake2b(data, digest_size=4, key=b"passuntil/pico").digest()
    return int.from_bytes(digest, "big") < HELD_OUT_SHARE * 2**32


def document(seed: int, index: int) -> Document:
    """Document `index` of the stream `seed`."""
    rng = Random(f"passuntil/pico/{seed}/{index}")
    (kind,) = rng.choices(KINDS, KIND_WEIGHTS)
    while True:
        if kind == "code":
            program = programs.random_program(rng, rng.choice(PROGRAM_CALLS))
            if not is_held_out(program.signature()):
                return Document(kind, program.prompt, program.completion)
            continue
        question = draw_question(kind, rng)
        # A chain of one step is a skill, not a question of the task: it is always trained.
        if len(question.steps) == 1 or not is_held_out(question.key):
            return Document(kind, question.prompt, question.answer)


def draw_question(kind: str, rng: Random) -> questions.Question:
    """A question of one kind, held out or not."""
    if kind == "answer":
        return questions.answer_question(rng)
    if kind == "choice":
        return questions.choice_question(rng)
    return questions.steps_question(rng, rng.choice(STEP_COUNTS))


def documents(seed: int, first: int = 0) -> Iterator[Document]:
    """The endless stream of one seed from document `first` on."""
    return (document(seed, index) for index in count(first))


@dataclass(frozen=True, slots=True)
class TokenStream:
    """Encoded documents end to end; document `i` is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    completion_starts: NDArray[np.int64]

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1


def encode_stream(seed: int, n_documents: int, first: int = 0) -> TokenStream:
    """The first documents of a stream as arrays of token ids."""
    tokens = bytearray()
    offsets, starts = [0], []
    for item in islice(documents(seed, first), n_documents):
        starts.append(len(tokens) + 1 + len(tokenizer.encode(item.prompt)))
        tokens += bytes(item.ids())
        offsets.append(len(tokens))
    return TokenStream(np.frombuffer(bytes(tokens), np.uint8), np.array(offsets), np.array(starts))
