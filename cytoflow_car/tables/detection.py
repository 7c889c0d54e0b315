"""Rows of a study of detection; the columns are told in `tables.columns`."""

from __future__ import annotations

from dataclasses import dataclass

#: What is diluted: the patient's blasts, and normal B cells in their place.
BLASTS, CONTROL = "blasts", "control"
#: What the row of all files together is called.
POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class DilutionRun:
    """One mixture, and what was found in it.

    Attributes
    ----------
    sample_id
        Name of the file without its ending.
    arm
        ``blasts`` or ``control``.
    level, repeat
        Share that was aimed at, and number of the run, from 1.
    n_events, n_spiked
        Events, and those of them that were mixed in.
    n_found, n_true
        Events called blasts, and those of them that were mixed in; None where nothing could be
        called.
    expected, blank, lod
        False positives that the method itself expects, its limit of blank and of detection.
    flags
        Doubts, and why nothing could be called.
    """

    sample_id: str
    arm: str
    level: float
    repeat: int
    n_events: int
    n_spiked: int
    n_found: int | None = None
    n_true: int | None = None
    expected: float | None = None
    blank: float | None = None
    lod: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """The runs of one file, arm and level; the columns of ``lod.csv``. None is unknown."""

    sample_id: str
    arm: str
    level: float
    repeats: int
    n_called: int = 0
    n_detected: int = 0
    n_events: int | None = None
    n_spiked: float | None = None
    found_mean: float | None = None
    found_sd: float | None = None
    cv_percent: float | None = None
    recall_mean: float | None = None
    recall_sd: float | None = None
    precision_mean: float | None = None
    precision_sd: float | None = None
    f1_mean: float | None = None
    f1_sd: float | None = None
    false_mean: float | None = None
    false_most: int | None = None
    false_expected: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectionLimits:
    """The limits of one file, or of all; the columns of ``limits.csv``. None is unknown."""

    sample_id: str
    blanks: int
    n_events: int | None
    lob: float | None
    lod_measured: float | None
    lod: float | None
    loq: float | None
    lob_percent: float | None
    lod_measured_percent: float | None
    lod_percent: float | None
    loq_percent: float | None
    lod_of_method: float | None
    flags: tuple[str, ...] = ()
