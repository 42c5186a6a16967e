"""The family's tokenizer: 128 tokens, printable ASCII plus the pieces that code is made of."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
SPECIAL: Final = (PAD, BOS, EOS)
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2

# Longest first: the split is "the first alternative that matches", so order is the rule.
PIECES: Final = tuple(
    sorted(
        (
            "def f(xs):\n    # ",
            "    return ",
            " for x in ",
            " if x",
            "xs",
            "[x",
            "[-x",
            "sorted(",
            "[::-1]",
            "[::",
            "[:-",
            "[-",
            "[:",
            ":]",
            "set(",
            "sum(",
            "len(",
            "abs(x)",
            "max(",
            "min(",
            "==0",
            "!=",
            "//",
            ".count(",
            "x,",
            "Q: ",
            "S: ",
            "C: ",
            "\nA: ",
        ),
        key=lambda piece: (-len(piece), piece),
    )
)
CHARACTERS: Final = ("\n", *(chr(code) for code in range(32, 127)))
VOCABULARY: Final = (*SPECIAL, *CHARACTERS, *PIECES)
VOCABULARY_SIZE: Final = len(VOCABULARY)
MAX_POSITIONS: Final = 128

_PATTERN: Final = "|".join(re.escape(piece) for piece in PIECES) + r"|[\x20-\x7e\n]"
_SPLIT: Final = re.compile(_PATTERN)
_IDS: Final = {token: index for index, token in enumerate(VOCABULARY)}


def encode(text: str) -> list[int]:
    """Token ids of a text of the alphabet (printable ASCII and newline), without BOS."""
    pieces = _SPLIT.findall(text)
    if sum(map(len, pieces)) != len(text):
        raise ValueError(
            f"the text {text!r} has a character outside printable ASCII and newline; remove it"
        )
    return [_IDS[piece] for piece in pieces]


def decode(ids: Sequence[int]) -> str:
    """The text of token ids; special tokens are left out."""
    return "".join(VOCABULARY[index] for index in ids if index >= len(SPECIAL))


def save(folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` as transformers and vLLM read them."""
    tokenizer = Tokenizer(models.WordLevel(vocab=dict(_IDS), unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, BOS_ID)]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_POSITIONS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
