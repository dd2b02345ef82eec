"""The transient units that an app's commands run in."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import (
    AppUnit,
    activation_pattern,
    new_unit_name,
    unit_arguments,
)
from ansible_collections.ringstand.flask.plugins.module_utils.sandbox import sandbox_directives


def unit(name: str = "shop", purpose: str = "activation-migrate", **more: object) -> AppUnit:
    return AppUnit(name, name, name, "/srv/shop", purpose=purpose, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("other", ["shop-eu", "eu-shop", "shop-12345678", "migrate-shop", "sho", "shopp"])
def test_an_activation_stops_only_its_own_units(other: str) -> None:
    assert fnmatch(new_unit_name(unit()), activation_pattern("shop"))
    assert not fnmatch(new_unit_name(unit(other)), activation_pattern("shop"))


def test_a_one_off_command_is_not_an_activations() -> None:
    assert not fnmatch(new_unit_name(unit(purpose="run")), activation_pattern("shop"))


def test_the_command_gets_the_apps_rights_and_only_the_name_of_its_secrets() -> None:
    arguments = unit_arguments(unit(environment_file="/etc/ringstand/environment/shop.env"), "x.service", 60)
    for wanted in (
        "--property=User=shop",
        "--property=EnvironmentFile=/etc/ringstand/environment/shop.env",
        "--property=NoNewPrivileges=yes",
        "--property=CapabilityBoundingSet=",
        "--property=RuntimeMaxSec=60s",
    ):
        assert wanted in arguments


def test_a_build_takes_no_processor_from_what_serves() -> None:
    assert "--property=Nice=10" in unit_arguments(unit(build=True), "x.service", 60)
    assert "--property=Nice=10" not in unit_arguments(unit(), "x.service", 60)


def test_a_file_that_overrides_the_environment_is_read_after_it_when_it_is_there() -> None:
    arguments = unit_arguments(unit(environment_file="/e/shop.env", overriding_file="/e/shop.migration.env"), "x", 60)
    files = [argument for argument in arguments if "EnvironmentFile" in argument]
    assert files == ["--property=EnvironmentFile=/e/shop.env", "--property=EnvironmentFile=-/e/shop.migration.env"]


def test_without_outbound_network_only_this_host_is_reached() -> None:
    directives = sandbox_directives(outbound_network=False)
    assert ("IPAddressDeny", "any") in directives
    assert ("IPAddressAllow", "localhost") in directives
    assert ("IPAddressDeny", "any") not in sandbox_directives()
