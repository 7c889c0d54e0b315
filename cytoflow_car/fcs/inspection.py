"""What a file holds, to be shown to a person: data sets, repairs, faults, keywords."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import numpy as np

from cytoflow_car.errors import FcsError
from cytoflow_car.fcs.reader import FileHeader, read_fcs, read_headers, read_keywords

#: Flags of what was put right; the others tell of what was left as it is.
_REPAIRS = frozenset(
    {
        "header_data_offset", "text_begin", "text_end", "text_displaced", "text_data_offset",
        "next_dataset_offset", "mode_missing", "detector_missing", "time_joined", "bits_ignored",
        "bits_unpacked", "range_unreadable", "amplification_missing", "amplification_ignored",
        "amplification_offset", "gain_ignored", "gain_unreadable", "data_end_off_by_one",
        "data_offsets_differ", "data_located", "tot_mismatch", "tot_missing",
        "stains_from_dataset", "spillover_percent",
    }
)  # fmt: skip
#: Keywords whose values tell of the instrument and of the file, and never of a person.
_TECHNICAL = re.compile(
    r"\$(P\d{1,4}(N|S|B|R|E|G|V|F|L|O|T|P|D|DATATYPE|TYPE|DISPLAY|CALIBRATION|ANALYTE|TAG|DET)"
    r"|PAR|TOT|MODE|DATATYPE|BYTEORD|NEXTDATA|(BEGIN|END)(DATA|STEXT|ANALYSIS)|TIMESTEP"
    r"|SPILL(OVER)?|COMP|TR|ABRT|LOST|CYT|SYS|UNICODE|VOL|FLOWRATE|CSMODE|CSTOT)"
    r"|SPILL(OVER)?|TIMETICKS|APPLY COMPENSATION|THRESHOLD|CREATOR"
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds.

    Attributes
    ----------
    header
        Of the data set that is looked at.
    others
        Headers of the other data sets, or why one cannot be read, by number.
    repairs
        What was put right.
    faults
        What departs from the standard or is doubtful, and was left as it is.
    keywords
        Every keyword with its value; None where the value could name a person or a day.
    """

    header: FileHeader
    others: dict[int, FileHeader | FcsError]
    repairs: tuple[str, ...]
    faults: tuple[str, ...]
    keywords: dict[str, str | None]


def inspect_file(path: str | os.PathLike[str], dataset: int | None = None) -> Inspection:
    """Read a file and tell what is in it.

    Its events are read, too: values that are not finite and Time that runs backwards are faults.

    Parameters and errors as in `read_fcs`.
    """
    sample = read_fcs(path, dataset)
    headers = dict(enumerate(read_headers(path), 1))
    faults = [flag for flag in sample.flags if not is_repair(flag)]
    not_finite = int((~np.isfinite(sample.events.values)).any(axis=1).sum())
    if not_finite:
        faults.append(f"not_finite: {not_finite} events hold what is no number; no gate takes them")
    if sample.time_channel is not None:
        time = sample.events.column(sample.time_channel)
        with np.errstate(invalid="ignore"):
            backward = int((np.diff(time) < 0).sum())
        if backward:
            faults.append(f"time_backward: in {backward} of {time.size - 1} steps")
    header = headers.pop(sample.dataset)
    assert not isinstance(header, FcsError)
    return Inspection(
        header=header,
        others=headers,
        repairs=tuple(flag for flag in sample.flags if is_repair(flag)),
        faults=tuple(faults),
        keywords={
            key: value if _TECHNICAL.fullmatch(key) else None
            for key, value in read_keywords(path, header.dataset).items()
        },
    )


def is_repair(flag: str) -> bool:
    """Whether a flag tells of what was put right."""
    return flag.partition(":")[0] in _REPAIRS
