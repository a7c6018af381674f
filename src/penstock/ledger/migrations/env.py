"""Alembic's way in: runs the migrations on the connection it is handed."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="migrations", version_table_schema="penstock")
with context.begin_transaction():
    context.run_migrations()
