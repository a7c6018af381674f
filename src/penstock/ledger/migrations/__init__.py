"""The ledger's schema, as forward-only migrations."""
