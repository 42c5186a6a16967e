"""A run written anew with the verdicts of a recheck, up to the stops that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from passuntil.errors import LedgerError, UsageError
from passuntil.ledger import SqliteLedger
from passuntil.ports import Block, KeptText
from passuntil.records import SampleKey, Verdict
from passuntil.runner.rates import write_rates
from passuntil.runner.record import LEDGER_FILE, RunRecord
from passuntil.runner.rounds import ROUNDS
from passuntil.stopping import InstanceState, StopRule

__all__ = ["require_all_texts", "write_rejudged"]

# A new run's blocks, in samples; the size of a ledger's rows.
_BLOCK: Final = 4096
# Records that hold for the re-judged run as well.
_COPIED: Final = ("instances", "engines", "weights", "speeds", "faults", ROUNDS)

_Address = tuple[str, str, str]


def require_all_texts(ledger: SqliteLedger) -> None:
    """Raise UsageError where a sample has no text to judge."""
    n_missing = sum(len(block.verdicts) - len(block.kept) for block in ledger.blocks())
    if n_missing:
        raise UsageError(
            f"-o: got a run that kept no text of {n_missing} samples; allowed: every text, without "
            "which no tally follows; sample with `keep_texts: all`."
        )


def write_rejudged(
    output: Path,
    run: RunRecord,
    ledger: SqliteLedger,
    *,
    verdicts: Mapping[SampleKey, Verdict],
    checkers: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write a run that holds today's verdicts, up to the stops that follow from them.

    Parameters
    ----------
    output : Path
        A new folder.
    run, ledger
        The run judged anew; `ledger` is open.
    verdicts : mapping of SampleKey to Verdict
        Those that are not the recorded ones.
    checkers : mapping of str to mapping
        Descriptions of today's checkers.

    Raises
    ------
    LedgerError
        A text has no token count, or the new ledger cannot be written.
    """
    output.mkdir(parents=True, exist_ok=True)
    with closing(SqliteLedger(output / LEDGER_FILE)) as made:
        for address, blocks in _by_instance(ledger.blocks()):
            made.append(list(_rejudged(address, blocks, verdicts, run.job.stop_rule())))
        for key in _COPIED:
            if (record := ledger.read_meta(key)) is not None:
                made.write_meta(key, record)
        for (model, task), found in run.tasks.items():
            if found.rates:  # calculated, not judged from texts that are kept
                write_rates(made, model, {(task, name): r for name, r in found.rates.items()})
        made.write_meta("checkers", checkers)
        job = ledger.read_meta("job") or {}
        # last: a folder without it is no run yet
        made.write_meta("job", {**job, "rejudged_from": str(run.folder.absolute())})


def _by_instance(blocks: Iterable[Block]) -> Iterator[tuple[_Address, list[Block]]]:
    """Yield each instance's blocks together: a ledger yields them one after the other."""
    held: list[Block] = []
    for block in blocks:
        address = (block.model, block.task, block.instance)
        if held and address != (held[0].model, held[0].task, held[0].instance):
            yield (held[0].model, held[0].task, held[0].instance), held
            held = []
        held.append(block)
    if held:
        yield (held[0].model, held[0].task, held[0].instance), held


def _rejudged(
    address: _Address, blocks: list[Block], verdicts: Mapping[SampleKey, Verdict], rule: StopRule
) -> Iterator[Block]:
    """Yield blocks of an instance with today's verdicts; what lies past the stop is overrun."""
    state = InstanceState(rule)
    counted: list[KeptText] = []
    overrun_samples = sum(block.overrun_samples for block in blocks)
    overrun_tokens = sum(block.overrun_tokens for block in blocks)
    for kept in (kept for block in blocks for kept in block.kept):
        if kept.n_tokens is None:
            raise LedgerError(
                f"{'/'.join(address)}#{kept.index}: got a text without its token count, from an "
                "older passuntil; allowed: texts of this version; sample anew."
            )
        if state.is_closed:
            overrun_samples += 1
            overrun_tokens += kept.n_tokens
            continue
        verdict = verdicts.get(SampleKey(*address, kept.index))
        is_pass, reason = kept.is_pass, kept.reason
        if verdict is not None:
            is_pass, reason = verdict.is_pass, verdict.reason
        state.observe(kept.index, is_pass)
        counted.append(
            KeptText(kept.index, is_pass, reason, kept.finish_reason, kept.text, kept.n_tokens)
        )
    for first in range(0, len(counted), _BLOCK):
        part = counted[first : first + _BLOCK]
        yield Block(
            *address,
            first + 1,
            bytes(kept.is_pass for kept in part),
            Counter(kept.reason for kept in part if not kept.is_pass),
            sum(kept.n_tokens or 0 for kept in part),
            overrun_samples if first == 0 else 0,
            overrun_tokens if first == 0 else 0,
            tuple(part),
        )
