"""index orders by state

Revision ID: e93a6b15d7f8
Revises: b27f4d80c9a5
"""

from alembic import op

revision = "e93a6b15d7f8"
down_revision = "b27f4d80c9a5"
branch_labels = None
depends_on = None


def upgrade():
    # Without a lock that stops orders from coming in. A build that was cut off leaves an invalid index: drop it first.
    with op.get_context().autocommit_block():
        op.drop_index("ix_orders_state", "orders", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_orders_state", "orders", ["state"], postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_orders_state", "orders", if_exists=True, postgresql_concurrently=True)
