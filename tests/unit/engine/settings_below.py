"""The settings of an app that is below a folder of the test."""

from __future__ import annotations

from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings, Layout


class Settings(AppSettings):
    """``root`` is the class's, because AppSettings has a field for each key of the file only: set it by monkeypatch."""

    root = "/"

    @property
    def layout(self) -> Layout:
        return Layout(self.name, self.root)
