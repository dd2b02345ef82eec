"""A test host starts from an image that somebody else has built, and says so when there is none."""

from __future__ import annotations

import host as test_hosts
import image
import pytest
from machine import HostError, podman, run

NAME = "e2e-image"
OTHERS = "localhost/somebody/host:1"


@pytest.fixture
def others():
    """Our image under another name, as a registry would hold it."""
    run(podman("tag", image.ensure(image.DEFAULT_DISTRIBUTION), OTHERS), "name the image")
    yield OTHERS
    test_hosts.remove([NAME])
    run(podman("untag", OTHERS, OTHERS), "forget the name")


def test_a_host_starts_from_the_image_that_is_named(others, monkeypatch):
    monkeypatch.setattr(image, "ensure", lambda _distribution: pytest.fail("it built an image of its own"))
    started = test_hosts.up(NAME, image.DEFAULT_DISTRIBUTION, others, [])
    assert test_hosts.find(NAME).image == others
    assert run([*test_hosts.ssh_command(started), "hostname"], "ask it").strip() == NAME
    with pytest.raises(HostError, match="it exists, made from localhost/somebody/host:1"):
        test_hosts.up(NAME, image.DEFAULT_DISTRIBUTION, "localhost/another:1", [])


def test_an_image_that_is_nowhere_leaves_nothing_behind():
    with pytest.raises(HostError, match="Failed to create the test host e2e-image"):
        test_hosts.up(NAME, image.DEFAULT_DISTRIBUTION, "localhost/nowhere:1", [])
    assert NAME not in [found.name for found in test_hosts.hosts()]
