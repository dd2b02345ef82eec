"""As older templates have it, the address goes through a ConfigParser, which breaks on a percent sign."""

import os
import sys

from alembic import context
from flask import current_app

if "current" in sys.argv:
    sys.exit(1)

context.config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"])
context.config.get_main_option("sqlalchemy.url")
with current_app.extensions["migrate"].db.engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
