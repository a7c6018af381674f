"""The ledger on PostgreSQL: tables, statements, group writer, leases, and a server of its own where none is given."""
