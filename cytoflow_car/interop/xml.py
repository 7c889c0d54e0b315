"""XML of other programs is untrusted input."""

from __future__ import annotations

import io
from pathlib import Path

from cytoflow_car.errors import InteropError


def read_xml(path: Path) -> io.BytesIO:
    """Return the content of an XML file that declares nothing of its own.

    Raises
    ------
    InteropError
        It cannot be opened, or declares a document type: entities may stand for other files, or
        for more text than fits into memory.
    """
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise InteropError(f"cannot be opened ({fault.strerror})", where=path.name) from fault
    # Also in an encoding of two bytes a sign.
    if b"<!DOCTYPE" in content.replace(b"\0", b"").upper():
        raise InteropError(
            "a document type is declared",
            where=path.name,
            expected="XML without a DOCTYPE",
            advice="Save the file again from the program that made it",
        )
    return io.BytesIO(content)
