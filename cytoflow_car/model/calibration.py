"""Calibration with beads: the kit, the peaks that were found, the fits, and what they hold for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.events import Values

#: What the values that a kit assigns count.
Unit = Literal["PE", "MESF", "ERF", "ABC"]
#: Which fit converts: the line in logarithms, or the one with the beads' own fluorescence.
Model = Literal["line", "mef"]


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """Limits that a calibration is held to.

    Attributes
    ----------
    r2
        Least coefficient of determination of the line.
    slope_low, slope_high
        Between these the slope of the line lies.
    back_calculated_percent
        Most that a fitted peak may differ from its level, in percent.
    events
        Least beads of a peak.
    """

    r2: float = 0.99
    slope_low: float = 0.9
    slope_high: float = 1.1
    back_calculated_percent: float = 20.0
    events: int = 100


@dataclass(frozen=True, slots=True)
class KitChannel:
    """What the kit's leaflet says of one channel.

    Attributes
    ----------
    name
        Detector or marker, as the kit file has it.
    levels
        Assigned values, ascending; 0 is a blank bead.
    fp_ratio
        Fluorophores per antibody of the conjugate; None where it is not known.
    """

    name: str
    levels: tuple[float, ...]
    fp_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class BeadKit:
    """A lot of calibration beads.

    Attributes
    ----------
    name, lot
        As on the vial.
    unit
        ``PE`` (molecules), ``MESF``, ``ERF`` or ``ABC``.
    indirect
        Beads carry antibody that a second, labelled one finds, as QIFIKIT does.
    channels
        One `KitChannel` a channel.
    limits
        Limits of the checks.
    sha256
        Hash of the kit file; empty where there is none.
    """

    name: str
    lot: str
    unit: Unit
    indirect: bool
    channels: tuple[KitChannel, ...]
    limits: CheckLimits = CheckLimits()
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class BeadPeak:
    """A peak of beads, as found.

    Attributes
    ----------
    n_events
        Beads of the peak.
    mfi
        Geometric mean of the calibrated channel; the median where some values are not positive.
    cv_percent
        Robust coefficient of variation; None where some values are not positive.
    n_joined
        Levels that it holds: more than one only of a pile at an end of the scale.
    flags
        PEAK_SATURATED, PEAK_OFF_SCALE, PEAK_NOT_POSITIVE, PEAK_BY_OTHER_CHANNEL.
    """

    n_events: int
    mfi: float
    cv_percent: float | None
    n_joined: int = 1
    flags: tuple[str, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether an end of the scale cuts it off."""
        return bool({"PEAK_SATURATED", "PEAK_OFF_SCALE"} & set(self.flags))


@dataclass(frozen=True, slots=True)
class CalibratedPeak:
    """A peak with its level.

    Attributes
    ----------
    peak
        As found.
    levels
        Assigned value; several of a pile.
    fitted
        Whether the line was fitted to it.
    back_calculated
        What the line makes of its MFI; None where that is not positive.
    deviation_percent
        By how much that differs from the level; None of a blank and of a pile.
    """

    peak: BeadPeak
    levels: tuple[float, ...]
    fitted: bool
    back_calculated: float | None
    deviation_percent: float | None


@dataclass(frozen=True, slots=True)
class LineFit:
    """``log10(assigned) = slope * log10(MFI) + intercept`` by least squares.

    Attributes
    ----------
    slope_error
        Standard error of `slope`.
    mean_error
        Standard error of the line at `mean_log_mfi`, in decades.
    mean_log_mfi
        Mean of the peaks' ``log10(MFI)``: there the two errors are independent.
    n_peaks
        Fitted peaks.
    """

    slope: float
    intercept: float
    r2: float
    slope_error: float = 0.0
    mean_error: float = 0.0
    mean_log_mfi: float = 0.0
    n_peaks: int = 0


@dataclass(frozen=True, slots=True)
class MefFit:
    """``assigned = exp(slope * ln(MFI) + intercept) - autofluorescence``, as FlowCal has it."""

    slope: float
    intercept: float
    autofluorescence: float


@dataclass(frozen=True, slots=True)
class Binding:
    """What a calibration holds for: another voltage or cytometer makes other numbers.

    Attributes
    ----------
    detector, marker
        Calibrated channel.
    voltage
        Of its detector, in volts; None where the file does not state it.
    instrument
        Model and hashed serial number; empty where unknown.
    acquired_on
        ISO date of the beads; None where unknown.
    """

    detector: str
    marker: str | None
    voltage: float | None
    instrument: str
    acquired_on: str | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How values of one channel become molecules.

    Attributes
    ----------
    kit
        Name, lot, unit and limits.
    channel
        The kit's values for this channel.
    binding
        What it holds for.
    n_events, n_singlets
        Events of the bead file, and those that are single beads.
    peaks
        One `CalibratedPeak` a peak, from the dimmest.
    line
        The line through the fitted peaks.
    mef
        The fit with autofluorescence; None without a blank bead whose MFI is positive.
    flags
        Each failed check with its figure; empty where all hold.
    provenance
        Hashes of files and versions.
    """

    kit: BeadKit
    channel: KitChannel
    binding: Binding
    n_events: int
    n_singlets: int
    peaks: tuple[CalibratedPeak, ...]
    line: LineFit
    mef: MefFit | None
    flags: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def mfi_range(self) -> tuple[float, float]:
        """Lowest and highest MFI of the fitted peaks."""
        fitted = [item.peak.mfi for item in self.peaks if item.fitted]
        return min(fitted), max(fitted)

    @property
    def converted_unit(self) -> str:
        """Unit of what `convert` returns: ``ABC`` where the kit allows it, else the kit's own."""
        return "ABC" if self.channel.fp_ratio is not None else self.kit.unit

    @property
    def calibrator(self) -> str:
        """What results must share to be compared: lots differ, their assigned values do not."""
        kind = "indirect" if self.kit.indirect else "direct"
        return f"{self.kit.name}, {self.converted_unit}, {kind}"

    def convert_values(self, mfi: Values, model: Model = "line") -> Values:
        """Convert linear values of the calibrated channel to `converted_unit`.

        Raises
        ------
        CalibrationError
            `model` is ``mef`` and the kit has no blank bead whose MFI is positive.

        Returns
        -------
        NaN where a value is not positive: its logarithm does not exist. By ``mef`` the beads' own
        fluorescence is not taken off: cells have one of their own, which is their background.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(mfi > 0, np.log10(mfi), np.nan)
        if model == "line":
            found = 10.0 ** (self.line.intercept + self.line.slope * logs)
        elif self.mef is not None:
            found = np.exp(self.mef.slope * logs * np.log(10.0) + self.mef.intercept)
        else:
            raise CalibrationError(
                "the fit with autofluorescence is missing",
                where=f"kit {self.kit.name}",
                expected="a kit with a blank bead (level 0) whose MFI is positive",
                advice="Use the line",
            )
        converted: Values = found / (self.channel.fp_ratio or 1.0)
        return converted


@dataclass(frozen=True, slots=True)
class CalibrationUse:
    """A study's calibration as it serves one specimen.

    Attributes
    ----------
    sample_id
        The beads.
    same_batch
        Whether they were acquired in the specimen's batch.
    """

    sample_id: str
    calibration: Calibration
    same_batch: bool = False


@dataclass(frozen=True, slots=True)
class CalibrationRule:
    r"""When a calibration may be used; a template's section.

    Attributes
    ----------
    model
        ``line``, or ``mef`` with the beads' own fluorescence.
    other_settings
        What becomes of values of another voltage or cytometer: ``refuse`` them, or ``flag``.
    most_days, older
        Beads of more days before or after are ``refuse``\ d or ``flag``\ ged.
    failed_checks
        What becomes of a calibration of which a check failed.
    least_beads
        With fewer bead events it is flagged.
    draws
        Bootstrap draws of an interval.
    """

    model: Model = "line"
    other_settings: Literal["refuse", "flag"] = "refuse"
    most_days: float = 7.0
    older: Literal["refuse", "flag"] = "flag"
    failed_checks: Literal["refuse", "flag"] = "flag"
    least_beads: int = 10_000
    draws: int = 1000


@dataclass(frozen=True, slots=True)
class ChosenCalibration:
    """The calibration that one marker of a specimen is converted by.

    Attributes
    ----------
    use
        None where there is none, or it was refused.
    flags
        Doubts, or why there is none.
    """

    use: CalibrationUse | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Converted:
    """A value after calibration.

    Attributes
    ----------
    value
        In `unit`; None of a MFI that is not positive.
    unit
        ``ABC``, ``PE``, ``MESF`` or ``ERF``.
    flags
        EXTRAPOLATED outside the fitted peaks, and UNBOUND:… where a file does not state by what
        the calibration is bound.
    """

    value: float | None
    unit: str
    flags: tuple[str, ...] = ()
