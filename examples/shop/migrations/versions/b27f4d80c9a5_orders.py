"""orders

Revision ID: b27f4d80c9a5
Revises: 8c5e91f3a6d2
"""

import sqlalchemy as sa
from alembic import op

revision = "b27f4d80c9a5"
down_revision = "8c5e91f3a6d2"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), server_default="new", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name="fk_orders_product_id_products"),
    )


def downgrade():
    op.drop_table("orders")
