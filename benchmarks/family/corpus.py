"""The training stream: document `i` of seed `s` is a pure function of `(s, i)`.

Nothing that belongs to the held-out part of the language enters the stream: a question or a
program is held out when the hash of its key says so, and the key of a program is its behaviour,
not its text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Final

from benchmarks.family import programs, questions, tokenizer

HELD_OUT_SHARE: Final = 1 / 16
KINDS: Final = ("code", "answer", "choice", "steps")
KIND_WEIGHTS: Final = (0.50, 0.25, 0.10, 0.15)
PROGRAM_CALLS: Final = (1, 2, 2, 3, 3, 4)
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

    @property
    def n_prompt_tokens(self) -> int:
        """Tokens before the completion, BOS included."""
        return 1 + len(tokenizer.encode(self.prompt))


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
        if not is_held_out(question.key):
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
