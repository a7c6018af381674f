"""The keeper: a small detached process that owns one embedded PostgreSQL.

The package uses the standard library alone and only relative imports, because the keeper process loads it under
the bare name ``keeper``, without site-packages, so that it is up within some tens of milliseconds however heavy the
rest of Penstock is. Clients import the same modules as ``penstock.ledger.embedded.keeper``.
"""
