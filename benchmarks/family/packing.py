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


def _pack(documents: list[list[int]]) -> list[list[list[int]]]:
    """First fit, longest first: documents into rows of at most `ROW_LENGTH` tokens."""
    rows: list[list[list[int]]] = []
    room: list[int] = []
    for ids in sorted(documents, key=len, reverse=True):
        place = next((i for i, free in enumerate(room) if free >= len(ids)), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(ROW_LENGTH)
        rows[place].append(ids)
        room[place] -= len(ids)
    return rows


def packed_stream(seed: int, n_tokens: int, first: int = 0) -> Rows:
    """Whole blocks of a stream, in order, until `n_tokens` tokens are reached.

    The rows of a block are shuffled by their hash-like stride, so that full rows of long
    documents and mixed rows of short ones alternate.
    """
    stream = corpus.documents(seed, first)
    id_rows: list[bytes] = []
    segment_rows: list[bytes] = []
    seen = 0
    while seen < n_tokens:
        block = [item.ids() for item in islice(stream, BLOCK)]
        seen += sum(map(len, block))
        rows = _pack(block)
        order = np.random.default_rng(seen).permutation(len(rows))
        for row in (rows[i] for i in order):
            ids = [token for ids in row for token in ids]
            numbers = [number for number, ids in enumerate(row, start=1) for _ in ids]
            padding = ROW_LENGTH - len(ids)
            id_rows.append(bytes(ids) + bytes([tokenizer.PAD_ID]) * padding)
            segment_rows.append(bytes(numbers) + bytes(padding))
    shape = (len(id_rows), ROW_LENGTH)
    ids_array = np.frombuffer(b"".join(id_rows), np.uint8).reshape(shape)
    return Rows(ids_array, np.frombuffer(b"".join(segment_rows), np.uint8).reshape(shape))
