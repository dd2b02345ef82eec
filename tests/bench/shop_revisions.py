"""Revisions that tests add to the migrations of the example app, after its revision ``head``."""

BAD_REVISION = '''
"""A migration that fails half way."""

from alembic import op

revision = "0badc0de0bad"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE TABLE half (id integer)")
    op.execute("SELECT 1 / 0")
'''
