"""The state of one test session: settings, ledger, active test, watched pipelines."""
