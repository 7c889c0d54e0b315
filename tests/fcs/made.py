"""FCS files made byte by byte, so that each test says what is in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def keywords_of(
    values: np.ndarray[Any, Any], detectors: Sequence[str], data_type: str = "F", bits: int = 32
) -> dict[str, str]:
    """Return what TEXT must say of events (n_events, n_channels), but for the offsets."""
    keywords = {
        "$MODE": "L",
        "$DATATYPE": data_type,
        "$BYTEORD": "1,2,3,4",
        "$PAR": str(len(detectors)),
        "$TOT": str(len(values)),
        "$NEXTDATA": "0",
    }
    for number, detector in enumerate(detectors, 1):
        keywords |= {
            f"$P{number}N": detector,
            f"$P{number}B": str(bits),
            f"$P{number}R": "1024",
            f"$P{number}E": "0,0",
        }
    return keywords


def spell(keywords: Mapping[str, str], delimiter: str = "/", last: bool = True) -> bytes:
    """Spell a TEXT segment; delimiters inside values are doubled."""
    words = [
        word
        for key, value in keywords.items()
        for word in (key, value.replace(delimiter, 2 * delimiter))
    ]
    text = delimiter + delimiter.join(words) + (delimiter if last else "")
    return text.encode("utf-8")


def assemble(
    text: bytes,
    data: bytes,
    *,
    version: str = "FCS3.1",
    header_data: tuple[int, int] | None = None,
    header_text_end: int | None = None,
) -> bytes:
    """Put HEADER, TEXT (from byte 58) and DATA together; offsets are right unless given."""
    begin = 58 + len(text)
    first, last = header_data or (begin, begin + len(data) - 1)
    end = 57 + len(text) if header_text_end is None else header_text_end
    offsets = "".join(f"{offset:>8}" for offset in (58, end, first, last, 0, 0))
    return f"{version}    {offsets}".encode("ascii") + text + data


def write(path: Path, content: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content)
    return path


def with_offsets(keywords: Mapping[str, str], n_bytes: int, shift: int = 0) -> bytes:
    """Spell TEXT with right $BEGINDATA and $ENDDATA (`shift` added to the end)."""
    blank = {"$BEGINDATA": "0" * 12, "$ENDDATA": "0" * 12}
    begin = 58 + len(spell({**keywords, **blank}))
    stated = {"$BEGINDATA": f"{begin:012}", "$ENDDATA": f"{begin + n_bytes - 1 + shift:012}"}
    return spell({**keywords, **stated})


def small(**changed: str | None) -> bytes:
    """Return a float file of 6 events × 2 channels; keywords (without $) changed or dropped."""
    values = small_values()
    keywords: dict[str, str] = keywords_of(values, ["FSC-A", "CD19-A"])
    for key, value in changed.items():
        if value is None:
            del keywords[f"${key}"]
        else:
            keywords[f"${key}"] = value
    return assemble(spell(keywords), values.tobytes())


def small_values() -> np.ndarray[Any, Any]:
    """Return the events of `small`."""
    return (np.arange(12, dtype="<f4") * 1.5).reshape(6, 2)
