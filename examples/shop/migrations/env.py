"""Run by `flask db`. Logging stays as the app set it up, and the URL never passes through an ini file."""

from alembic import context
from flask import current_app

database = current_app.extensions["migrate"].db


def run_offline() -> None:
    """Print the SQL (`flask db upgrade --sql`)."""
    context.configure(dialect_name=database.engine.dialect.name, target_metadata=database.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    with database.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
