"""MLflow's own pages in a real browser on a real server, filled as an experiment fills them."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.pages.notes import Links, experiment_note, overview_note
from tasks.comparison.results import BackboneResult, FoldResult
from tasks.comparison.summary import Summary
from tasks.config import Experiment
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.records import File, GridPicture, Metrics, Params, PictureTable, Text
from tasks.tracking.views import TRAINING, link, views_of
from tests.support.browser import chromium
from tests.support.servers import mlflow_over_http

SCORES = {"vgg16": 0.5, "ncnn": 0.875, "resnet50": 0.75}
BEST_FIRST = ["ncnn", "resnet50", "vgg16"]
VIEWS = {view.key: view for view in views_of("accuracy", higher_is_better=True)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory, empty_store):
    """A server with a recorded experiment of three backbones: its address, and the ids of what is there."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    with mlflow_over_http(folder, f"sqlite:///{folder / 'mlflow.db'}") as address:
        yield record(Ledger(address, "eyes"), address, folder)


def record(ledger, address, folder):
    run_id = ledger.open_experiment(Known(None, {}), "eyes", {})
    sheet = folder / "contact_sheet.png"
    Image.new("RGB", (60, 40), "teal").save(sheet)
    ledger.writer(run_id).write([Text("<h1>The report</h1>", "report.html"), File(sheet)])
    results = {name: backbone(ledger, name, score, sheet) for name, score in SCORES.items()}
    links = Links(ledger.pages.experiment_id, run_id)
    experiment = Experiment(name="eyes", data={"path": "x"}, backbones=list(SCORES), evaluation={"metric": "accuracy"})
    plan = SimpleNamespace(experiment=experiment, n_folds=2)
    files = {"report": "report.html", "contact sheet": "contact_sheet.png"}
    told = experiment_note(plan, results, BEST_FIRST, [], ["Few | images."], files, links)
    ledger.pages.offer(VIEWS.values())
    ledger.pages.describe_run(run_id, told)
    ledger.pages.describe(overview_note(plan, told, VIEWS.values(), links))
    ledger.end(run_id, "completed")
    return SimpleNamespace(address=address, links=links, run_id=run_id, results=results)


def backbone(ledger, name, score, sheet):
    run_id, _ = ledger.open_backbone(name, name, "digest")
    red = Image.new("RGB", (40, 40), "red")
    columns = {"image": ["a.png"], "picture": [red], "predicted": ["sick"]}
    scores = {"oof/accuracy": score, "cv/accuracy_mean": score, "cv/accuracy_ci_low": score - 0.1}
    table = PictureTable("mistakes", columns)
    ledger.writer(run_id).write(
        [Params({"backbone": name}), Metrics(scores), GridPicture("contact_sheet", sheet), table]
    )
    fold_run = ledger.open_fold(name, 0, f"{name}/0", "digest")
    curve = [Metrics({"val/accuracy": score * epoch / 3, "val/loss": 1 / epoch}, epoch) for epoch in (1, 2, 3)]
    ledger.writer(fold_run).write([Params({"backbone": name}), Metrics({"test/accuracy": score}), *curve])
    ledger.end(fold_run, "completed")
    ledger.end(run_id, "completed")
    summary = Summary(score, 0.1, score - 0.1, score + 0.1, [score, score])
    folds = tuple(FoldResult(name, fold, "completed", fold_run) for fold in range(2))
    return BackboneResult(name, run_id, {"accuracy": summary}, folds, pd.DataFrame, {"accuracy": score})


def run_names(browser):
    """The names in the rows of the runs table, from the top."""
    return browser.evaluate(
        "[...document.querySelectorAll('.ag-pinned-left-cols-container .ag-row')]"
        ".sort((one, other) => one.getAttribute('row-index') - other.getAttribute('row-index'))"
        ".map((row) => row.textContent.trim()).filter(Boolean)"
    )


def shown(browser, text):
    browser.wait(f"document.body && document.body.innerText.includes({text!r})")


def test_a_view_lists_the_backbones_best_first(browser, pages):
    browser.open(f"{pages.address}/{link(pages.links.experiment_id, VIEWS['foldcam-backbones'])}")
    shown(browser, "3 matching runs")
    browser.wait("document.querySelectorAll('.ag-pinned-left-cols-container .ag-row').length >= 3")
    browser.wait("document.querySelectorAll('.ag-header-cell').length > 5")
    assert [name for row in run_names(browser) for name in SCORES if name in row] == BEST_FIRST
    headers = browser.evaluate(
        "[...document.querySelectorAll('.ag-header-cell')]"
        ".sort((one, other) => one.getBoundingClientRect().left - other.getBoundingClientRect().left)"
        ".map((cell) => cell.textContent.trim())"
    )
    scores = [text for text in headers if "accuracy" in text]
    assert scores[:3] == ["oof/accuracy", "cv/accuracy_mean", "cv/accuracy_ci_low"]
    shown(browser, "Backbones, best first")


def test_the_views_charts_show_the_contact_sheets_of_all_backbones_side_by_side(browser, pages):
    browser.open(f"{pages.address}/{link(pages.links.experiment_id, VIEWS['foldcam-backbones'], charts=True)}")
    shown(browser, "contact_sheet")
    pictures = "[...document.images].filter((one) => one.naturalWidth > 0 && one.src.includes('%2Fcontact_sheet%2B'))"
    browser.wait(f"{pictures}.length === 3")


def test_the_fold_runs_are_grouped_by_backbone_above_their_epoch_curves(browser, pages):
    browser.open(f"{pages.address}/{link(pages.links.experiment_id, VIEWS['foldcam-folds'], charts=True)}")
    for name in SCORES:
        shown(browser, f"Group: {name}")
    shown(browser, "val/accuracy")
    browser.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length >= 3")


def test_a_runs_description_shows_the_table_the_links_and_the_picture(browser, pages):
    browser.open(f"{pages.address}/{pages.links.run(pages.run_id)}")
    browser.wait("document.querySelector('td')")
    shown(browser, "ncnn has the highest mean accuracy")
    cells = browser.evaluate("[...document.querySelectorAll('tbody tr')].map((row) => row.innerText.split(/\\s+/)[0])")
    assert cells[:3] == BEST_FIRST
    shown(browser, "Few | images.")
    report = browser.evaluate("[...document.querySelectorAll('a')].find((one) => one.textContent === 'report').href")
    assert report == f"{pages.address}/#/experiments/{pages.links.experiment_id}/runs/{pages.run_id}/" + (
        f"artifacts/report.html?{TRAINING}"
    )
    browser.wait("[...document.images].some((one) => one.naturalWidth === 60)")
    browser.open(report)
    browser.wait("document.querySelector('iframe')")


def test_the_experiments_page_opens_with_the_answer_and_leads_to_the_views(browser, pages):
    browser.open(f"{pages.address}/#/experiments/{pages.links.experiment_id}/runs?{TRAINING}")
    shown(browser, "ncnn has the highest mean accuracy")
    links = browser.evaluate("[...document.querySelectorAll('a')].map((one) => one.getAttribute('href') || '')")
    for key in VIEWS:
        assert any(f"viewStateShareKey={key}" in address for address in links)


def test_the_table_of_mistakes_shows_its_pictures(browser, pages):
    run_id = pages.results["ncnn"].run_id
    address = f"#/experiments/{pages.links.experiment_id}/runs/{run_id}/artifacts/mistakes.json?{TRAINING}"
    browser.open(f"{pages.address}/{address}")
    shown(browser, "predicted")
    shown(browser, "sick")
    browser.wait("[...document.images].some((one) => one.naturalWidth === 40)")
