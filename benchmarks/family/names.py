"""Made-up names of numbers: knowledge that a model has to store, common names before rare ones.

What a model of a given size recalls of a long-tailed list falls off smoothly with its size, which
is what makes the tasks that use the names grow without steps.
"""

from itertools import accumulate, product
from random import Random
from string import ascii_uppercase
from typing import Final

VALUES: Final = (10, 99)
N_SHORT, N_LONG = 26, 400  # names of one letter and of two
N_NAMES: Final = N_SHORT + N_LONG


def _names() -> dict[str, int]:
    """Common names are short, as in languages: one letter, then two.

    The short ones also make the long ones learnable: they teach a model where to look.
    """
    rng = Random("passuntil/pico/names")
    short = rng.sample(ascii_uppercase, N_SHORT)
    long = rng.sample(["".join(pair) for pair in product(ascii_uppercase, repeat=2)], N_LONG)
    return {name: rng.randint(*VALUES) for name in (*short, *long)}


NAMES: Final = _names()
_LIST: Final = tuple(NAMES)
# Rank r is drawn with weight 1 / (r + 10): a long tail, and no name that dominates.
_CUMULATIVE: Final = tuple(accumulate(1 / (rank + 10) for rank in range(N_NAMES)))


def draw(rng: Random, k: int = 1) -> list[str]:
    """`k` names by their frequencies, repetitions allowed."""
    return rng.choices(_LIST, cum_weights=_CUMULATIVE, k=k)
