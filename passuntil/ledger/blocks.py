"""What every ledger refuses, so that all of them refuse the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from passuntil.errors import LedgerError, UsageError
from passuntil.ports import Block, GreedyResult

__all__ = ["check_block", "dump_meta", "greedy_exists"]


def check_block(block: Block, n_judged: int) -> None:
    """Raise ``LedgerError`` unless `block` is sound and continues an instance of `n_judged`."""
    fault = next(_faults(block, n_judged), None)
    if fault:
        got, allowed = fault
        raise LedgerError(
            f"block of {block.model}/{block.task}/{block.instance}: got {got}; allowed: {allowed}; "
            "append each judged index once and in order. Nothing of this call was kept."
        )


def _faults(block: Block, n_judged: int) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the block and what would be right, one after the other."""
    n, n_passes = len(block.verdicts), block.verdicts.count(1)
    n_fails = block.verdicts.count(0)
    if block.start != n_judged + 1:
        kind = "a gap" if block.start > n_judged + 1 else "a repeated index"
        yield f"start={block.start}, {kind}", f"start={n_judged + 1}"
    if n_passes + n_fails != n:
        yield "verdict bytes other than 0 and 1", "1 for pass, 0 for fail"
    if min(block.fail_reasons.values(), default=0) < 0 or "pass" in block.fail_reasons:
        yield f"fail_reasons={dict(block.fail_reasons)}", "counts >= 0 of reasons to fail"
    if sum(block.fail_reasons.values()) != n_fails:
        yield f"fail_reasons={dict(block.fail_reasons)}", f"a sum of {n_fails}, the fails"
    if min(block.n_tokens, block.overrun_samples, block.overrun_tokens) < 0:
        yield "a negative count of tokens or samples", ">= 0"
    if n == 0 and block.n_tokens:
        yield f"n_tokens={block.n_tokens} without a verdict", "0"
    last = block.start - 1
    for kept in block.kept:
        if not last < kept.index < block.stop:
            yield f"a kept text of index {kept.index}", f"ascending, {block.start}...{block.stop}"
        last = kept.index
        if kept.is_pass != (block.verdicts[kept.index - block.start] == 1):
            yield f"a kept text whose verdict differs at index {last}", "the block's verdict"


def greedy_exists(result: GreedyResult) -> LedgerError:
    """Return the error for a second greedy result of one instance."""
    return LedgerError(
        f"greedy result of {result.model}/{result.task}/{result.instance}: got a second one; "
        "allowed: one per model and instance; skip those that the ledger holds. "
        "Nothing of this call was kept."
    )


def dump_meta(key: str, value: Mapping[str, object]) -> str:
    """Return the record as JSON text.

    Raises
    ------
    UsageError
        A value is not plain JSON.
    """
    try:
        return json.dumps(dict(value), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"record {key!r}: got {error}; allowed: values that JSON can hold, NaN not among them; "
            "turn them into text, numbers, lists and mappings."
        ) from error
