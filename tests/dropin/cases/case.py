"""What a case is."""
from dataclasses import dataclass, field
from enum import Enum


class Weight(Enum):
    """LIGHT cases always run; HEAVY ones take long or need large packages, and run on demand."""
    LIGHT = "light"
    HEAVY = "heavy"


@dataclass
class Case:
    """One script for bash, which uses real programs and prints what they computed.

    `needs` are the programs or files without which it is skipped; it is skipped as well when the
    plain run ends with 77 after saying why, where what it needs (tracing, say) is forbidden.
    `normalise` are pairs of an expression and what replaces it in the output of both runs.
    `timeout` is in seconds and for each of the two runs. A run that is started as root continues
    as `user` if one is named."""
    needs: list
    script: str
    normalise: list = field(default_factory=list)
    timeout: int = 60
    weight: Weight = Weight.LIGHT
    user: str = ""


PYTHON = "/usr/bin/python3"
HEXADECIMAL = (r"0x[0-9a-f]+", "0x*")
