"""B-cell aplasia and its end, and what else is followed by crossing a threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.series import SeriesPoint, break_flags, breaks_of, known_points


@dataclass(frozen=True, slots=True)
class RecoveryDefinition:
    """What counts as aplasia.

    Attributes
    ----------
    name
        By which results say what was in force.
    specimen
        PB or BM.
    unit
        Of the values and of `threshold`.
    threshold
        Values below it are aplasia.
    threshold_is_aplasia
        The threshold itself still is, too.
    consecutive
        So many positive results in a row confirm a recovery.
    """

    name: str
    specimen: str
    unit: str
    threshold: float
    threshold_is_aplasia: bool = False
    consecutive: int = 2

    def recovered(self, point: SeriesPoint) -> bool | None:
        """Tell whether one result lies above aplasia; None where its limits leave that open."""
        if point.quantified and point.value is not None:
            above = point.value > self.threshold
            return above or (point.value == self.threshold and not self.threshold_is_aplasia)
        # What is not even detected lies below its LOD.
        unseen = point.status in (Status.NOT_DETECTED, Status.DETECTED_BELOW_LOD)
        limit = point.lod if unseen and point.lod is not None else point.loq
        return False if limit is not None and limit <= self.threshold else None


#: Definitions by name. Percentages of the marrow need the denominator that the study names.
DEFINITIONS = {
    item.name: item
    for item in (
        RecoveryDefinition("bm_2_percent", "BM", "%", 2.0, threshold_is_aplasia=True),
        RecoveryDefinition("pb_3_percent_of_lymphocytes", "PB", "%", 3.0),
        RecoveryDefinition("pb_50_per_ul", "PB", "cells/uL", 50.0),
    )
}


class RecoveryState(StrEnum):
    """What a series says of recovery at its end."""

    APLASIA = "APLASIA"
    UNCONFIRMED = "UNCONFIRMED"
    RECOVERED = "RECOVERED"
    NEVER_APLASTIC = "NEVER_APLASTIC"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Recovery:
    """When aplasia ended, and when that was known.

    Attributes
    ----------
    definition
        Name of the definition in force.
    after, by
        Recovery lies after the last aplastic result and not later than the first positive of the
        run. `after` is None where no result was aplastic; `by` is None without a positive one after
        it.
    known_on
        Day of the result that confirmed it; None without one. Exposure to recovery in
        time-dependent analyses begins here, not in the interval.
    flags
        LOST_AGAIN (aplastic results after a confirmed recovery), TRANSIENT (a positive result that
        the next one did not confirm), SERIES_BREAK, ``:`` and what changed from then on.
    changes
        Day, and whether recovered: each confirmed recovery, and each loss of one, when it was
        known.
    """

    definition: str
    state: RecoveryState
    after: float | None = None
    by: float | None = None
    known_on: float | None = None
    flags: tuple[str, ...] = ()
    changes: tuple[tuple[float, bool], ...] = ()


def find_recovery(
    points: Iterable[SeriesPoint], definition: RecoveryDefinition, *, lost_on: float | None = None
) -> Recovery:
    """Find the first confirmed recovery of one series, and what became of it.

    Only what was lost comes back: positive results before the first aplastic one are no recovery.

    Parameters
    ----------
    points
        Of one series, in any order; results up to day 0, and those that cannot tell aplasia from
        recovery, are passed over.
    lost_on
        Day up to 0 on which it was gone already; None where it is lost after day 0 at the earliest.

    Raises
    ------
    OutcomeError
        Two results on the same day, or a quantified one without value.
    """
    told = [
        (point, recovered)
        for point in known_points(points)
        if point.day > 0 and (recovered := definition.recovered(point)) is not None
    ]
    after = lost_on
    run: list[float] = []
    found: Recovery | None = None
    changes: list[tuple[float, bool]] = []
    flags = []
    for point, recovered in told:
        back = bool(changes) and changes[-1][1]
        if not recovered:
            if back:
                changes.append((point.day, False))
                flags.append("LOST_AGAIN")
            elif run and found is None:
                flags.append("TRANSIENT")
            after, run = point.day, []
        elif after is not None and not back:
            run.append(point.day)
            if len(run) == definition.consecutive:
                changes.append((point.day, True))
                found = found or Recovery(
                    definition.name, RecoveryState.RECOVERED, after, run[0], point.day
                )
    if found is None:
        state = RecoveryState.APLASIA if after is not None else RecoveryState.UNKNOWN
        state = RecoveryState.NEVER_APLASTIC if told and after is None else state
        state = RecoveryState.UNCONFIRMED if run else state
        found = Recovery(definition.name, state, after, run[0] if run else None)
    if found.after is not None and found.by is not None:
        until = found.by if found.known_on is None else found.known_on
        flags += break_flags(breaks_of(point for point, _ in told), found.after, until)
    return replace(found, flags=tuple(dict.fromkeys(flags)), changes=tuple(changes))
