"""What the system refuses a program, in a sentence instead of a traceback."""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MANY = (errno.EMFILE, errno.ENFILE)
# A folder that became unwritable, or stands where a file should.
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR)


def explain(error: OSError) -> str | None:
    """Returns what was refused and what helps, without a full stop; None for another error."""
    where = error.filename
    if error.errno in _FULL:
        return f"no space left while writing {where or 'a file'}. Free some space"
    if error.errno in _MANY:
        return (
            f"too many files are open at once{f', at {where}' if where else ''}. Let more be open "
            "(`ulimit -n 4096`)"
        )
    if error.errno in _REFUSED and where:
        return f"{where}: {error.strerror}. See to it that it may be written to"
    return None
