"""Reports: from the ledger to text."""
