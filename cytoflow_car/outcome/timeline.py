"""What happened to each patient, on one clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.persistence import Persistence
from cytoflow_car.outcome.recovery import Recovery


@dataclass(frozen=True, slots=True)
class InfusionDay:
    """One infusion.

    Attributes
    ----------
    number
        1 for the first.
    day
        From the timeline's origin.
    car_target
        Antigen of the product; empty where unknown.
    """

    number: int
    day: float
    car_target: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """How long the cells of one infusion stayed, in days from the timeline's origin.

    Attributes
    ----------
    seen_to
        Last day of a result that detects them; None where none did.
    gone_by
        Day by which they had vanished; None where that is not known.
    """

    infusion: InfusionDay
    seen_to: float | None
    gone_by: float | None


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One patient, in days from the origin.

    Attributes
    ----------
    followed_to
        Last day on which something is known of the patient.
    recoveries
        By what recovered, such as ``B cells`` and ``immunoglobulin``.
    relapse, transplant, death
        None where it did not happen.
    """

    patient_id: str
    followed_to: float
    infusions: tuple[InfusionDay, ...]
    stays: tuple[Stay, ...] = ()
    recoveries: Mapping[str, Recovery] = field(default_factory=dict)
    relapse: float | None = None
    transplant: float | None = None
    death: float | None = None


def lay_timeline(
    patient_id: str,
    followed_to: float,
    infusions: Iterable[InfusionDay],
    persistences: Mapping[int, Persistence],
    recoveries: Mapping[str, Recovery],
    *,
    relapse: float | None = None,
    transplant: float | None = None,
    death: float | None = None,
) -> TimelineRow:
    """Bring what is known of a patient onto one clock.

    Parameters
    ----------
    followed_to
        In days from the origin, as are the infusions, recoveries and events.
    persistences
        By number of the infusion, in days from that infusion; those without any result are left
        out.

    Raises
    ------
    OutcomeError
        A persistence after an infusion that is not among them, two infusions of one number, or a
        day that is no number or lies behind the end of follow-up.
    """
    by_number: dict[int, InfusionDay] = {}
    for infusion in infusions:
        if by_number.setdefault(infusion.number, infusion) != infusion:
            raise OutcomeError(f"infusion {infusion.number} on two days", where=patient_id)
    if unknown := set(persistences) - set(by_number):
        raise OutcomeError(
            f"persistence after infusion {min(unknown)}",
            where=patient_id,
            expected=f"one of {sorted(by_number)}",
        )
    given = {"relapse": relapse, "transplant": transplant, "death": death}
    days = {
        **{f"infusion {number}": item.day for number, item in by_number.items()},
        **{name: day for name, day in given.items() if day is not None},
    }
    for name, day in days.items():
        # Not `day > followed_to`, which is False of what is no number.
        if not (math.isfinite(day) and day <= followed_to):
            raise OutcomeError(
                f"{name} on day {day:g}, followed to day {followed_to:g}",
                where=patient_id,
                expected="a day of the follow-up",
            )
    return TimelineRow(
        patient_id=patient_id,
        followed_to=followed_to,
        infusions=tuple(sorted(by_number.values(), key=lambda item: item.day)),
        stays=tuple(
            Stay(
                by_number[number], _later(by_number[number], item.after),
                _later(by_number[number], item.by),
            )
            for number, item in sorted(persistences.items())
            if item.after is not None or item.by is not None
        ),
        recoveries=dict(recoveries),
        relapse=relapse,
        transplant=transplant,
        death=death,
    )  # fmt: skip


def _later(infusion: InfusionDay, day: float | None) -> float | None:
    return None if day is None else infusion.day + day


@dataclass(frozen=True, slots=True)
class MrdResult:
    """A call of blasts in one specimen: one of `CALLS` of the measurements, as ``NEG``."""

    day: float
    call: str


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """How one patient responded, in days from the origin.

    Attributes
    ----------
    best_response
        In the study's words, such as ``CR``.
    relapse, relapse_kind
        Day and, for example, ``CD19-negative``; None and empty without relapse.
    death
        Day; None of a patient who was alive.
    """

    patient_id: str
    followed_to: float
    infusions: tuple[InfusionDay, ...]
    best_response: str = ""
    mrd: tuple[MrdResult, ...] = ()
    relapse: float | None = None
    relapse_kind: str = ""
    death: float | None = None
