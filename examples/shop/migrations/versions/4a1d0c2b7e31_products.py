"""products

Revision ID: 4a1d0c2b7e31
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "4a1d0c2b7e31"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "products",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(60), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("price_cents", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
        sa.UniqueConstraint("slug", name="uq_products_slug"),
        sa.CheckConstraint("price_cents >= 0", name="ck_products_price_cents"),
    )


def downgrade():
    op.drop_table("products")
