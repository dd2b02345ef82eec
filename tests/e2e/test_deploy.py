"""Deploys of the example app as users make them, with visitors on the site all the time."""

from __future__ import annotations

import json

from conftest import NAME
from load import visitors
from shop_revisions import BAD_REVISION

NOTICE = "gunicorn.conf.py of the source is not read"
GOOD_REVISION = '''
"""A column that the code of before does not know."""

import sqlalchemy
from alembic import op

revision = "600d0c0de600"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("products", sqlalchemy.Column("weight_grams", sqlalchemy.Integer))


def downgrade():
    op.drop_column("products", "weight_grams")
'''


def test_a_deploy_and_a_rollback_lose_no_request(site, team):
    before = team.status()["release"]
    team.change("second")
    with visitors(site.address, NAME, count=8, pause_seconds=0.02) as seen:  # a crowd, in this test
        deployed = team.play("deploy.yml", "-e", "app=shop")
        after = team.status()["release"]
        back = team.play("rollback.yml", "-e", "app=shop")
    assert (deployed.code, back.code) == (0, 0), deployed.output[-3000:] + back.output[-3000:]
    assert seen.failures == {}
    assert set(seen.releases) == {before, after}
    assert seen.posts > 100
    assert team.status()["release"] == before


def test_what_is_live_is_not_deployed_again(team):
    team.change("third")
    (team.source / "gunicorn.conf.py").write_text("workers = 99\n")
    deployed = team.play("deploy.yml", "-e", "app=shop")
    assert (deployed.recap("changed"), deployed.output.count(NOTICE)) == (1, 1), deployed.output[-3000:]
    assert team.play("deploy.yml", "-e", "app=shop").recap("changed") == 0


def test_the_site_leaves_the_release_that_was_deployed(site, team):
    release = team.status()["release"]
    run = site.play()
    assert (run.code, run.recap("changed")) == (0, 0), run.output[-3000:]
    assert team.status()["release"] == release


def test_a_migration_that_fails_switches_nothing(site, team):
    before, head = team.status()["release"], team.head()
    revision = team.source / "migrations" / "versions" / "0badc0de0bad_half.py"
    revision.write_text(BAD_REVISION.format(head=head))
    try:
        with visitors(site.address, NAME) as seen:
            run = team.play("deploy.yml", "-e", "app=shop")
    finally:
        revision.unlink()
    assert run.code != 0
    assert "0badc0de0bad" in run.output
    assert "division by zero" in run.output
    assert seen.failures == {}
    assert set(seen.releases) == {before}
    assert (team.status()["release"], team.head()) == (before, head)
    assert site.root("runuser -u shop -- psql -XAtc \"SELECT to_regclass('half')\"").strip() == ""


def test_a_rollback_behind_the_schema_is_refused_and_can_be_forced(site, team):
    before, head = team.status()["release"], team.head()
    revision = team.source / "migrations" / "versions" / "600d0c0de600_weight.py"
    revision.write_text(GOOD_REVISION.format(head=head))
    try:
        deployed = team.play("deploy.yml", "-e", "app=shop")
    finally:
        revision.unlink()
    assert (deployed.code, team.head()) == (0, "600d0c0de600"), deployed.output[-3000:]
    after = team.status()["release"]
    ledger = json.loads(site.root("ringstand --json releases shop"))["ledger"][-1]
    assert ledger["migration"]["applied"][0]["revision"] == "600d0c0de600"
    assert ledger["migration"]["restore_point"]["name"] == f"release-{after}"
    with visitors(site.address, NAME) as seen:
        refused = team.play("rollback.yml", "-e", "app=shop")
        assert team.status()["release"] == after
        forced = team.play("rollback.yml", "-e", "app=shop", "-e", "force=true")
    assert refused.code != 0
    assert "600d0c0de600" in refused.output
    for choice in ("--force", f"flask db downgrade {head}", f"--before-release shop/{after}"):
        assert choice in refused.output
    assert (forced.code, team.status()["release"]) == (0, before), forced.output[-3000:]
    assert seen.failures == {}
    # Back to the schema that the other tests know.
    site.root("runuser -u shop -- psql -XAtc \"ALTER TABLE products DROP weight_grams\"")
    site.root(f"runuser -u shop -- psql -XAtc \"UPDATE alembic_version SET version_num = '{head}'\"")


def test_an_app_that_does_not_import_is_refused_before_its_migrations(site, team):
    before = team.status()["release"]
    module = team.source / "shop" / "views.py"
    good = module.read_text()
    module.write_text(good + "\nimport no_such_module\n")
    try:
        with visitors(site.address, NAME) as seen:
            run = team.play("deploy.yml", "-e", "app=shop")
    finally:
        module.write_text(good)
    assert run.code != 0
    assert "no_such_module" in run.output
    assert run.output.count(NOTICE) == 1
    assert seen.failures == {}
    assert set(seen.releases) == {before}


def test_a_changed_setting_restarts_the_app_without_losing_a_request(site, team):
    changed = team.inventory.read_text().replace("    environment:", "    threads: 5\n        environment:")
    inventory = site.work / "changed.yml"
    inventory.write_text(changed)
    assert "threads: 5" in changed
    with visitors(site.address, NAME) as seen:
        run = site.play("-i", str(inventory))
    assert run.code == 0, run.output[-3000:]
    assert seen.failures == {}
    assert "threads = 5" in site.root("cat /etc/ringstand/gunicorn/shop.py")
    assert site.play().code == 0  # back to what the other tests know
