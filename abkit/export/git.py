"""A git work tree: a folder in it, and a commit an export."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from abkit.errors import InputError, TargetDrift, TargetError
from abkit.export.base import Item
from abkit.export.folder import Folder, shown

__all__ = ["GitTree"]

_TIMEOUT_S: Final = 120
# A hook that calls abkit has these set: they would lead elsewhere than the folder does.
_LEADING: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"}
)
_BUSY: Final = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}


class GitTree(Folder):
    """Writes manifests into a folder of a git work tree and commits them: its own paths and nothing else.

    What the user has changed or staged elsewhere stays as it is. Hooks and signatures are the repository's. Nothing is
    pushed. The history lies in git's own folder, so that the work tree shows no file but the manifests.

    Args:
        folder: The folder.

    Raises:
        InputError: It lies in no work tree.
    """

    def __init__(self, folder: Path) -> None:
        there = folder
        while not there.is_dir():
            if there == there.parent:
                break
            there = there.parent
        # Where git works: a folder that exists.
        self._base = there
        done = self._run("rev-parse", "--show-toplevel", "--absolute-git-dir", check=False)
        lines = done.stdout.splitlines()
        if done.returncode or len(lines) != 2:
            msg = (
                f"{shown(folder)}: lies in no git work tree: name a folder in one, or export to the folder without git:"
            )
            raise InputError(msg)
        top, git = (Path(os.fsdecode(line)) for line in lines)
        self._base, self._git = top, git
        self._prefix = Path(os.path.relpath(folder.resolve(), top.resolve()))
        super().__init__(folder, git / "abkit" / self._prefix / ".abkit")

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return f"git:{shown(self.folder)}"

    def ready(self, keys: Sequence[str]) -> None:
        """Refuse to build on changes that are not committed, and to commit in the middle of something else.

        Raises:
            TargetDrift: There are some, or git is at something.
        """
        for name, what in _BUSY.items():
            if (self._git / name).exists():
                msg = f"{self.place}: a {what} is under way: end it first"
                raise TargetDrift(msg)
        paths = self._paths(keys)
        if changed := self._changed(paths):
            first = changed[0].decode("utf-8", "backslashreplace")
            msg = f"{self.place}: {first} has changes that are not committed: commit it, or restore it"
            raise TargetDrift(msg)
        ignored = self._run("check-ignore", "--stdin", "-z", check=False, given=b"\0".join(paths)).stdout
        if ignored:
            first = ignored.split(b"\0")[0].decode("utf-8", "backslashreplace")
            msg = f"{self.place}: git ignores {first}: take it out of .gitignore, or name another folder"
            raise TargetDrift(msg)

    def rehearse(self, item: Item) -> None:
        """Nobody is asked: hooks run at the commit."""

    def finish(self, keys: Sequence[str], message: str) -> None:
        """Commit the files; nothing where they are committed.

        Raises:
            TargetError: git or one of its hooks refuses.
        """
        paths = self._changed(self._paths(keys))
        if not paths:
            return
        names = b"\0".join(paths)
        # Unlike `add`, it takes a file that is gone from the index too: killed there, it is called again.
        self._run("update-index", "--add", "--remove", "-z", "--stdin", given=names)
        # --only builds the commit from HEAD and these paths, whatever else is staged.
        commit = ["commit", "--quiet", "--only", "--cleanup=verbatim", f"--message={message}"]
        self._run(*self._identity(), *commit, "--pathspec-from-file=-", "--pathspec-file-nul", given=names)

    def abandon(self, keys: Sequence[str]) -> None:
        """Unstage what was staged for a commit that failed.

        Raises:
            TargetError: git refuses.
        """
        names = b"\0".join(self._paths(keys))
        if self._run("rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode == 0:
            self._run("reset", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul", given=names)
        else:
            self._run(
                "rm", "--cached", "--quiet", "--ignore-unmatch", "--pathspec-from-file=-", "--pathspec-file-nul",
                given=names,
            )  # fmt: skip

    def _paths(self, keys: Sequence[str]) -> list[bytes]:
        return [os.fsencode(os.path.normpath(self._prefix / key)) for key in keys]

    def _changed(self, paths: Sequence[bytes]) -> list[bytes]:
        """Those of the paths that differ from the last commit."""
        arguments = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--"]
        entries = self._run(*arguments, *map(os.fsdecode, paths)).stdout.split(b"\0")
        return [entry[3:] for entry in entries if entry]

    def _identity(self) -> list[str]:
        """Who commits, where the user has not said so."""
        options: list[str] = []
        for key, variable, stand_in in (
            ("user.name", "NAME", "abkit"),
            ("user.email", "EMAIL", "abkit@localhost"),
        ):
            stated = {f"GIT_AUTHOR_{variable}", f"GIT_COMMITTER_{variable}"} <= os.environ.keys()
            if not stated and self._run("config", "--get", key, check=False).returncode:
                options += ["-c", f"{key}={stand_in}"]
        return options

    def _run(self, *arguments: str, check: bool = True, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in _LEADING}
        environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "GIT_OPTIONAL_LOCKS": "0"}
        # check-ignore takes names as they are, and refuses to be told so.
        literal = [] if arguments[0] == "check-ignore" else ["--literal-pathspecs"]
        command = ["git", *literal, "-C", os.fspath(self._base), *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                command, input=given, capture_output=True, env=environment, timeout=_TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            msg = "git: no such command: install git, or export to the folder without git:"
            raise TargetError(msg) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            msg = f"git {arguments[0]} in {shown(self._base)}: {error}"
            raise TargetError(msg) from None
        if check and done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "backslashreplace").strip()
            verb = next((one for one in arguments if not one.startswith("-") and "=" not in one), "")
            msg = f"{shown(self._base)}: git {verb} refuses: {said or f'it ends with {done.returncode}'}"
            raise TargetError(msg)
        return done
