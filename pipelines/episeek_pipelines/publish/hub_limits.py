"""The limits of the Hub's dataset repositories."""

from typing import Final

MAX_OPERATIONS_PER_COMMIT: Final = 100
"""Files added, replaced and deleted by one commit: the Hub's advice."""

MAX_FOLDER_ENTRIES: Final = 10_000
"""Files and folders in one folder."""

MAX_REPOSITORY_FILES: Final = 100_000

MAX_TITLE_LENGTH: Final = 200
"""Characters in the title of a pull request."""
