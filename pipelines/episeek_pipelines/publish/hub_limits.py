"""The limits of the Hub's dataset repositories, from the Hub's documentation."""

from typing import Final

MAX_OPERATIONS_PER_COMMIT: Final = 100
"""Largest number of files that one commit should add, replace and delete together, as the Hub's documentation recommends."""

MAX_FOLDER_ENTRIES: Final = 10_000
"""Largest number of files and folders directly in one folder."""

MAX_REPOSITORY_FILES: Final = 100_000
"""Largest number of files in one repository."""

MAX_TITLE_LENGTH: Final = 200
"""Largest number of characters in the title of a pull request."""
