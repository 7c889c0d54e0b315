"""The simulated study folder keeps the contract, and its truth is what was drawn."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import flowio
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from cytoflow_car.cli import cli
from cytoflow_car.errors import StudyError
from cytoflow_car.simulate import cells, simulate_cohort
from cytoflow_car.simulate.course import RELAPSE_KINDS, draw_patients
from cytoflow_car.simulate.cytometer import LIVE, acquire, draw_session
from cytoflow_car.simulate.panels import PANELS
from cytoflow_car.simulate.plan import plan_tubes
from cytoflow_car.simulate.specimens import (
    add_fluid_b_lineage,
    draw_blood,
    draw_fluid,
    draw_marrow,
)
from cytoflow_car.simulate.truth import count_live, tell_truth

CONTRACT = {
    "file", "dataset", "sample_id", "patient_id", "specimen", "specimen_id", "tube",
    "acquisition", "collected_on", "day", "day_origin", "timing", "visit", "template", "role",
    "baseline", "control_marker", "control_for", "batch", "instrument", "panel_version", "prep",
    "use", "exclude_reason", "not_done_reason", "car_target", "car_reagent", "spillover",
    "wbc_10e9_per_l", "alc_10e9_per_l", "cbc_at", "beads_per_tube", "bead_lot", "volume_ul",
    "dilution", "kit", "pull_number", "collected_at", "acquired_at",
}  # fmt: skip

#: Counting beads a microlitre of cerebrospinal fluid.
BEADS_IN_FLUID = 5.06


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(folder: Path) -> dict[str, str]:
    """Return relative path to hash for every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "study"
    simulate_cohort(out, patients=4, events=400, seed=1, small=True)
    return out


@pytest.fixture(scope="module")
def full_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "full"
    simulate_cohort(out, patients=3, events=150, seed=2)
    return out


def test_the_same_call_gives_the_same_bytes(study: Path, tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=4, events=400, seed=1, small=True)
    assert hashes(study) == hashes(tmp_path)


def test_the_command_of_the_sample_study_makes_it_again(
    repository_root: Path, tmp_path: Path
) -> None:
    """Values may differ in their last digit between processors, so they are compared as numbers."""
    sample = repository_root / "sample_fcs"
    lines = (sample / "README.md").read_text(encoding="utf-8").splitlines()
    (command,) = (line for line in lines if line.startswith("cytoflow-car simulate"))
    _, verb, folder, *options = command.split()
    assert folder == "sample_fcs"
    done = CliRunner().invoke(cli, [verb, str(tmp_path / "again"), *options])
    assert done.exit_code == 0, done.output
    again = hashes(tmp_path / "again")
    by_hand = {"README.md", "normal_marrow.reference.json", "normal_marrow.names.csv"}
    assert set(again) == set(hashes(sample)) - by_hand
    for name in sorted(again):
        ours, theirs = sample / name, tmp_path / "again" / name
        if name.endswith(".fcs"):
            values, others = (np.array(flowio.FlowData(path).events) for path in (ours, theirs))
            assert values.shape == others.shape
            assert np.mean(np.isclose(values, others, rtol=1e-4)) > 0.999
        elif name != "truth.csv":
            assert ours.read_bytes() == theirs.read_bytes()
    truths = (rows_of(folder / "truth.csv") for folder in (sample, tmp_path / "again"))
    for ours_row, theirs_row in zip(*truths, strict=True):
        numbers = [
            [float(row[column] or "nan") for column in ("planted", "value")]
            for row in (ours_row, theirs_row)
        ]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, nan_ok=True)
        counts = ("file", "measurement", "unit", "n_events", "n_denominator")
        assert [ours_row[item] for item in counts] == [theirs_row[item] for item in counts]


def test_another_seed_gives_other_bytes(study: Path, tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=4, events=400, seed=2, small=True)
    ours, others = hashes(study), hashes(tmp_path)
    same = {path for path in ours if ours[path] == others.get(path)}
    assert same <= {"study.toml"}


def test_what_a_patient_has_does_not_depend_on_the_number_of_events(
    study: Path, tmp_path: Path
) -> None:
    simulate_cohort(tmp_path, patients=4, events=200, seed=1, small=True)
    # Densities are those of a tube, with its pipetting, and of populations that have events.
    ours, others = (
        [
            (row["file"], row["measurement"], row["planted"])
            for row in rows_of(folder / "truth.csv")
            if row["unit"] != "ABC"
        ]
        for folder in (study, tmp_path)
    )
    assert ours == others
    assert (study / "samples.csv").read_bytes() == (tmp_path / "samples.csv").read_bytes()


def test_tables_have_the_columns_of_the_contract(study: Path) -> None:
    columns = {
        "samples": CONTRACT,
        "infusions": {"patient_id", "infusion", "product", "car_target", "day", "dose_per_kg"},
        "patients": {
            "patient_id", "age_years", "sex", "disease_status", "tp53", "response",
            "response_day", "relapse_day", "relapse_site", "death_day", "last_follow_up_day",
            "transplant_day", "prior_blinatumomab_day", "prior_inotuzumab_day",
            "prior_rituximab_day",
        },
        "labs": {"patient_id", "day", "test", "value", "unit", "lower_limit"},
        "truth": {
            "file", "measurement", "planted", "value", "unit", "n_events", "n_denominator",
        },
    }  # fmt: skip
    for name, expected in columns.items():
        assert set(rows_of(study / f"{name}.csv")[0]) == expected


@pytest.mark.parametrize("name", ["study", "full_study"])
def test_the_sheet_names_every_file_once(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    sheet = rows_of(folder / "samples.csv")
    files = [row["file"] for row in sheet if row["file"]]
    on_disk = {f"fcs/{path.name}" for path in (folder / "fcs").iterdir()}
    assert len(files) == len(set(files))
    assert set(files) == on_disk
    assert len({row["sample_id"] for row in sheet}) == len(sheet)
    for row in sheet:
        assert bool(row["file"]) != bool(row["not_done_reason"])
        own = row["role"] == "specimen" or row["control_for"] not in ("", "batch")
        assert own == bool(row["patient_id"])


@pytest.mark.parametrize("name", ["study", "full_study"])
def test_each_batch_of_t_tubes_has_its_controls(name: str, request: pytest.FixtureRequest) -> None:
    sheet = rows_of(request.getfixturevalue(name) / "samples.csv")
    with_baseline = {row["batch"] for row in sheet if row["baseline"] == "yes"}
    for row in sheet:
        if row["role"] != "specimen" or row["tube"] == "B":
            continue
        baselines = [
            other
            for other in sheet
            if other["baseline"] == "yes"
            and (other["patient_id"], other["tube"]) == (row["patient_id"], row["tube"])
        ]
        assert any(other["specimen"] == "PB" for other in baselines)
        # The small plan has controls in those sessions only in which a baseline is drawn.
        if name == "study" and row["batch"] not in with_baseline:
            continue
        controls = [c for c in sheet if c["batch"] == row["batch"] and c["control_for"] == "batch"]
        assert any(c["role"] == "fmo" for c in controls)
        assert any(
            c["role"] == "untransduced" and c["car_reagent"] == row["car_reagent"] for c in controls
        )
    if name == "study":
        assert {row["batch"] for row in sheet if row["control_for"] == "batch"} == with_baseline


@pytest.mark.parametrize("name", ["study", "full_study"])
def test_marrow_of_baseline_and_relapse_has_an_fmo_of_each_target(
    name: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(name)
    sheet = {row["sample_id"]: row for row in rows_of(folder / "samples.csv")}
    fmos = [row for row in sheet.values() if row["role"] == "fmo" and row["tube"] == "B"]
    stained = [
        row["sample_id"]
        for row in sheet.values()
        if (row["specimen"], row["tube"], row["role"]) == ("BM", "B", "specimen")
        and (row["baseline"] or row["visit"] == "Relapse")
    ]
    assert any(sheet[sample_id]["visit"] == "Relapse" for sample_id in stained)
    assert sorted((row["control_for"], row["control_marker"]) for row in fmos) == [
        (sample_id, antigen) for sample_id in sorted(stained) for antigen in ("CD19", "CD22")
    ]
    alike = ("patient_id", "specimen_id", "day", "batch", "instrument", "panel_version", "prep")
    for row in fmos:
        of = sheet[row["control_for"]]
        assert [row[column] for column in alike] == [of[column] for column in alike]
        assert (row["template"], row["baseline"]) == ("blasts_bm", "")
        stained_events, fmo_events = (
            int(flowio.FlowData(folder / item["file"], only_text=True).text["tot"])
            for item in (of, row)
        )
        assert fmo_events == stained_events


def test_the_small_study_shows_what_a_trial_has(study: Path) -> None:
    sheet = rows_of(study / "samples.csv")
    infusions = rows_of(study / "infusions.csv")
    assert len({row["patient_id"] for row in sheet if row["patient_id"]}) == 4
    assert {row["specimen"] for row in sheet if row["tube"]} == {"PB", "CSF", "BM"}
    assert {row["role"] for row in sheet} == {
        "specimen", "fmo", "untransduced", "calibration_beads",
    }  # fmt: skip
    assert {row["infusion"] for row in infusions if row["patient_id"] == "P01"} == {
        "1",
        "2",
    }
    assert sum(1 for row in sheet if row["not_done_reason"]) >= 1
    assert sum(1 for row in rows_of(study / "patients.csv") if row["relapse_day"]) == 1


def test_truth_is_unique_and_only_of_specimens_and_beads(study: Path, full_study: Path) -> None:
    for folder in (study, full_study):
        truth = rows_of(folder / "truth.csv")
        roles = {row["file"]: row["role"] for row in rows_of(folder / "samples.csv")}
        keys = [(row["file"], row["measurement"]) for row in truth]
        assert len(keys) == len(set(keys))
        assert {roles[row["file"]] for row in truth} == {"specimen", "calibration_beads"}
        for row in truth:
            if row["unit"] == "%" and row["value"]:
                n, total = int(row["n_events"]), int(row["n_denominator"])
                assert float(row["value"]) == pytest.approx(100 * n / total, rel=1e-6)


def test_before_infusion_there_is_no_car_t(full_study: Path) -> None:
    baseline = {r["file"] for r in rows_of(full_study / "samples.csv") if r["baseline"] == "yes"}
    rows = [
        row for row in rows_of(full_study / "truth.csv")
        if row["file"] in baseline and row["measurement"].startswith("car_t")
    ]  # fmt: skip
    assert rows
    assert {(float(row["planted"]), row["value"]) for row in rows} == {(0.0, "0")}


def test_no_keyword_tells_what_is_in_a_file(study: Path) -> None:
    """Only the file's own name, times and instrument day differ between files of a tube."""
    texts: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(study / "samples.csv"):
        if row["file"]:
            text = flowio.FlowData(study / row["file"], only_text=True).text
            texts.setdefault(row["tube"] or row["kit"], []).append(text)
    allowed = {
        "fil",
        "date",
        "btim",
        "etim",
        "tot",
        "spillover",
        "begindata",
        "enddata",
    }
    for group in texts.values():
        assert {frozenset(text) for text in group} == {frozenset(group[0])}
        varying = {key for key in group[0] if len({text[key] for text in group}) > 1}
        assert varying <= allowed


def test_stored_values_and_spillover_are_those_of_the_panel(study: Path) -> None:
    for row in rows_of(study / "samples.csv"):
        if not row["file"] or row["role"] == "calibration_beads":
            continue
        data = flowio.FlowData(study / row["file"])
        panel = PANELS[row["tube"]]
        assert data.pnn_labels == ["FSC-A", "FSC-H", "SSC-A", *panel.detectors, "Time"]
        assert data.pns_labels[3:-1] == [stain.marker for stain in panel.stains]
        fields = data.text["spillover"].split(",")
        assert tuple(fields[1 : 1 + len(panel.stains)]) == panel.detectors
        values = np.reshape(data.events, (-1, data.channel_count))
        assert np.all(np.isfinite(values))
        assert values[:, :-1].max() < 262144
        assert float(data.text["timestep"]) == 0.01


@pytest.mark.parametrize("events", [5200])
def test_the_small_study_fits_into_sixteen_megabytes(tmp_path: Path, events: int) -> None:
    simulate_cohort(tmp_path, patients=4, events=events, seed=1, small=True)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 13e6 < size < 16e6


@pytest.mark.parametrize(("tube", "target"), [("T", "CD19"), ("T22", "CD22")])
def test_truth_counts_the_car_of_its_reagent(tube: str, target: str) -> None:
    rng = np.random.default_rng(3)
    patient = draw_patients(1, rng)[0]
    expansion = next(e for e in patient.expansions if e.target == target)
    draw = draw_blood(patient, expansion.infused_on + expansion.peak_day, rng)
    session = draw_session(0.06, rng)
    run = acquire(draw, PANELS[tube], session, 200_000, rng, beads_per_ul=250.0)
    truth = {
        row.measurement: row
        for row in tell_truth(tube, draw, count_live(run), beads_per_ul=250.0, counted_blood=False)
    }
    drawn = [cells.CLASSES[label] for label in run.labels[run.kinds == LIVE]]
    t = [cell for cell in drawn if cell.lineage == "T"]
    car = sum(cell.car == target for cell in t)
    row = truth["car_t_percent_of_t"]
    assert (row.n_events, row.n_denominator) == (car, len(t))
    assert row.value == pytest.approx(100 * car / len(t))
    interval = stats.binomtest(car, len(t)).proportion_ci(0.9999)
    assert interval.low < row.planted / 100 < interval.high
    concentration = truth["car_t_per_ul"]
    beads = sum(cell.name == "bead" for cell in drawn)
    assert concentration.n_denominator == beads
    assert concentration.value == pytest.approx(250.0 * car / beads)
    assert concentration.value == pytest.approx(concentration.planted, rel=0.12)


def test_marrow_shares_have_their_denominators() -> None:
    rng = np.random.default_rng(4)
    patient = draw_patients(1, rng)[0]
    draw = draw_marrow(patient, 0, rng)
    run = acquire(draw, PANELS["B"], draw_session(0.06, rng), 50_000, rng)
    rows = tell_truth("B", draw, count_live(run), beads_per_ul=0.0, counted_blood=False)
    truth = {row.measurement: row for row in rows}
    drawn = [cells.CLASSES[label] for label in run.labels[run.kinds == LIVE]]
    lineages = [cell.lineage for cell in drawn if cell.lineage != "particle"]
    blasts, erythroid = lineages.count("blast"), lineages.count("erythroid")
    granulocytes = lineages.count("granulocyte")
    assert truth["blast_percent_of_nucleated"].n_denominator == len(lineages)
    assert truth["blast_percent_of_cd45"].n_denominator == len(lineages) - erythroid
    mononuclear = len(lineages) - erythroid - granulocytes
    assert truth["blast_percent_of_mononuclear"].n_denominator == mononuclear
    assert truth["blast_percent_of_mononuclear"].n_events == blasts
    lymphocytes = sum(lineage in ("T", "B", "NK") for lineage in lineages)
    assert truth["b_cell_cd19_percent_of_lymphocytes"].n_denominator == lymphocytes
    assert truth["b_cell_cd22_percent_of_lymphocytes"].n_events == lineages.count("B")
    assert truth["blast_percent_of_nucleated"].planted == pytest.approx(100 * patient.burden)


def test_blasts_of_the_fluid_are_counted_in_its_b_tube() -> None:
    rng = np.random.default_rng(5)
    patient = draw_patients(1, rng)[0]
    draw = add_fluid_b_lineage(draw_fluid(patient, 14, rng), patient)
    run = acquire(
        draw, PANELS["B"], draw_session(0.06, rng), 200_000, rng, beads_per_ul=BEADS_IN_FLUID
    )
    rows = tell_truth("B", draw, count_live(run), beads_per_ul=BEADS_IN_FLUID, counted_blood=False)
    truth = {row.measurement: row for row in rows}
    assert set(truth) == {"blast_percent_of_cd45", "blast_per_ul"}
    drawn = [cells.CLASSES[label] for label in run.labels[run.kinds == LIVE]]
    blasts = sum(cell.lineage == "blast" for cell in drawn)
    leukocytes = sum(cell.lineage not in ("particle", "erythroid") for cell in drawn)
    beads = sum(cell.name == "bead" for cell in drawn)
    share, concentration = truth["blast_percent_of_cd45"], truth["blast_per_ul"]
    assert (share.n_events, share.n_denominator) == (blasts, leukocytes)
    interval = stats.binomtest(blasts, leukocytes).proportion_ci(0.9999)
    assert interval.low < share.planted / 100 < interval.high
    assert (concentration.n_events, concentration.n_denominator) == (blasts, beads)
    assert concentration.planted == patient.fluid_blasts
    assert concentration.value == pytest.approx(BEADS_IN_FLUID * blasts / beads)
    assert concentration.value == pytest.approx(patient.fluid_blasts, rel=0.04)


def test_the_b_tube_adds_its_cells_to_a_copy_of_the_fluid() -> None:
    rng = np.random.default_rng(6)
    patient = draw_patients(1, rng)[0]
    fluid = draw_fluid(patient, 14, rng)
    before = fluid.rates.copy()
    added = add_fluid_b_lineage(fluid, patient).rates - fluid.rates
    assert np.array_equal(fluid.rates, before)
    assert {cells.CLASSES[row].name for row in np.flatnonzero(added)} == {"blast", "mature B"}


def test_a_third_of_the_patients_has_blasts_in_the_fluid() -> None:
    patients = draw_patients(300, np.random.default_rng(12))
    amounts = np.array([patient.fluid_blasts for patient in patients])
    assert amounts[0] > 0
    assert 0.25 < np.mean(amounts > 0) < 0.42
    assert 5 <= amounts[amounts > 0].min() < 6
    assert 18 < amounts.max() <= 20


@pytest.mark.parametrize(("small", "expected"), [(False, {1, 3, 5, 7}), (True, {1})])
def test_the_first_fluid_of_every_second_patient_has_a_b_tube(
    small: bool, expected: set[int]
) -> None:
    rng = np.random.default_rng(13)
    tubes = plan_tubes(draw_patients(8, rng), small, rng)
    fluid = [tube for tube in tubes if tube.specimen == "CSF" and tube.name == "B"]
    fmos = [tube for tube in tubes if tube.specimen == "BM" and tube.role == "fmo"]
    # At the end, so that no tube before them has another random stream than without them.
    assert tubes[-len(fluid + fmos) :] == fluid + fmos
    assert {tube.patient.number for tube in fluid if tube.patient is not None} == expected
    for tube in fluid:
        beside = next(
            other for other in tubes if other.specimen_id == tube.specimen_id and other.name == "T"
        )
        assert (tube.day, tube.visit, tube.template) == (14, "C1 D14", "blasts_csf")
        assert (tube.session, tube.share) == (beside.session, beside.share)
        assert tube.counting.beads_per_ul == BEADS_IN_FLUID
        assert not tube.baseline


def test_a_cohort_follows_the_course_of_such_trials() -> None:
    patients = draw_patients(200, np.random.default_rng(9))
    peaks = np.array([e.peak for p in patients for e in p.expansions])
    second = np.array([p.expansions[1].infused_on for p in patients if len(p.expansions) > 1])
    kinds = {p.relapse_kind for p in patients if p.relapse_kind}
    assert 0.05 <= peaks.min() < peaks.max() <= 0.70
    assert 33 <= second.min() < second.max() <= 156
    assert 40 < np.median(second) < 62
    assert len(second) > 140
    assert kinds == set(RELAPSE_KINDS)
    for patient in patients:
        first = patient.expansions[0]
        assert first.share_of_t(0) == 0
        if len(patient.expansions) > 1:
            # CAR22 waits until CAR19 is gone from the blood.
            assert first.share_of_t(patient.expansions[1].infused_on) == 0
    assert sum(p.residual == 0 for p in patients) > 150


def test_every_draw_is_a_possible_specimen() -> None:
    rng = np.random.default_rng(10)
    for patient in draw_patients(20, rng):
        for day in (0, 7, 14, 28, 60, 200, 400):
            for draw_specimen in (draw_blood, draw_fluid, draw_marrow):
                draw = draw_specimen(patient, day, rng)
                assert np.all(draw.rates >= 0)
                assert np.all(np.isfinite(draw.rates))
                assert draw.rates[cells.T].sum() > 0
            marrow = draw_marrow(patient, day, rng)
            assert marrow.rates[cells.CELLS].sum() == pytest.approx(1.0)
            assert marrow.rates[cells.BLASTS].sum() == pytest.approx(patient.blast_share(day))


def test_tubes_of_many_patients_are_planned_once() -> None:
    rng = np.random.default_rng(11)
    tubes = plan_tubes(draw_patients(30, rng), False, rng)
    names = [tube.sample_id for tube in tubes]
    assert len(names) == len(set(names))
    assert sum(bool(tube.not_done) for tube in tubes) >= 2


@pytest.mark.parametrize(
    "wrong", [{"patients": 0}, {"events": 10}, {"seed": -1}, {"gain_sd": -0.1}, {"normal": -1}]
)
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    numbers = {"patients": 1, "events": 200, "seed": 1} | wrong
    with pytest.raises(StudyError, match=next(iter(wrong))):
        simulate_cohort(tmp_path, **numbers)  # type: ignore[arg-type]


def test_a_study_is_never_overwritten(study: Path) -> None:
    with pytest.raises(StudyError, match="holds a study already"):
        simulate_cohort(study, patients=1, events=200, seed=1)
