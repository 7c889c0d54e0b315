"""Which specimens are drawn, which tubes are stained, and in which session they are run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cytoflow_car.simulate.course import Patient
from cytoflow_car.simulate.panels import CAR_ANTIGEN
from cytoflow_car.simulate.staining import DENSITY_ANTIGENS

BLOOD_DAYS = (0, 4, 7, 11, 14, 21, 28)
_NOT_DONE_REASONS = ("no blood drawn, patient at home", "tube clotted")


@dataclass(frozen=True, slots=True)
class Counting:
    """How cells a microlitre are known for one tube; nothing set where they are not.

    Attributes
    ----------
    beads_per_tube, volume_ul
        Lot value of the beads, and specimen stained.
    counted_blood
        A blood count of the draw is in the sheet.
    """

    beads_per_tube: int = 0
    volume_ul: float = 0.0
    counted_blood: bool = False

    @property
    def beads_per_ul(self) -> float:
        """Beads a microlitre of specimen; 0 without beads."""
        return self.beads_per_tube / self.volume_ul if self.beads_per_tube else 0.0


@dataclass(frozen=True, slots=True)
class Tube:
    """One tube of a study: a specimen's, or a control of it or of a session.

    Attributes
    ----------
    patient
        None for a control from a healthy donor.
    specimen, name
        PB, CSF or BM; T, T22 or B.
    day
        From infusion 1; of a control, the session's last day.
    visit, session
        The visit in words; the number of the batch, from 1.
    role
        ``specimen``, ``fmo`` or ``untransduced``.
    omitted
        Antigen whose reagent an FMO is without.
    baseline, before_infusion
        Before infusion 1; on an infusion day.
    share
        Events of this tube relative to a blood T tube.
    not_done
        Why there is no file; empty where there is one.
    """

    patient: Patient | None
    specimen: str
    name: str
    day: int
    visit: str
    session: int = 0
    role: str = "specimen"
    omitted: str = ""
    baseline: bool = False
    before_infusion: bool = False
    share: float = 1.0
    not_done: str = ""

    @property
    def sample_id(self) -> str:
        """Unique name in the study."""
        if self.patient is None:
            kind = "FMO" if self.role == "fmo" else "donor"
            return f"S{self.session:03d}_{kind}_{self.name}"
        kind = f"FMO_{self.omitted}" if self.role == "fmo" else self.name
        return f"{self.specimen_id}_{kind}"

    @property
    def control_of(self) -> str:
        """Of an FMO of the patient's own cells, the tube that it is a control of; else empty."""
        own = self.role == "fmo" and self.patient is not None
        return f"{self.specimen_id}_{self.name}" if own else ""

    @property
    def specimen_id(self) -> str:
        """Name of the draw; donor blood is one draw a session."""
        if self.patient is None:
            return f"S{self.session:03d}_donor"
        return f"{self.patient.name}_{self.specimen}_d{self.day:03d}"

    @property
    def template(self) -> str:
        """Names of the gating templates, as the sheet states them."""
        if self.role == "fmo" and self.name == "B":
            return "blasts_bm"
        if self.name == "B":
            return {"BM": "b_cells_bm;blasts_bm", "CSF": "blasts_csf"}.get(
                self.specimen, "b_cells_pb"
            )
        return f"car_t_{self.specimen.lower()}"

    @property
    def counting(self) -> Counting:
        """How concentrations are known: fluid by beads, blood by beads or a blood count."""
        if self.patient is None or self.specimen == "BM":
            return Counting()
        if self.specimen == "CSF":
            return Counting(beads_per_tube=10_120, volume_ul=2000.0)
        if self.patient.beads:
            return Counting(beads_per_tube=25_340, volume_ul=100.0)
        return Counting(counted_blood=True)


def plan_tubes(patients: list[Patient], small: bool, rng: np.random.Generator) -> list[Tube]:
    """Plan every tube of the study, controls included, session by session.

    The B tubes of fluid and then the FMOs of marrow come last, whatever their session: a tube's
    place in the plan decides its random stream, so the tubes before them are as if there were none.
    """
    tubes: list[Tube] = []
    sessions = 0
    for patient in patients:
        visits = _small_visits(patient) if small else _visits(patient)
        groups: dict[str, list[Tube]] = {}
        taken: set[str] = set()
        for group, tube in visits:
            if tube.sample_id not in taken:
                taken.add(tube.sample_id)
                groups.setdefault(group, []).append(tube)
        for together in groups.values():
            sessions += 1
            members = [replace(tube, session=sessions) for tube in together]
            tubes += members
            tubes += _controls(members, small)
    tubes = _leave_out(tubes, 1 if small or len(patients) < 4 else 2, rng)
    return tubes + _fluid_b_tubes(tubes) + _marrow_fmos(tubes)


def _visits(patient: Patient) -> list[tuple[str, Tube]]:
    """Return (session group, tube) in order of the protocol."""
    end = patient.relapse_on if patient.relapse_on is not None else 10_000
    planned: list[tuple[str, Tube]] = []

    def add(group: str, specimen: str, names: str, day: int, visit: str) -> None:
        if day < end or visit == "Relapse":
            starts = any(day == expansion.infused_on for expansion in patient.expansions)
            planned.extend(
                (group, Tube(patient, specimen, name, day, visit, baseline=day == 0,
                             before_infusion=starts))
                for name in names.split()
            )  # fmt: skip

    add("baseline", "BM", "B T T22", 0, "C1 D0")
    for cycle, expansion in enumerate(patient.expansions, start=1):
        for since in BLOOD_DAYS:
            names = "T" if cycle == 1 and since > 0 else "T T22"
            if since == 28 or (cycle, since) == (1, 0):
                names += " B"
            visit = f"C{cycle} D{since}"
            add(_group(cycle, since), "PB", names, expansion.infused_on + since, visit)
    if patient.number % 4 != 0:
        add(_group(1, 14), "CSF", "T", 14, "C1 D14")
    if patient.number % 2 == 1:
        add(_group(1, 28), "CSF", "T", 28, "C1 D28")
        for expansion in patient.expansions[1:]:
            add(_group(2, 14), "CSF", "T22", expansion.infused_on + 14, "C2 D14")
    add(_group(1, 28), "BM", "B T", 30, "C1 D30")
    second = patient.expansions[-1].infused_on
    later = "T T22" if len(patient.expansions) > 1 else "T"
    for month in (3, 6, 9, 12):
        add(
            f"M{month}",
            "BM",
            f"B {later}" if month == 3 else "B",
            30 * month,
            f"M{month}",
        )
        if month > 3 and 30 * month > second + 28:
            add(f"M{month}", "PB", f"{later} B", 30 * month, f"M{month}")
    if patient.relapse_on is not None:
        add("relapse", "BM", "B", patient.relapse_on, "Relapse")
        add("relapse", "PB", f"{later} B", patient.relapse_on, "Relapse")
    return planned


def _small_visits(patient: Patient) -> list[tuple[str, Tube]]:
    """Return those of `_visits` that fit into a folder of a few megabytes."""
    kept: list[tuple[str, Tube]] = []
    for group, tube in _visits(patient):
        if patient.number <= _SMALL.get((tube.visit, tube.specimen, tube.name), 0):
            session = group if tube.baseline else tube.visit.split()[0]
            share = 0.4 if tube.specimen == "CSF" else 0.5 if tube.name == "B" else 1.0
            # What is drawn before infusion is the control of all that follows.
            share = 2.0 if tube.baseline and tube.specimen == "PB" else share
            kept.append((session, replace(tube, share=share)))
    return kept


_EVERYONE = 1_000_000
# (visit, specimen, tube) of the small plan, and the last patient who has it.
_SMALL = {
    ("C1 D0", "PB", "T"): _EVERYONE,
    ("C1 D7", "PB", "T"): 1,
    ("C1 D14", "PB", "T"): _EVERYONE,
    ("C1 D28", "PB", "T"): _EVERYONE,
    ("C1 D0", "BM", "B"): _EVERYONE,
    ("C1 D30", "BM", "B"): _EVERYONE,
    ("Relapse", "BM", "B"): _EVERYONE,
    ("M9", "BM", "B"): 1,
    ("M9", "PB", "B"): 1,
    ("C1 D14", "CSF", "T"): 2,
    ("C1 D0", "PB", "T22"): 1,
    ("C2 D0", "PB", "T"): 1,
    ("C2 D11", "PB", "T22"): 1,
    ("C2 D28", "PB", "T22"): 1,
    ("C1 D30", "BM", "T"): 1,
}


def _fluid_b_tubes(tubes: list[Tube]) -> list[Tube]:
    """Plan a B tube beside the T tube of every second patient's first fluid, of the same draw."""
    return [
        replace(tube, name="B")
        for tube in tubes
        if tube.patient is not None
        and tube.patient.number % 2 == 1
        and (tube.visit, tube.specimen, tube.name) == ("C1 D14", "CSF", "T")
    ]


def _marrow_fmos(tubes: list[Tube]) -> list[Tube]:
    """Plan FMOs of the B tube where density matters most: in marrow at baseline and at relapse."""
    return [
        replace(tube, role="fmo", omitted=antigen, baseline=False)
        for tube in tubes
        if (tube.specimen, tube.name) == ("BM", "B") and (tube.baseline or tube.visit == "Relapse")
        for antigen in DENSITY_ANTIGENS
    ]


def _group(cycle: int, since: int) -> str:
    if since == 0:
        return "baseline" if cycle == 1 else "C2 baseline"
    return f"C{cycle} " + ("early" if since <= 7 else "peak" if since <= 14 else "late")


def _controls(members: list[Tube], small: bool) -> list[Tube]:
    """Plan a session's controls: one FMO, and donor T cells with each CAR reagent in use."""
    names = [name for name in ("T", "T22") if any(tube.name == name for tube in members)]
    if not names or (small and not any(tube.baseline for tube in members)):
        return []
    last = max(members, key=lambda tube: tube.day)
    control = Tube(None, "PB", names[0], last.day, last.visit, last.session,
                   share=0.4 if small else 1.0)  # fmt: skip
    return [
        replace(control, role="fmo", omitted=CAR_ANTIGEN[control.name]),
        *(replace(control, role="untransduced", name=name) for name in names),
    ]


def _leave_out(tubes: list[Tube], number: int, rng: np.random.Generator) -> list[Tube]:
    """Leave out a few draws of blood, as happens; never a baseline, nor of patient 1."""
    candidates = sorted(
        {
            tube.specimen_id
            for tube in tubes
            if tube.patient is not None
            and tube.patient.number > 1
            and tube.specimen == "PB"
            and tube.visit in _DISPENSABLE
        }
    )
    missed = rng.choice(candidates, size=min(number, len(candidates)), replace=False)
    reasons = dict(zip(missed.tolist(), _NOT_DONE_REASONS, strict=False))
    return [
        replace(tube, not_done=reasons[tube.specimen_id]) if tube.specimen_id in reasons else tube
        for tube in tubes
    ]


_DISPENSABLE = ("C1 D21", "C1 D28", "C2 D21")
