"""From a fluorescence to molecules, where the calibration holds."""

from __future__ import annotations

import math

from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import Calibration, Converted, Model
from cytoflow_car.model.events import Channel


def refuse_other_settings(
    calibration: Calibration, channel: Channel, instrument: str
) -> tuple[str, ...]:
    """Refuse a channel that was not acquired as the beads were.

    Returns
    -------
    ``UNBOUND:voltage`` and ``UNBOUND:instrument`` where one of the files does not state it.

    Raises
    ------
    CalibrationError
        Another detector, voltage or cytometer.
    """
    bound = calibration.binding
    flags = []
    for what, beads, cells in (
        ("detector", bound.detector, channel.detector),
        ("voltage", bound.voltage, channel.voltage),
        ("instrument", bound.instrument or None, instrument or None),
    ):
        if beads is None or cells is None:
            flags.append(f"UNBOUND:{what}")
        elif beads != cells:
            raise CalibrationError(
                f"{what} {cells:g}" if isinstance(cells, float) else f"{what} {cells}",
                where=channel.detector,
                expected=f"{beads:g}, as the beads"
                if isinstance(beads, float)
                else f"{beads}, as the beads",
                advice="Acquire beads with the settings of the specimens",
            )
    return tuple(flags)


def convert(
    calibration: Calibration,
    mfi: float,
    *,
    channel: Channel,
    instrument: str,
    model: Model = "line",
) -> Converted:
    """Convert a MFI to antibodies bound per cell, or to the kit's unit where F:P is unknown.

    Parameters
    ----------
    mfi
        Linear, of the calibrated channel.
    channel, instrument
        Of the file that it comes from.
    model
        ``line``: ``10 ** (intercept + slope * log10(mfi))``; ``mef``: with autofluorescence.

    Returns
    -------
    Flagged EXTRAPOLATED outside the fitted peaks. `value` is None where `mfi` is not positive.
    A background is to be converted itself and subtracted afterwards.

    Raises
    ------
    CalibrationError
        Another detector, voltage or cytometer; `model` is ``mef`` and the kit has no blank bead.
    """
    flags = list(refuse_other_settings(calibration, channel, instrument))
    value = molecules(calibration, mfi, model=model)
    low, high = calibration.mfi_range
    if not low <= mfi <= high:
        flags.append("EXTRAPOLATED")
    if value is not None and calibration.channel.fp_ratio is not None:
        value /= calibration.channel.fp_ratio
    return Converted(value, calibration.converted_unit, tuple(flags))


def molecules(calibration: Calibration, mfi: float, *, model: Model = "line") -> float | None:
    """Return what a fit makes of a MFI, in the kit's unit; None of one that is not positive.

    Raises
    ------
    CalibrationError
        `model` is ``mef`` and there is no such fit.
    """
    if model == "mef" and calibration.mef is None:
        raise CalibrationError(
            "the fit with autofluorescence is missing",
            where=f"kit {calibration.kit.name}",
            expected="a kit with a blank bead (level 0) whose MFI is positive",
            advice="Use the line",
        )
    if mfi <= 0:
        return None
    if model == "mef" and calibration.mef is not None:
        fit = calibration.mef
        value = math.exp(fit.slope * math.log(mfi) + fit.intercept) - fit.autofluorescence
        return value
    line = calibration.line
    return float(10.0 ** (line.intercept + line.slope * math.log10(mfi)))
