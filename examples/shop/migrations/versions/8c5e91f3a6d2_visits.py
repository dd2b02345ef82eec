"""visits

Revision ID: 8c5e91f3a6d2
Revises: 4a1d0c2b7e31
"""

import sqlalchemy as sa
from alembic import op

revision = "8c5e91f3a6d2"
down_revision = "4a1d0c2b7e31"
branch_labels = None
depends_on = None


def upgrade():
    visits = op.create_table(
        "visits",
        sa.Column("page", sa.String(60), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("page", name="pk_visits"),
    )
    op.bulk_insert(visits, [{"page": "index", "count": 0}])


def downgrade():
    op.drop_table("visits")
