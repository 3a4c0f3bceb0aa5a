"""The two ways in which deqlab speaks to its user about her input."""


class InputError(ValueError):
    """An input cannot be used; the message is one line that names the culprit and what would be right."""


class DeqlabWarning(UserWarning):
    """Work goes on, but the user should know how (a missing header, a fallback that was taken)."""
