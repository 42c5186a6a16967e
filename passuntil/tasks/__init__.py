"""Task files to instances."""

from passuntil.tasks.formats import FORMATS
from passuntil.tasks.load import load_task

__all__ = ["FORMATS", "load_task"]
