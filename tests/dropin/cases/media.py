"""Pictures, sound, documents."""
from cases.case import Case

CASES = {}
