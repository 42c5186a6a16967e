"""One run in one process: from a job to a ledger of tallies."""
