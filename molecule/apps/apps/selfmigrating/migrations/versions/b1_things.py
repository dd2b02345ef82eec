"""things"""

import sqlalchemy
from alembic import op

revision = "b1"
down_revision = None


def upgrade():
    op.create_table("things", sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))


def downgrade():
    op.drop_table("things")
