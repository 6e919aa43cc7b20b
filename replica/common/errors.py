"""The one error a user may see: a line that says what is wrong, where, and what would be right."""


class UserError(Exception):
    """A mistake in the input. Its message is shown as it stands, without a traceback."""
