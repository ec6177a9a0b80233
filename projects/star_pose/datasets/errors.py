"""The errors that data sets raise, each with what the user can do about it."""

__all__ = ['DataError', 'DataNotFoundError', 'FrameSizeError', 'LabelError', 'TooManySkipsError']


class DataError(Exception):
    """Base of everything that is wrong with a user's data; its text is meant for the user."""


class DataNotFoundError(DataError, FileNotFoundError):
    """A file or folder that a config names is not there."""

    @classmethod
    def describe(
        cls, what: str, path: str, layout: str = '', remedies: tuple[str, ...] = ()
    ) -> 'DataNotFoundError':
        """Say what was looked for, where, which layout is expected and how to go on.

        Args:
            what: What was looked for, e.g. ``'annotation file'``.
            path: Where it was looked for.
            layout: The expected folder layout, lines of text.
            remedies: Ways to go on, one sentence or command each.

        Returns:
            The error, to be raised by the caller.
        """
        lines = [f'{what} not found: {path or "(an empty path)"}']
        if layout:
            lines += ['Expected layout:', *(f'    {line}' for line in layout.strip().splitlines())]
        if remedies:
            lines += ['To go on:', *(f'  - {remedy}' for remedy in remedies)]
        return cls('\n'.join(lines))


class LabelError(DataError, ValueError):
    """A label file or one entry of it cannot be used; the text names file, entry and value."""


class FrameSizeError(DataError, ValueError):
    """Frames of one clip differ in size, so that no one crop fits all of them."""


class TooManySkipsError(DataError, RuntimeError):
    """More samples were skipped than ``max_skips`` allows: the data is broken, not a sample."""
