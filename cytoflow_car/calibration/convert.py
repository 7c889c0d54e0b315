"""From a fluorescence to molecules, where the calibration holds."""

from __future__ import annotations

import math

import numpy as np

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
    if instrument and "#" not in instrument:
        # Two cytometers of one model cannot be told without their serial numbers.
        flags.append("UNBOUND:serial")
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
        ``line``: ``10 ** (intercept + slope * log10(mfi))``; ``mef``: the line of a fit that allows
        for the beads' own fluorescence, which is not taken off cells.

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
    low, high = calibration.mfi_range
    if not low <= mfi <= high:
        flags.append("EXTRAPOLATED")
    value = float(calibration.convert_values(np.array([mfi]), model)[0])
    return Converted(None if math.isnan(value) else value, calibration.converted_unit, tuple(flags))
