"""What happened to a patient stands on one clock."""

from __future__ import annotations

import math

import pytest

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.persistence import Persistence
from cytoflow_car.outcome.recovery import Recovery, RecoveryState
from cytoflow_car.outcome.timeline import InfusionDay, Stay, lay_timeline

FIRST, SECOND = InfusionDay(1, 0.0, "CD19"), InfusionDay(2, 50.0, "CD22")


def test_persistence_is_counted_from_the_origin() -> None:
    row = lay_timeline(
        "P1",
        200.0,
        [SECOND, FIRST],
        {1: Persistence("interval", 28.0, 45.0), 2: Persistence("interval", 60.0, None)},
        {"B cells": Recovery("bm_2_percent", RecoveryState.APLASIA, after=120.0)},
        relapse=180.0,
    )
    assert (FIRST, SECOND) == row.infusions
    assert (Stay(FIRST, 28.0, 45.0), Stay(SECOND, 110.0, None)) == row.stays
    assert 120.0 == row.recoveries["B cells"].after
    assert (180.0, None) == (row.relapse, row.death)


def test_cells_that_were_never_looked_for_have_no_stay() -> None:
    nothing = Persistence("interval", None, None, ("NO_RESULTS",))
    assert () == lay_timeline("P1", 9.0, [FIRST], {1: nothing}, {}).stays
    never = Persistence("interval", None, 14.0, ("NEVER_DETECTED",))
    assert (Stay(FIRST, None, 14.0),) == lay_timeline("P1", 20.0, [FIRST], {1: never}, {}).stays


@pytest.mark.parametrize("day", [10.5, math.nan])
def test_an_event_after_the_end_of_follow_up_is_refused(day: float) -> None:
    with pytest.raises(OutcomeError, match="P1: death on day"):
        lay_timeline("P1", 10.0, [FIRST], {}, {}, death=day)


def test_persistence_after_an_unknown_infusion_is_refused() -> None:
    with pytest.raises(OutcomeError, match="after infusion 2"):
        lay_timeline("P1", 10.0, [FIRST], {2: Persistence("interval", 1.0, None)}, {})
    with pytest.raises(OutcomeError, match="infusion 1 on two days"):
        lay_timeline("P1", 10.0, [FIRST, InfusionDay(1, 2.0)], {}, {})
