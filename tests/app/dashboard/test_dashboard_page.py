"""The page in a real browser: every view of every kind of study, live, steered, by keyboard."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from tests.app.dashboard.browsing import Browser
from tests.app.dashboard.conftest import Served
from tests.app.dashboard.example_studies import HOSTILE, LONG, told

import luthier
from luthier.space import Float, Space
from luthier.study.records import TrialState

pytestmark = pytest.mark.processes

TABS = (
    "overview",
    "trials",
    "curves",
    "rungs",
    "hyperparameters",
    "health",
    "story",
    "workers",
    "rate",
)
PHONE, DESK = (390, 800), (1300, 900)


@pytest.fixture(scope="module")
def browser(
    dashboard: Served, trainer: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    folder = Path(os.environ.get("LUTHIER_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    opened = Browser(dashboard.url, folder)
    opened.size(*DESK)
    yield opened
    opened.quit()


@pytest.fixture(autouse=True)
def nothing_is_wrong(browser: Browser, dashboard: Served) -> Iterator[None]:
    """After every test: no complaint in the console, no request to another host."""
    browser.complaints(), browser.hosts()
    yield
    assert browser.complaints() == []
    assert browser.hosts() <= {dashboard.url}


def views(study: str) -> list[tuple[str, str, dict[str, object]]]:
    tabs = [(tab, "/study", {"name": study, "tab": tab}) for tab in (*TABS, "steer")]
    return [
        *tabs,
        ("trial", "/trial", {"name": study, "n": 2}),
        ("compare", "/compare", {"name": study, "trials": "0,2,1"}),
        ("against", "/studies", {"names": json.dumps([study, "stages", "no such study"])}),
    ]


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_every_view_is_whole_and_accessible(browser: Browser, look: str) -> None:
    browser.colours("dark" if look == "dark" else "light")
    everything = [("studies", "/", {}), *views("hyperband")]
    everything.append(("stages", "/study", {"name": "stages", "tab": "story"}))
    everything.append(("front", "/study", {"name": "several objectives"}))
    everything.append(("troubled", "/study", {"name": "troubled workers", "tab": "workers"}))
    everything.append(("troubled-trial", "/trial", {"name": "troubled workers", "n": 7}))
    everything.append(("troubled-overview", "/study", {"name": "troubled workers"}))
    browser.open()
    for name, path, query in everything:
        browser.size(*(PHONE if look == "phone" else DESK))
        browser.go(path, **query)
        wide, room = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room, f"{name} is wider than the window"
        empty = (
            "return [...document.querySelectorAll('canvas[data-marks]')].map(c => +c.dataset.marks)"
        )
        marks = browser.run(empty)
        assert all(marks), f"{name} has a picture without a mark: {marks}"
        browser.picture(f"{name}-{look}")
        rules = [] if look == "light" else ["color-contrast"] if look == "dark" else ["target-size"]
        assert browser.violations(*rules) == [], f"{name} in {look}"
    browser.size(*DESK)
    browser.colours("light")


ODD = {
    "empty": "empty",
    "one-trial": "one trial",
    "all-diverged": "all diverged",
    "categorical": "categorical only",
    "sixty": "sixty",
    "several": "several objectives",
    "long": LONG,
}


@pytest.mark.parametrize("short", ODD)
def test_an_odd_study_breaks_nothing(browser: Browser, short: str) -> None:
    study = ODD[short]
    browser.open()
    for name, path, query in views(study):
        browser.go(path, **query)
        assert study[:40] in browser.text or name in ("trial", "compare", "against")
        wide, room = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room, f"{name} of {short} is wider than the window"
        if name in ("overview", "trials", "hyperparameters", "against"):
            browser.picture(f"odd-{short}-{name}")
            browser.size(*DESK)


def test_a_hostile_study_only_shows_its_text(browser: Browser) -> None:
    """Every text that a user can choose is markup; none of it becomes an element."""
    browser.open()
    failed = ("failed", "/trial", {"name": HOSTILE, "n": 5})
    for name, path, query in [*views(HOSTILE), failed]:
        browser.go(path, **query)
        found = browser.run(
            "return [document.title, document.querySelectorAll('img[src=x], script:not([src]), "
            "#page b').length]"
        )
        assert found[0] != "broken", name
        assert found[1] == 0, name
    assert HOSTILE.rstrip("\u202e ") in browser.text, "the failed trial's message is shown as it is"


def test_a_link_reproduces_the_view(browser: Browser) -> None:
    browser.open(
        "/study", name="hyperband", tab="trials", s="completed", sort="-units", f="dropout<0.4"
    )
    assert browser.run("return document.querySelector('.chip.completed').ariaPressed") == "true"
    assert browser.run("return document.getElementById('filter').value") == "dropout<0.4"
    units = shown(browser, "units")
    assert units == sorted(units, reverse=True)
    assert len(units) > 1
    assert all(value < 0.4 for value in shown(browser, "dropout"))


def shown(browser: Browser, column: str) -> list[float]:
    """Return a column of the table of trials."""
    return browser.run(
        "const heads = [...document.querySelectorAll('table.virtual th')].map(h => "
        "h.innerText.replace(/ [▾▴]/, '').trim()); const at = heads.indexOf(arguments[0]);"
        "return [...document.querySelectorAll('tr[data-trial]')].map(r => +r.cells[at].innerText)",
        column,
    )


def test_brushing_an_axis_filters_the_table(browser: Browser) -> None:
    browser.open("/study", name="hyperband", tab="trials")
    before = len(browser.run("return [...document.querySelectorAll('tr[data-trial]')]"))
    axis = browser.driver.find_element("css selector", "[data-axis='dropout']")
    height = axis.size["height"]
    drag = ActionChains(browser.driver).move_to_element(axis).click_and_hold()
    drag.move_by_offset(0, height // 4).move_by_offset(0, height // 4 - 2).release().perform()
    browser.until(lambda: "dropout" in browser.run("return location.hash"), "the brush in the URL")
    browser.settle()
    values = shown(browser, "dropout")
    assert 0 < len(values) <= before
    assert all(value <= 0.31 for value in values), "the lower half of 0 to 0.6"
    axis = browser.driver.find_element("css selector", "[data-axis='dropout']")
    ActionChains(browser.driver).move_to_element(axis).click().perform()
    browser.until(lambda: "dropout" not in browser.run("return location.hash"), "no brush")


def test_the_contour_and_the_slices_show_what_a_surrogate_expects(browser: Browser) -> None:
    browser.open("/study", name="hyperband", tab="hyperparameters", cx1="dropout", cx2="units")
    assert "What a Gaussian process expects, all else as in trial" in browser.text
    table = "[...document.querySelectorAll('figure')].find(f => f.ariaLabel === 'Two together')"
    browser.run(
        f"[...{table}.querySelectorAll('button')].find(b => b.innerText === 'Table').click()"
    )
    heads = f"return [...{table}.querySelectorAll('th')].map(h => h.innerText)"
    assert browser.run(heads)[:3] == ["dropout", "units", "expected"]
    browser.run(
        f"const s = {table}.querySelector('select'); s.value = 'learning_rate';"
        "s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    browser.settle()
    browser.until(lambda: "cx1=learning_rate" in browser.run("return location.hash"), "the URL")
    browser.until(lambda: browser.run(heads)[:1] == ["learning_rate"], "the other contour")


def test_repeats_on_other_seeds_are_beside_the_trial(browser: Browser, storage: Path) -> None:
    history = luthier.open("stages", storage=storage).history
    winner = next(t.repeats for t in history.trials if t.repeats >= 0)
    again = [t for t in history.trials if t.repeats == winner]
    browser.open("/trial", name="stages", n=winner)
    seeds = "seed" if len(again) == 1 else "seeds"
    assert f"Trained again on {len(again)} {seeds}: val_loss " in browser.text
    browser.picture("trial-repeated")
    browser.size(*DESK)
    browser.open("/study", name="stages", tab="story")
    assert "Race of the finalists" in browser.text


def test_a_bound_that_was_never_measured_is_broken(browser: Browser) -> None:
    """Of ten trials every other one, the last too, did not measure what it is bounded by."""
    browser.open("/study", name="bounded", tables="best-so-far")
    text = "The best loss so far is 0.11111, of trial 8; the 1 trial after it found none better."
    assert text in browser.text
    cells = "return [...document.querySelector('figure table').rows].at(-1).cells[3].innerText"
    assert browser.run(cells) == "0.111111"


def test_repetitions_of_a_race_are_not_counted_as_trials_of_the_budget(
    browser: Browser, dashboard: Served
) -> None:
    summary = dashboard.get("study", study="stages")["summary"]
    assert summary["repetitions"] > 0
    tried = summary["trials"] - summary["repetitions"]
    again = f"{summary['repetitions']} repetitions"
    browser.open("/study", name="stages")
    assert f"{tried} of {summary['max_trials']}" in browser.text
    assert f"and {again} of finalists" in browser.text
    browser.go("/")
    line = "return document.querySelector('[data-study=stages]').innerText"
    assert f"{tried} of {summary['max_trials']} trials and {again}" in browser.run(line)


def test_negative_values_lie_on_their_axis_as_all_others_do(browser: Browser) -> None:
    browser.open("/study", name="bounded", tab="hyperparameters")
    marks = browser.run(
        "return [...document.querySelectorAll('canvas[data-marks]')].map(c => +c.dataset.marks)"
    )
    assert all(marks)
    browser.go("/study", name="bounded", tab="trials", b='{"x": [-9, -1]}')
    assert "10 of 10 trials" in browser.text


def test_lost_workers_and_retries_are_told(browser: Browser) -> None:
    browser.open("/study", name="troubled workers", tab="workers", tables="timeline-of-workers")
    text = browser.text
    assert "2 jobs lost with a worker, 3 jobs tried again" in text
    again = "return [...document.querySelectorAll('figure tr')].map(r => r.cells[7].innerText)"
    assert sorted(set(browser.run(again))) == [
        "error", "out of memory", "preempted", "tried again after", "–",
    ]  # fmt: skip
    browser.open("/trial", name="troubled workers", n=5)
    log = browser.run(
        "return document.querySelector('section[aria-label=Log] .feed').innerText"
    ).splitlines()
    assert "completed after epoch 4" in log[0]
    assert "lost its worker: signal 9" in log[2]
    assert log[-1].endswith("proposed")
    browser.open("/study", name="troubled workers")
    assert "left, until the trials are spent, once it goes on" in browser.text


def test_studies_are_ticked_and_compared(browser: Browser) -> None:
    browser.open("/")
    for name in ("hyperband", "stages"):
        browser.run("document.querySelector(`[data-study='${arguments[0]}'] input`).click()", name)
    browser.until(lambda: "Compare 2" in browser.text, "the link")
    browser.run(
        "[...document.querySelectorAll('a')].find(a => a.innerText === 'Compare 2').click()"
    )
    browser.until(lambda: "Compare studies" in browser.text, "the page")
    browser.settle()
    assert "Best so far of each" in browser.text
    rows = browser.run(
        "return [...document.querySelectorAll('tr.differs th')].map(h => h.innerText)"
    )
    assert "scheduler" in rows, "what differs between them"


def test_a_running_study_moves_by_itself(browser: Browser, trainer: str) -> None:
    browser.open("/study", name=trainer)
    browser.until(lambda: "live" in browser.text and "running 1" in browser.text, "a running trial")
    epoch = (
        "return +document.querySelector('tr[data-running] td:nth-child(2)').innerText.split(' ')[0]"
    )
    first = browser.until(lambda: browser.run(epoch), "its first epoch")
    browser.until(lambda: (browser.run(epoch) or 0) > first, "its next epoch")
    for _, path, query in views(trainer):
        browser.go(path, **query)


def test_pause_holds_the_page_still(browser: Browser, trainer: str) -> None:
    browser.open("/study", name=trainer)
    version = "return +document.getElementById('main').dataset.version"
    browser.until(lambda: browser.run(version) > 2, "updates")
    browser.run(
        "[...document.querySelectorAll('header button')].find(b => b.innerText === 'Pause').click()"
    )
    time.sleep(1.0)  # what was asked for already may still come
    held = browser.run(version)
    time.sleep(1.5)
    assert browser.run(version) == held
    browser.run(
        "[...document.querySelectorAll('header button')].find(b => b.innerText === 'Go live').click()"
    )
    browser.until(lambda: browser.run(version) > held, "updates again")


def test_a_click_prunes_the_trial_that_really_trains(
    browser: Browser, trainer: str, storage: Path
) -> None:
    browser.open("/study", name=trainer)
    row = "return document.querySelector('tr[data-running]')?.dataset.running"
    number = int(browser.until(lambda: browser.run(row), "a running trial"))
    press = f"document.querySelector('tr[data-running=\"{number}\"] .prune button')?.click()"
    browser.run(press)
    browser.until(lambda: "Really prune?" in browser.text, "the question")
    browser.run(press)
    study = luthier.open(trainer, storage=storage)
    browser.until(lambda: study.trials[number].state is TrialState.STOPPED, "the log to say so")
    assert study.trials[number].why == "pruned by hand"
    assert study.trials[number].step < 4000, "it did not train to its end"
    browser.until(lambda: len(study.trials) > number + 1, "the worker to begin the next trial")
    feed = "return document.querySelector('.feed').innerText"
    said = f"trial {number} was pruned: pruned by hand by "
    browser.until(lambda: said in browser.run(feed), "the page to tell who did it")


def test_a_best_that_breaks_its_constraints_is_not_called_good(
    browser: Browser, storage: Path
) -> None:
    bad = [{"loss": 1.0, "latency": 50.0}, {"loss": 2.0, "latency": 60.0}]
    told("none keeps it", storage, Space(x=Float(0, 1)), bad, subject_to="latency <= 20")
    browser.open("/study", name="none keeps it")
    card = browser.driver.find_element("css selector", "section[aria-label=Best]")
    assert "good" not in card.get_attribute("class").split()
    assert "breaks latency <= 20, as all others do" in card.text


def test_a_note_spends_nothing(browser: Browser, storage: Path) -> None:
    said = (
        "return [...document.querySelectorAll('figcaption')].map(c => c.innerText)"
        ".find(t => / epochs in /.test(t))"
    )
    browser.open("/study", name="troubled workers", spent="epochs")
    before = browser.run(said)
    luthier.open("troubled workers", storage=storage).steer.by("Ada").note("an hour later")
    browser.open("/study", name="troubled workers", spent="epochs")
    assert browser.run(said) == before
    assert "in 35 min 50 s" in before  # at the last report; the log was begun 4,000 s ago


def test_a_budget_is_typed_beside_what_others_set_and_no_number_is_no_budget(
    browser: Browser, storage: Path
) -> None:
    study = luthier.open("categorical only", storage=storage)
    study.steer.budget(trials=40)
    browser.open("/study", name="categorical only", tab="steer")
    card = "section[aria-label=Budget]"
    trials, epochs = browser.driver.find_elements("css selector", f"{card} input")
    button = browser.driver.find_element("css selector", f"{card} button")
    epochs.send_keys("1e")
    button.click()
    assert browser.run("return arguments[0].validity.badInput", epochs)
    assert browser.run("return document.activeElement === arguments[0]", epochs)
    study.steer.budget(trials=30)
    browser.until(lambda: trials.get_attribute("value") == "30", "what a colleague has set")
    epochs.send_keys(Keys.BACKSPACE, "00")
    button.click()
    said = "The budget is now: 30 trials in all; 100 epochs of all trials together."
    browser.until(lambda: said in browser.text, "the answer")
    limits = study.refresh().limits
    assert (limits.trials, limits.epochs) == (30, 100)
    study.steer.budget(trials=20)  # nobody has said how many epochs each of them trains
    browser.open("/study", name="categorical only")
    meters = "return [...document.querySelectorAll('.meter')].map(m => m.innerText)"
    assert [" ".join(text.split()) for text in browser.run(meters)] == [
        "trials 15 of 20",
        "epochs 15",
    ]
    assert "plan: 20 trials\n" in browser.text


def test_a_stream_that_the_server_closed_is_not_begun_again_by_a_page_that_was_paused(
    browser: Browser,
) -> None:
    browser.open("/study", name="one trial")
    press = (
        "[...document.querySelectorAll('header button')]"
        ".find(b => /^(Pause|Go live)$/.test(b.innerText)).click()"
    )
    browser.run(press)
    browser.run(
        """
        const [Stream, later] = [EventSource, setTimeout];
        window.made = 0;
        window.setTimeout = (call, ms, ...rest) => later(call, ms === 3000 ? 1000 : ms, ...rest);
        window.EventSource = class extends Stream {
          constructor() {
            super("nothing");  // answered by 404, which closes it
            window.made += 1;
            this.addEventListener("error", () => later(() => { PRESS; window.paused = true; }));
          }
        };
        PRESS;
        """.replace("PRESS", press)
    )
    browser.until(lambda: browser.run("return window.paused"), "the stream to be closed")
    browser.run_later("setTimeout(done, 1500)")
    assert browser.run("return window.made") == 1
    assert all("404" in line for line in browser.complaints())
    browser.driver.get("about:blank")  # what was patched goes with the page


def test_a_note_is_kept_with_its_author(browser: Browser, storage: Path) -> None:
    browser.open("/trial", name="one trial", n=0)
    write = (
        "[...document.querySelectorAll('button')].find(b => b.innerText === arguments[0]).click()"
    )
    browser.run(write, "Write one")
    browser.driver.find_element("css selector", "textarea").send_keys("<b>looks good</b>")
    browser.run(write, "Keep")
    browser.until(lambda: "The note is kept." in browser.text, "the note")
    browser.until(lambda: "<b>looks good</b>" in browser.text, "its text, as it was typed")
    note = luthier.open("one trial", storage=storage).history.notes[0]
    assert (note.text, note.trial) == ("<b>looks good</b>", 0)
    assert "dashboard" in note.who


def test_all_of_it_by_keyboard(browser: Browser) -> None:
    """From the list to a trial: never a mouse."""

    def press(*keys: str) -> None:
        ActionChains(browser.driver).send_keys(*keys).perform()

    def focused() -> str:
        return browser.run(
            "return document.activeElement.innerText || document.activeElement.ariaLabel"
        )

    browser.open("/")
    for _ in range(40):
        press(Keys.TAB)
        if focused() == "hyperband":
            break
    assert focused() == "hyperband"
    press(Keys.ENTER)
    browser.until(lambda: "Best so far" in browser.text, "the study")
    browser.settle()
    press("2")
    browser.until(lambda: browser.run("return !!document.querySelector('[data-axis]')"), "the axes")
    browser.run("document.querySelector('[data-axis=\"units\"]').focus()")
    press(Keys.ARROW_UP)
    browser.until(lambda: "units" in browser.run("return location.hash"), "a brush by keyboard")
    press(Keys.ESCAPE)
    browser.until(lambda: "units" not in browser.run("return location.hash"), "the brush let go")
    press("/")
    assert browser.run("return document.activeElement.id") == "filter"
    press("units>100")
    browser.until(lambda: "units%3E100" in browser.run("return location.hash"), "the filter")
    browser.run("document.activeElement.blur()")
    press("1")
    browser.until(lambda: "Best so far" in browser.text, "the overview")
    browser.settle()
    browser.run("document.querySelector('.canvas-holder').focus()")
    press(Keys.ARROW_RIGHT)
    hover = "return document.querySelector('.hover')?.innerText ?? ''"
    browser.until(lambda: "trial " in browser.run(hover), "a point's text")
    press(Keys.ENTER)
    browser.until(lambda: browser.run("return location.hash").startswith("#/trial"), "its trial")
    press("?")
    browser.until(
        lambda: browser.run("return document.activeElement.id") == "help-close", "the keys"
    )
    press(Keys.ESCAPE)
    browser.until(lambda: not browser.run("return !!document.querySelector('.help')"), "their end")


def test_pictures_and_tables_are_saved(browser: Browser, tmp_path: Path) -> None:
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.open("/study", name="hyperband")
    for kind in ("PNG", "SVG", "CSV"):
        browser.run(
            "[...document.querySelector('figure').querySelectorAll('.exports button')]"
            ".find(b => b.innerText === arguments[0]).click()",
            kind,
        )
    paths = [tmp_path / f"best-so-far.{end}" for end in ("png", "svg", "csv")]
    browser.until(lambda: all(p.exists() for p in paths), "the files")
    time.sleep(0.2)
    png, svg, csv = (p.read_bytes() for p in paths)
    assert png.startswith(b"\x89PNG")
    assert svg.startswith(b"<svg")
    assert svg.endswith(b"</svg>")
    assert csv.splitlines()[0] == b"trial,state,val_loss,best so far"
    assert len(csv.splitlines()) == 1 + len(luthier_trials(browser))


def luthier_trials(browser: Browser) -> list[int]:
    return browser.run_later(
        "fetch('api/study?study=hyperband').then(a => a.json()).then(a => done(a.columns.state))"
    )
