"""The HTML report in a real browser: nothing runs, nothing loads, keys suffice, a phone is wide enough."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from report_sample import results as sample
from report_sample import timelines
from test_report_html import HOSTILE, every, picture

from reports.html import render_html

pytestmark = pytest.mark.needs("chromium")

ARGUMENTS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS.split())
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_html(sample(), timelines()), encoding="utf-8")
    return path


class Watch:
    """What a page asked for and what the browser complained of."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        self.failures: list[str | None] = []
        page.on("requestfailed", lambda request: self.failures.append(request.failure))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce") as page:
        watch = Watch(page)
        page.goto(report.as_uri())
        yield page
        assert watch.requests == [report.as_uri()]
        assert watch.complaints == []


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_does_nothing(browser: Browser, tmp_path: Path, hostile: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_html(every(hostile), {hostile: picture(hostile)}), encoding="utf-8")
    with browser.new_page() as page:
        watch = Watch(page)
        page.goto(path.as_uri())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        page.locator("[data-timeline]").hover()
        assert page.evaluate("window.hacked") is None
        assert page.locator("script").count() == 1
        assert page.locator("pre").count() == 1
        assert watch.requests == [path.as_uri()]
        assert watch.complaints == []


def test_the_policy_stops_a_script_and_a_style_that_got_in(browser: Browser, tmp_path: Path) -> None:
    """The second wall: even markup that had come through could do nothing."""
    html = render_html(sample(), {})
    path = tmp_path / "report.html"
    intruder = (
        "<script>window.hacked=1</script><p id=x style='color:red' onclick='window.hacked=2'>x</p>"
        "<img src='http://127.0.0.1:9/x.png' onerror='window.hacked=3'>"
        "<link rel=stylesheet href='http://127.0.0.1:9/x.css'><iframe src='http://127.0.0.1:9/'></iframe>"
    )
    path.write_text(html.replace("<main>", f"<main>{intruder}"), encoding="utf-8")
    with browser.new_page() as page:
        watch = Watch(page)
        page.goto(path.as_uri())
        page.click("#x")
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("getComputedStyle(document.getElementById('x')).color") != "rgb(255, 0, 0)"
        assert set(watch.failures) == {"csp"}
        assert sum("Content Security Policy" in complaint for complaint in watch.complaints) >= 5


def test_tab_reaches_the_failures_first_by_the_skip_link(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to broken rules"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]  # it is there, or the test fails
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "fail"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#fail') !== null")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_tab_goes_through_everything_that_can_be_used(page: Page) -> None:
    usable = page.locator("a[href]:visible, input:visible, summary:visible, [tabindex='0']:visible").count()
    seen = set()
    for _ in range(usable + 5):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert len(seen) >= usable


def test_the_filter_works_by_keyboard(page: Page) -> None:
    cards = page.locator("article.is-warn")
    assert cards.first.is_visible()
    page.focus("#show-warn")
    page.keyboard.press("Space")
    assert not cards.first.is_visible()
    assert page.locator(".off-warn").is_visible()
    assert page.locator("article.is-fail").first.is_visible()
    page.keyboard.press("Space")
    assert cards.first.is_visible()


def test_a_cell_of_the_matrix_opens_its_cases(page: Page) -> None:
    cases = page.locator("#cases-subscribe-http")
    assert not cases.is_visible()
    page.click("a[href='#cases-subscribe-http']")
    assert cases.is_visible()
    box = cases.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900


def test_a_link_to_a_closed_case_opens_it(page: Page) -> None:
    case = page.locator("#case-cancel-http.proxy-buffering".replace(".", "\\."))
    assert case.get_attribute("open") is None
    page.evaluate("location.hash = '#case-cancel-http.proxy-buffering'")
    page.wait_for_function("document.getElementById('case-cancel-http.proxy-buffering').open", timeout=5_000)


def test_arrow_keys_read_out_the_marks(page: Page) -> None:
    scenario = page.locator("#scenario-buffering-proxy")
    scenario.locator("[data-timeline]").focus()
    readout = scenario.locator(".readout")
    page.keyboard.press("Home")
    assert readout.inner_text() == "GET /jobs/7/events #1 · 0.000 s · 1 note · subscribe — GET /jobs/7/events"
    page.keyboard.press("ArrowRight")
    assert readout.inner_text() == 'GET /jobs/7/events #1 · 0.100 s · 1 event · seq 0 — progress {"seq": 0}'
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert "8.000 s to 8.020 s · 40 events · seq 0, seq 1, seq 2 … seq 39" in readout.inner_text()
    page.keyboard.press("End")
    assert "1 completion" in readout.inner_text()


def test_pointing_at_a_mark_reads_it_out(page: Page) -> None:
    scenario = page.locator("#scenario-resume-after-a-cut")
    scenario.locator("use.t-fault").first.hover()
    assert scenario.locator(".readout").inner_text() == (
        "link · 1.000 s · 1 fault · Disconnect(RST) — after the third event"
    )


def test_arrow_keys_read_out_a_gauge_and_pointing_at_it_does(page: Page) -> None:
    scenario = page.locator("#scenario-stalled-reader")
    scenario.locator("[data-timeline]").focus()
    readout = scenario.locator(".readout")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert readout.inner_text() == "process.descriptors · 0.300 s · 13"
    page.keyboard.press("End")
    assert readout.inner_text() == "process.descriptors · 8.100 s · 117"
    scenario.locator(".chart", has_text="process.memory").locator("use").nth(6).hover()
    assert readout.inner_text() == "process.memory · 1.800 s · 80.64 MB"


def test_a_chart_has_a_line_and_the_words_of_its_ends(page: Page) -> None:
    scenario = page.locator("#scenario-stalled-reader")
    chart = scenario.locator(".chart", has_text="process.descriptors")
    line, words = chart.locator("polyline").bounding_box(), str(chart.text_content())
    assert line is not None
    assert line["width"] > 500
    assert 20 < line["height"] < 60
    assert "9 to 117, 9 at first, 117 at last" in words
    assert "process.threads: 4 throughout." in str(scenario.locator("svg desc").text_content())


def test_without_script_everything_can_be_read(browser: Browser, report: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context, context.new_page() as page:
        page.goto(report.as_uri() + "#cases-subscribe-http")
        assert page.locator("h1").inner_text().startswith("Does not conform")
        assert page.locator("#cases-subscribe-http").is_visible()
        assert not page.locator(".readout").first.is_visible()
        page.locator("#show-fail").uncheck()
        assert not page.locator("article.is-fail").first.is_visible()


@pytest.mark.parametrize("width", [320, 360, 768])
def test_no_page_is_wider_than_the_screen(browser: Browser, report: Path, width: int) -> None:
    with browser.new_page(viewport={"width": width, "height": 740}) as page:
        page.goto(report.as_uri())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        matrix = page.locator("#matrix .scroll")
        if width < 700:
            assert matrix.evaluate("box => box.scrollWidth > box.clientWidth")


def test_long_hostile_words_do_not_widen_a_phones_page(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    word = "W" * 3_000
    path.write_text(render_html(every(word), {word: picture(word)}), encoding="utf-8")
    with browser.new_page(viewport={"width": 360, "height": 740}) as page:
        page.goto(path.as_uri())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        name = page.locator(".matrix tbody th").bounding_box()
        assert name is not None
        assert name["width"] < 200  # or, standing still while the rest scrolls, it would cover the cells
        page.locator(".matrix td a").click(timeout=5_000)


# Every piece of text that can be seen, with its contrast to the ground it stands on (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const linear = (v) => (v <= 10.31 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.slice(0, 3).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("Canvas");
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.getClientRects().length) continue;
    if (node.closest(".vh, script, style, title, desc")) continue;
    const style = getComputedStyle(node);
    const colour = rgba(node.closest("svg") ? style.fill : style.color);
    const [low, high] = [luminance(colour), luminance(ground(node))].sort((a, b) => a - b);
    const name = node.tagName + "." + node.getAttribute("class") + " in " + node.parentElement.className;
    found[name] = Math.min(found[name] ?? 21, (high + 0.05) / (low + 0.05));
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_told_from_its_ground(browser: Browser, report: Path, scheme: str) -> None:
    with browser.new_page() as page:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(report.as_uri())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        page.locator("#show-pass").uncheck()
        contrasts: dict[str, float] = page.evaluate(CONTRASTS)
        assert len(contrasts) > 40
        assert {name: value for name, value in contrasts.items() if value < 4.5} == {}


def test_a_dark_screen_gets_a_dark_page(browser: Browser, report: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with browser.new_page() as page:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.goto(report.as_uri())
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.append(
                sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
            )
    light, dark = grounds
    assert light > 600
    assert dark < 150


def test_paper_gets_no_controls(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("h1").is_visible()
    assert page.locator("article.is-fail pre").first.is_visible()


def test_nothing_moves_for_those_who_asked_for_stillness(browser: Browser, report: Path) -> None:
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    with browser.new_page() as page:
        page.goto(report.as_uri())
        assert page.evaluate(behaviour) == "smooth"
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate(behaviour) == "auto"
