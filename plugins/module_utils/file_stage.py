# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A directory tree as it would be after changes, for commands that read it under its own name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from types import TracebackType

from . import commands
from .file_nodes import ABSENT, DIRECTORY, LINK, Node

STAGES_DIR = "/run"
# The tree as it is stays reachable in the stage, and the view takes its place. Both for this one command only.
_ENTER = 'mount --rbind "$1" "$2/real" && mount --bind "$2/view" "$1" && shift 2 && exec "$@"'


class Stage:
    """A view of ``tree``: links to its files, so that nothing is copied, and new files where it is to differ.

    A command sees the view in the tree's place, in a mount namespace of its own. Nothing on the host changes.
    """

    def __init__(self, tree: str) -> None:
        self.tree = tree

    def __enter__(self) -> Stage:
        self._dir = tempfile.mkdtemp(prefix="ringstand-stage-", dir=STAGES_DIR)
        try:
            os.mkdir(self._in("real"))
            os.mkdir(self._in("view"))
            self._link_all()
        except BaseException:
            shutil.rmtree(self._dir)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._dir)

    def possible(self, paths: Iterable[str]) -> bool:
        """Whether the host lets us show a view, and no link leads any of ``paths`` out of it."""
        view = os.path.realpath(self._in("view"))
        parents = {os.path.realpath(os.path.dirname(self._place(path))) for path in paths}
        inside = all(f"{parent}/".startswith(f"{view}/") for parent in parents)
        return inside and self.run(["true"]).rc == 0

    def put(self, nodes: Sequence[tuple[str, Node]]) -> None:
        """Have the view show ``nodes`` at their paths, which come after the directories that they are in."""
        for path, _node in reversed([item for item in nodes if item[1].kind == ABSENT]):
            self._clear(self._place(path))
        for path, node in nodes:
            place = self._place(path)
            if node.kind == DIRECTORY:
                os.makedirs(place, exist_ok=True)
            elif node.kind != ABSENT:
                self._clear(place)
                _make(place, node)

    def run(self, argv: Sequence[str], timeout_seconds: float = 60.0) -> commands.Result:
        """Run a command that sees the view."""
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh", self.tree, self._dir]
        return commands.run([*enter, *argv], timeout_seconds)

    def _in(self, name: str) -> str:
        return os.path.join(self._dir, name)

    def _place(self, path: str) -> str:
        return os.path.join(self._in("view"), os.path.relpath(path, self.tree))

    def _link_all(self) -> None:
        for folder, folders, names in os.walk(self.tree):
            real = os.path.join(self._in("real"), os.path.relpath(folder, self.tree))
            for name in [*folders, *names]:
                path, place = os.path.join(folder, name), self._place(os.path.join(folder, name))
                if os.path.islink(path):
                    os.symlink(os.readlink(path), place)
                elif name in folders:
                    os.mkdir(place)
                else:
                    os.symlink(os.path.join(real, name), place)

    @staticmethod
    def _clear(place: str) -> None:
        if os.path.isdir(place) and not os.path.islink(place):
            os.rmdir(place)
        elif os.path.lexists(place):
            os.unlink(place)


def _make(place: str, node: Node) -> None:
    if node.kind == LINK:
        os.symlink(node.target, place)
        return
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(node.content)
