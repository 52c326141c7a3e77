"""What alembic runs: the migrations, on the connection that `towline_server.db.migrate` opened."""

from __future__ import annotations

from alembic import context

from towline_server.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite alters a table by copying it.
    render_as_batch=True,
    # All migrations or none, on SQLite too: the engine begins its transactions itself.
    transactional_ddl=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
