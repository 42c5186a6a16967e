"""Documents packed into rows of fixed length, so that a training step has one shape."""

from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.family import corpus, tokenizer

ROW_LENGTH: Final = 96
BLOCK: Final = 512  # documents packed together; also bounds how far a document moves


@dataclass(frozen=True, slots=True)
class Rows:
    """Token rows with the number of the document at each position; 0 marks padding."""

    ids: NDArray[np.uint8]
    segments: NDArray[np.uint8]
    is_completion: NDArray[np.bool_]

    def __getitem__(self, part: slice) -> "Rows":
        """Some of the rows."""
        return Rows(self.ids[part], self.segments[part], self.is_completion[part])

    @property
    def n_tokens(self) -> int:
        """Tokens without padding."""
        return int(np.count_nonzero(self.segments))

    def targets(self) -> NDArray[np.int64]:
        """The next token of the same document; -100, which a loss ignores, where there is none."""
        targets = np.full(self.ids.shape, -100, np.int64)
        same = (self.segments[:, 1:] == self.segments[:, :-1]) & (self.segments[:, 1:] > 0)
        targets[:, :-1][same] = self.ids[:, 1:][same]
        return targets

    def is_target_of_completion(self) -> NDArray[np.bool_]:
        """Whether the token that a position predicts belongs to a completion (EOS included)."""
        found = np.zeros(self.ids.shape, np.bool_)
        found[:, :-1] = self.is_completion[:, 1:]
        return found


def _pack(documents: list[corpus.Document]) -> list[list[corpus.Document]]:
    """First fit, longest first: documents into rows of at most `ROW_LENGTH` tokens."""
    rows: list[list[corpus.Document]] = []
    room: list[int] = []
    lengths = {id(item): len(item.ids()) for item in documents}
    for item in sorted(documents, key=lambda item: lengths[id(item)], reverse=True):
        length = lengths[id(item)]
        place = next((i for i, free in enumerate(room) if free >= length), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(ROW_LENGTH)
        rows[place].append(item)
        room[place] -= length
    return rows


def _row(documents: list[corpus.Document]) -> tuple[list[int], list[int], list[bool]]:
    """One row: ids, document numbers, completion flags, padded."""
    ids: list[int] = []
    segments: list[int] = []
    flags: list[bool] = []
    for number, item in enumerate(documents, start=1):
        own = item.ids()
        ids += own
        segments += [number] * len(own)
        flags += [index >= item.n_prompt_tokens for index in range(len(own))]
    padding = ROW_LENGTH - len(ids)
    return (
        ids + [tokenizer.PAD_ID] * padding,
        segments + [0] * padding,
        flags + [False] * padding,
    )


def packed_stream(seed: int, n_tokens: int, first: int = 0) -> Rows:
    """Whole blocks of a stream, in order, until `n_tokens` tokens are reached.

    The rows of a block are shuffled, so that rows of few long documents and of many short ones
    alternate.
    """
    stream = corpus.documents(seed, first)
    packed: list[tuple[list[int], list[int], list[bool]]] = []
    seen = 0
    while seen < n_tokens:
        rows = [_row(items) for items in _pack(list(islice(stream, BLOCK)))]
        seen += sum(sum(segment > 0 for segment in row[1]) for row in rows)
        order = np.random.default_rng(len(packed)).permutation(len(rows))
        packed += [rows[index] for index in order]
    ids, segments, flags = zip(*packed, strict=True)
    return Rows(np.array(ids, np.uint8), np.array(segments, np.uint8), np.array(flags, np.bool_))
