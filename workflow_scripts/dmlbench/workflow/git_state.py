"""Which commit the code of this project is, as git says."""

import os
import subprocess
from pathlib import Path

#: The project, and a file of it that its repository tracks.
PROJECT = Path(__file__).resolve().parents[3]
_TRACKED = Path(__file__).resolve().relative_to(PROJECT)


def git_state(project: Path = PROJECT) -> dict:
    """The commit, and whether code or config differs from it (results may: runs replace them).

    Without a commit there is the reason. Only a repository that tracks the code counts: a project
    may be unpacked inside another one, and git's variables may name any.
    """
    environment = {**os.environ, "LC_ALL": "C"}  # reasons of two machines can be compared

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(project), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return done.stdout.strip()

    try:
        for name in git("rev-parse", "--local-env-vars").split():
            environment.pop(name, None)
        top = git("rev-parse", "--show-toplevel")
        if git("ls-files", "--", str(_TRACKED)):
            changed = git("status", "--porcelain", "--", ".", ":(exclude)results")
            return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
        reason = f"the git repository {top} does not track this code"
    except OSError as error:
        reason = f"git cannot be run: {error.strerror}"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"git ended with {error.returncode}"])[0]
    return {"commit": None, "dirty": None, "reason": reason}
