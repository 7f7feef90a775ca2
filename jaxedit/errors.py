"""Errors that are the user's to mend: shown as one clear message, without a traceback."""


class UserError(Exception):
    """Bad input or set-up. The message says what was wrong, where, and what to do.

    `jaxedit.main` and the `jaxedit` command print it and exit with code 2; as a library
    exception it propagates like any other.
    """


class PretrainedWeightsMissing(UserError):
    """Public weights that a metric, loss or network needs are not on this machine."""


class NonFiniteLoss(UserError):
    """Training met a NaN or an infinity; the message names step, phase and term."""
