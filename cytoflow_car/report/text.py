"""Text in pictures: one font that comes with Pillow, so that every machine draws the same."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import ImageFont

# The font holds ASCII and few signs beyond; these have a plain form that everybody reads.
_SIGNS = str.maketrans(
    {
        "×": "x",
        "µ": "u",
        "μ": "u",
        "–": "-",
        "—": "-",
        "−": "-",
        "≥": ">=",
        "≤": "<=",
        "→": "->",
        "\N{GREEK SMALL LETTER ALPHA}": "alpha",
        "β": "beta",
        "\N{GREEK SMALL LETTER GAMMA}": "gamma",
        "κ": "kappa",
        "λ": "lambda",
        "ß": "ss",
    }
)
_DRAWN_AS_IS = "±…·°"


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the picture font in a size in pixels."""
    chosen = ImageFont.load_default(size=size)
    assert isinstance(chosen, ImageFont.FreeTypeFont)
    return chosen


def printable(text: str) -> str:
    """Return text with every sign that the font lacks in a plain form, else ``?``."""
    plain = []
    for sign in unicodedata.normalize("NFC", text.translate(_SIGNS)):
        if sign in _DRAWN_AS_IS or " " <= sign <= "~":
            plain.append(sign)
        elif sign.isspace():
            plain.append(" ")
        else:
            letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
            plain.append(letters or "?")
    return "".join(plain)


def shorten(text: str, size: int, width: float) -> str:
    """Cut text at the end, with ``…``, so that it is at most `width` pixels wide."""
    text = printable(text)
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, size: int, width: float, most_lines: int) -> list[str]:
    """Break text between words into lines of at most `width` pixels; the last line is shortened."""
    words = printable(text).split()
    lines: list[str] = []
    while words and len(lines) < most_lines - 1:
        line = words.pop(0)
        while words and font(size).getlength(f"{line} {words[0]}") <= width:
            line += " " + words.pop(0)
        lines.append(shorten(line, size, width))
    return [*lines, shorten(" ".join(words), size, width)] if words else lines
