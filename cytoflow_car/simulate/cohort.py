"""Write a simulated study: FCS files, sample sheet, the other tables, and the truth."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np

from cytoflow_car.errors import StudyError
from cytoflow_car.simulate.beads import KITS, draw_lot, run_beads, spell_leaflet, tell_calibration
from cytoflow_car.simulate.course import Patient, draw_patients
from cytoflow_car.simulate.cytometer import Acquisition, Session, acquire, draw_session
from cytoflow_car.simulate.files import write_events, write_labels, write_table
from cytoflow_car.simulate.normal import simulate_normal
from cytoflow_car.simulate.panels import PANELS
from cytoflow_car.simulate.plan import Tube, plan_tubes
from cytoflow_car.simulate.sheets import (
    SAMPLE_COLUMNS,
    TRUTH_COLUMNS,
    bead_row,
    infusion_rows,
    lab_rows,
    patient_rows,
    sample_row,
    truth_rows,
)
from cytoflow_car.simulate.specimens import (
    Draw,
    add_fluid_b_lineage,
    draw_blood,
    draw_donor,
    draw_fluid,
    draw_marrow,
)
from cytoflow_car.simulate.staining import StainedClasses
from cytoflow_car.simulate.truth import Truth, count_live, tell_density, tell_truth

_TURNAROUND = datetime.timedelta(minutes=7)

#: SD of log10 gain between sessions: what a channel drifts from day to day.
GAIN_SD = 0.06


def simulate_cohort(
    out: Path,
    *,
    patients: int,
    events: int,
    seed: int,
    gain_sd: float = GAIN_SD,
    small: bool = False,
    labels: bool = False,
    normal: int = 0,
) -> None:
    """Write a study folder of simulated patients with known truth.

    The same arguments give the same bytes. What a patient has does not depend on `events`, nor on
    `normal`.

    Parameters
    ----------
    out
        The study folder; made where missing.
    patients
        Number of patients, at least 1.
    events
        Events a file, at least 100; fewer in cerebrospinal fluid, of which the whole tube is run.
    seed
        Decides everything.
    gain_sd
        SD of log10 gain of a detector between sessions.
    small
        Plan fewer time points, so that the folder stays small.
    labels
        Write into ``labels/`` what each event of each file of cells was made as. No other file
        changes.
    normal
        Also write into ``normal/`` the marrow of so many persons without leukemia, one B tube of
        `events` each, and into ``normal/labels/`` what each event was made as. They are neither in
        the sample sheet nor in the truth: a reference of normal specimens is learned from them.

    Raises
    ------
    StudyError
        When a number is out of range, or `out` already holds a study.
    """
    _check(out, patients, events, seed, gain_sd, normal)
    course_seed, draw_seed, session_seed, file_seed, normal_seed, density_seed, bead_seed = (
        np.random.SeedSequence(seed).spawn(7)
    )
    course_rng = np.random.default_rng(course_seed)
    cohort = draw_patients(patients, course_rng)
    tubes = plan_tubes(cohort, small, course_rng)
    draws = _draw_specimens(tubes, draw_seed)
    n_sessions = max(tube.session for tube in tubes)
    sessions = [
        draw_session(gain_sd, np.random.default_rng(child))
        for child in session_seed.spawn(n_sessions)
    ]
    began = _session_dates(tubes)
    (out / "fcs").mkdir(parents=True, exist_ok=True)
    truth: list[dict[str, object]] = []
    sheet: list[dict[str, object]] = []
    # Of every B tube of marrow, since its FMOs are of the same cells.
    stained: dict[str, StainedClasses] = {}
    seeds = zip(file_seed.spawn(len(tubes)), density_seed.spawn(len(tubes)), strict=True)
    for number, (tube, (run_seed, told_seed)) in enumerate(zip(tubes, seeds, strict=True)):
        rng = np.random.default_rng(run_seed)
        draw = draws[tube.specimen_id]
        if (tube.specimen, tube.name) == ("CSF", "B") and tube.patient is not None:
            # Of the same draw, but only after the T tube, which stays as it was without blasts.
            draw = add_fluid_b_lineage(draw, tube.patient)
        row = sample_row(tube, draw)
        sheet.append(row)
        if tube.not_done:
            continue
        acquisition = _run_tube(
            tube, draw, sessions[tube.session - 1], events, rng, stained.get(tube.control_of)
        )
        stained[tube.sample_id] = acquisition.stained
        write_events(
            out / str(row["file"]),
            acquisition.events,
            began[tube.session] + (number % 60) * _TURNAROUND,
            spillover=acquisition.spillover,
        )
        if labels:
            write_labels(
                out / "labels" / f"{tube.sample_id}.csv", acquisition, draw, PANELS[tube.name]
            )
        if tube.role == "specimen":
            told = _tell(tube, draw, acquisition, np.random.default_rng(told_seed))
            truth += truth_rows(str(row["file"]), told)
    calibrated = {
        tube.session: sessions[tube.session - 1]
        for tube in tubes
        if tube.name == "B" and not tube.not_done
    }
    _add_beads(out, calibrated, began, bead_seed, sheet, truth)
    write_table(out / "samples.csv", SAMPLE_COLUMNS, sheet)
    write_table(out / "truth.csv", TRUTH_COLUMNS, truth)
    _write_tables(out, cohort, course_rng)
    simulate_normal(out / "normal", normal, events=events, gain_sd=gain_sd, seed=normal_seed)


def _check(out: Path, patients: int, events: int, seed: int, gain_sd: float, normal: int) -> None:
    for name, value, least in (
        ("patients", patients, 1),
        ("events", events, 100),
        ("seed", seed, 0),
        ("gain_sd", gain_sd, 0),
        ("normal", normal, 0),
    ):
        if not value >= least:
            raise StudyError(f"{name} {value}", where="simulate", expected=f"at least {least}")
    written = ("samples.csv", "fcs", "kits", *(["normal"] if normal else []))
    if any((out / name).exists() for name in written):
        raise StudyError(
            "holds a study already",
            where=str(out),
            expected=f"a folder without {', '.join(written)}",
            advice="Name another folder, or remove the old study",
        )


def _draw_specimens(tubes: list[Tube], seed: np.random.SeedSequence) -> dict[str, Draw]:
    draws: dict[str, Draw] = {}
    first = {tube.specimen_id: tube for tube in reversed(tubes)}
    for name, child in zip(sorted(first), seed.spawn(len(first)), strict=True):
        tube, rng = first[name], np.random.default_rng(child)
        if tube.patient is None:
            draws[name] = draw_donor(rng)
        else:
            draw = {"PB": draw_blood, "BM": draw_marrow, "CSF": draw_fluid}[tube.specimen]
            draws[name] = draw(tube.patient, tube.day, rng)
    return draws


def _run_tube(
    tube: Tube,
    draw: Draw,
    session: Session,
    events: int,
    rng: np.random.Generator,
    same_cells: StainedClasses | None,
) -> Acquisition:
    n_events = int(events * tube.share)
    counting = tube.counting
    if draw.specimen == "CSF":
        whole = (draw.rates.sum() + counting.beads_per_ul) * counting.volume_ul
        n_events = min(n_events, int(rng.poisson(whole)))
    return acquire(
        draw,
        PANELS[tube.name],
        session,
        n_events,
        rng,
        beads_per_ul=counting.beads_per_ul,
        omitted=tube.omitted,
        same_cells=same_cells,
    )


def _add_beads(
    out: Path,
    sessions: dict[int, Session],
    began: dict[int, datetime.datetime],
    seed: np.random.SeedSequence,
    sheet: list[dict[str, object]],
    truth: list[dict[str, object]],
) -> None:
    """Write the kits and their beads of each session, run before its cells; add their rows."""
    (out / "kits").mkdir(exist_ok=True)
    for place, (kit, child) in enumerate(zip(KITS, seed.spawn(len(KITS)), strict=True), start=1):
        lot_seed, run_seed = child.spawn(2)
        lot = draw_lot(kit, np.random.default_rng(lot_seed))
        (out / kit.file).write_text(spell_leaflet(lot), encoding="utf-8", newline="\n")
        for number, run in zip(sorted(sessions), run_seed.spawn(len(sessions)), strict=True):
            row = bead_row(kit, number)
            events = run_beads(lot, sessions[number], np.random.default_rng(run))
            write_events(out / str(row["file"]), events, began[number] - place * _TURNAROUND)
            sheet.append(row)
            truth += truth_rows(str(row["file"]), tell_calibration(lot, sessions[number]))


def _session_dates(tubes: list[Tube]) -> dict[int, datetime.datetime]:
    """Return when each session began: after its last draw; patients enrol 11 days apart."""
    enrolled = datetime.datetime(2024, 1, 8, 9, 0)
    dates: dict[int, datetime.datetime] = {}
    for tube in tubes:
        if tube.patient is not None:
            drawn = enrolled + datetime.timedelta(days=11 * tube.patient.number + tube.day)
            dates[tube.session] = max(drawn, dates.get(tube.session, drawn))
    return dates


def _tell(
    tube: Tube, draw: Draw, acquisition: Acquisition, rng: np.random.Generator
) -> list[Truth]:
    told = tell_truth(
        tube.name,
        draw,
        count_live(acquisition),
        beads_per_ul=tube.counting.beads_per_ul,
        counted_blood=tube.counting.counted_blood,
    )
    return told + (tell_density(PANELS["B"], draw, acquisition, rng) if tube.name == "B" else [])


def _write_tables(out: Path, cohort: list[Patient], rng: np.random.Generator) -> None:
    for name, rows in (
        ("infusions.csv", infusion_rows(cohort)),
        ("patients.csv", patient_rows(cohort)),
        ("labs.csv", lab_rows(cohort, rng)),
    ):
        write_table(out / name, tuple(rows[0]), rows)
    (out / "study.toml").write_text(
        'name = "Simulated CAR19 and CAR22 cohort"\nsimulated = true\n',
        encoding="utf-8",
        newline="\n",
    )
