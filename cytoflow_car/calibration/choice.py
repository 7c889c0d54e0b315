"""Which of a study's calibrations holds for a channel of a specimen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from cytoflow_car.calibration.convert import refuse_other_settings
from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import (
    CalibrationRule,
    CalibrationUse,
    ChosenCalibration,
)
from cytoflow_car.model.events import Channel


def choose_calibration(
    uses: Sequence[CalibrationUse],
    channel: Channel,
    instrument: str,
    acquired_on: str | None,
    rule: CalibrationRule,
) -> ChosenCalibration:
    """Choose the beads nearest in time that were acquired as the specimen was.

    Parameters
    ----------
    uses
        Calibrations of the study that may serve the specimen.
    channel, instrument, acquired_on
        Of the specimen's file; the date as ISO, None where the file has none.

    Returns
    -------
    Beads of another voltage or cytometer are taken only where the rule says so and there are no
    others; of equally near ones those of the specimen's batch.
    """
    own = [use for use in uses if use.calibration.binding.detector == channel.detector]
    if not own:
        return ChosenCalibration(None, ("NO_CALIBRATION",))

    def rank(use: CalibrationUse) -> tuple[float, bool, bool, str]:
        days = _days_apart(use, acquired_on)
        return days, bool(use.calibration.flags), not use.same_batch, use.sample_id

    refusals: list[tuple[str, ...]] = []
    others: list[CalibrationUse] = []
    found: list[tuple[CalibrationUse, ChosenCalibration]] = []
    for use in sorted(own, key=rank):
        try:
            _refuse_other_stain(use, channel)
            flags = refuse_other_settings(use.calibration, channel, instrument)
        except CalibrationError as fault:
            refusals.append((f"CALIBRATION_OF_OTHER_SETTINGS:{_short(fault)}",))
            others.append(use)
            continue
        chosen = _hold_to_rule(use, flags, acquired_on, rule)
        if chosen.use is None:
            refusals.append(chosen.flags)
        else:
            found.append((use, chosen))
    if found:
        use, chosen = found[0]
        nearest = _days_apart(use, acquired_on)
        rivals = {
            item.calibration.calibrator
            for item, _ in found
            if _days_apart(item, acquired_on) == nearest
        }
        if len(rivals) > 1:
            return ChosenCalibration(chosen.use, (*chosen.flags, "SEVERAL_CALIBRATORS"))
        return chosen
    if others and rule.other_settings == "flag":
        return _hold_to_rule(others[0], refusals[0], acquired_on, rule)
    return ChosenCalibration(None, refusals[0])


def _refuse_other_stain(use: CalibrationUse, channel: Channel) -> None:
    """Refuse beads that carry another conjugate: their kit names a stain, not the detector."""
    name = use.calibration.channel.name
    stain = (channel.marker or "").lower()
    named = name.lower()
    if name != use.calibration.binding.detector and named not in (stain, stain.split(" ")[0]):
        raise CalibrationError(
            f"stain {channel.marker or 'unknown'}", expected=f"{name}, as the beads"
        )


def _hold_to_rule(
    use: CalibrationUse, flags: tuple[str, ...], acquired_on: str | None, rule: CalibrationRule
) -> ChosenCalibration:
    found = list(flags)
    refused = False
    days = _days_apart(use, acquired_on)
    if math.isinf(days):
        # Without dates only the sheet's batch says that they belong together.
        found.append("CALIBRATION_UNDATED")
        refused = rule.older == "refuse" and not use.same_batch
    elif days > rule.most_days:
        found.append(f"CALIBRATION_OLD:{days:g} days")
        refused = rule.older == "refuse"
    calibration = use.calibration
    if calibration.n_events < rule.least_beads:
        found.append(f"FEW_BEAD_EVENTS:{calibration.n_events}")
    failed = dict.fromkeys(flag.partition(":")[0] for flag in calibration.flags)
    found.extend(f"CALIBRATION_CHECK:{name}" for name in failed)
    refused = refused or (bool(failed) and rule.failed_checks == "refuse")
    if rule.model == "mef" and calibration.mef is None:
        found.append("CALIBRATION_WITHOUT_BLANK")
        refused = True
    return ChosenCalibration(None if refused else use, tuple(found))


def _days_apart(use: CalibrationUse, acquired_on: str | None) -> float:
    beads_on = use.calibration.binding.acquired_on
    if beads_on is None or acquired_on is None:
        return math.inf
    return float(abs((date.fromisoformat(beads_on) - date.fromisoformat(acquired_on)).days))


def _short(fault: CalibrationError) -> str:
    """Say of a refusal what differs, such as ``voltage 500``."""
    return f"{fault.problem} not {fault.expected.partition(',')[0]}"
