"""Of several beads those nearest in time that hold for the specimen are taken; the rest is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_antigen import CHANNEL, CYTOMETER, beads

from cytoflow_car.calibration.choice import choose_calibration
from cytoflow_car.model.calibration import CalibrationRule, CalibrationUse, ChosenCalibration

SOUND = beads(13.0, np.random.default_rng(0))
ON = "2024-03-01"


def use(
    name: str, on: str | None = ON, *, same_batch: bool = False, **binding: object
) -> CalibrationUse:
    bound = replace(SOUND.binding, acquired_on=on, **binding)
    return CalibrationUse(name, replace(SOUND, binding=bound), same_batch)


def choose(*uses: CalibrationUse, rule: CalibrationRule | None = None) -> ChosenCalibration:
    return choose_calibration(uses, CHANNEL, CYTOMETER, ON, rule or CalibrationRule())


def chosen(found: ChosenCalibration) -> str:
    return "" if found.use is None else found.use.sample_id


def test_the_nearest_beads_are_taken_and_of_one_day_those_of_the_batch() -> None:
    early, late = use("early", "2024-02-27"), use("late", "2024-03-02")
    assert chosen(choose(early, late)) == "late"
    own, other = use("own", same_batch=True), use("another")
    assert chosen(choose(other, own, late)) == "own"
    assert choose(other, own, late).flags == ()


def test_beads_that_fail_a_check_come_after_sound_ones_of_the_day() -> None:
    poor = use("a_poor")
    poor = replace(poor, calibration=replace(poor.calibration, flags=("POOR_FIT:r2 0.9",)))
    assert chosen(choose(poor, use("b_sound"))) == "b_sound"
    assert choose(poor).flags == ("CALIBRATION_CHECK:POOR_FIT",)
    strict = CalibrationRule(failed_checks="refuse")
    later = use("later", "2024-03-04")
    # Refused ones do not keep the next from being tried.
    assert chosen(choose(poor, later, rule=strict)) == "later"
    assert chosen(choose(poor, rule=strict)) == ""


@pytest.mark.parametrize(
    ("binding", "told"),
    [
        ({"voltage": 480.0}, "voltage 500 not 480"),
        ({"instrument": "Other #11111111"}, f"instrument {CYTOMETER} not Other #11111111"),
    ],
)
def test_other_settings_are_refused_or_flagged(binding: dict[str, object], told: str) -> None:
    other = use("other", **binding)
    flag = f"CALIBRATION_OF_OTHER_SETTINGS:{told}"
    assert choose(other) == ChosenCalibration(None, (flag,))
    lenient = CalibrationRule(other_settings="flag")
    found = choose(other, rule=lenient)
    assert chosen(found) == "other" and flag in found.flags
    # What fits is taken, even if it is further away.
    assert chosen(choose(other, use("fits", "2024-03-05"), rule=lenient)) == "fits"


def test_another_detector_is_no_calibration() -> None:
    assert choose(use("apc", detector="APC-A")) == ChosenCalibration(None, ("NO_CALIBRATION",))


def test_beads_that_carry_another_conjugate_are_refused() -> None:
    own = use("own")
    named = {
        name: replace(
            own,
            calibration=replace(SOUND, channel=replace(SOUND.channel, name=name)),
        )
        for name in ("CD22", "CD22 PE", "CD19")
    }
    assert chosen(choose(named["CD22"])) == chosen(choose(named["CD22 PE"])) == "own"
    found = choose(named["CD19"])
    assert found.flags == ("CALIBRATION_OF_OTHER_SETTINGS:stain CD22 PE not CD19",)


def test_old_beads_are_flagged_or_refused() -> None:
    old = use("old", "2024-02-20")
    assert choose(old).flags == ("CALIBRATION_OLD:10 days",)
    assert chosen(choose(old, rule=CalibrationRule(older="refuse"))) == ""
    assert choose(use("week", "2024-02-23")).flags == ()


def test_beads_without_a_date_rest_on_their_batch() -> None:
    undated = use("undated", None)
    assert choose(undated).flags == ("CALIBRATION_UNDATED",)
    strict = CalibrationRule(older="refuse")
    assert chosen(choose(undated, rule=strict)) == ""
    assert chosen(choose(replace(undated, same_batch=True), rule=strict)) == "undated"


def test_few_beads_are_flagged() -> None:
    few = use("few")
    few = replace(few, calibration=replace(few.calibration, n_events=9000))
    assert choose(few).flags == ("FEW_BEAD_EVENTS:9000",)


def test_a_kit_without_a_blank_cannot_take_off_the_beads_own_light() -> None:
    found = choose(use("own"), rule=CalibrationRule(model="mef"))
    assert found == ChosenCalibration(None, ("CALIBRATION_WITHOUT_BLANK",))


def test_two_kits_of_one_day_are_told() -> None:
    other = use("z_other")
    kit = replace(SOUND.kit, name="Other beads")
    other = replace(other, calibration=replace(other.calibration, kit=kit))
    found = choose(use("own"), other)
    assert chosen(found) == "own" and found.flags == ("SEVERAL_CALIBRATORS",)


def test_a_cytometer_without_a_serial_number_is_told() -> None:
    own = use("own", instrument="FACSLyric")
    found = choose_calibration([own], CHANNEL, "FACSLyric", ON, CalibrationRule())
    assert found.flags == ("UNBOUND:serial",)
