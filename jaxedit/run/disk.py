"""Room for checkpoints: asked for before anything is written, and named where it runs out."""

from __future__ import annotations

import errno
import pathlib
import shutil
from typing import Any

import jax

from jaxedit.errors import UserError
from jaxedit.run import damage


def check_space(folder: pathlib.Path, items: Any) -> None:
    """Raises UserError unless a tree of arrays fits on the disk of `folder`, with room to spare."""
    needed = sum(x.nbytes for x in jax.tree.leaves(items)) * 5 // 4 + 2**20
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"No space left for a checkpoint in {folder}: it needs about "
            f"{needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free. The checkpoints "
            "already there are untouched. Free some space, or lower checkpoint.keep_last, "
            "and start the same command again to resume."
        )


def explained(folder: pathlib.Path, error: Exception) -> Exception:
    """Returns a UserError where the disk let a save fail, and any other error as it is."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, None)
    else:
        full = "No space left" in str(error) or "ENOSPC" in str(error)
    if not full:
        if not damage.is_passing(error) and getattr(error, "errno", None) != errno.EROFS:
            return error
        return UserError(
            f"Could not write a checkpoint to {folder}: {damage.first_line(error)}. Check the disk "
            "and that you may write there, and start the same command again; it resumes from the "
            "last complete checkpoint."
        )
    return UserError(
        f"Could not write a checkpoint to {folder}: {error}. Free some space and start "
        "the same command again; it resumes from the last complete checkpoint."
    )
