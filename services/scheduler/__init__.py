"""The scheduler: the only one who decides. It owns the ledger."""
