"""The stepper's page in headless Chromium: every control, the keyboard, the numbers, the contrast, no console error."""

import numpy as np
import pytest

import tinygrad_bp as bp

pytestmark = pytest.mark.browser

X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])


@pytest.fixture(scope="module")
def net():
    found = bp.nn.MLP([2, 3, 1], rng=0, dtype=np.float64)
    with bp.observe():
        cost = bp.nn.functional.quadratic_cost(found(bp.Tensor(X, name="x")), Y)
        cost.backward()
    return found, cost


@pytest.fixture
def page(driver, net, tmp_path):
    """The page, opened anew; afterwards the console must be empty."""
    driver.set_window_size(1280, 720)
    driver.get(bp.viz.stepper(net[1], tmp_path / "step.html", title="A small net").as_uri())
    driver.get_log("browser")
    driver.execute_script("document.documentElement.dataset.theme = 'light'; show(now)")
    yield driver
    assert driver.get_log("browser") == []


def by(page, name):
    return page.find_element("id", name)


def step(page):
    return int(by(page, "count").text.split()[0])


def last(page):
    return int(by(page, "scrubber").get_attribute("max"))


def press(page, keys):
    page.find_element("tag name", "body").send_keys(keys)


def test_buttons_step_back_jump_and_scrub(page):
    assert step(page) == 0
    by(page, "next").click()
    by(page, "next").click()
    assert step(page) == 2
    assert "computes" in by(page, "text").text
    by(page, "back").click()
    assert step(page) == 1
    by(page, "last").click()
    assert step(page) == last(page)
    assert by(page, "text").text.startswith("Done")
    by(page, "first").click()
    assert step(page) == 0
    by(page, "scrubber").send_keys("\ue014\ue014\ue014")  # the arrow key, right
    assert step(page) == 3
    jump = by(page, "jump")
    option = next(o for o in jump.find_elements("tag name", "option") if o.text.startswith("BP2"))
    option.click()
    assert "BP2" in by(page, "banner").text
    assert {e.text for e in page.find_elements("css selector", "#banner sup")} == {"l", "l+1"}
    assert page.find_elements("css selector", "#work math")
    assert page.find_elements("css selector", "svg .lit")


def test_the_keyboard_does_all_of_it(page):
    press(page, "\ue014")
    assert step(page) == 1
    press(page, "\ue012")
    assert step(page) == 0
    press(page, "\ue010")
    assert step(page) == last(page)
    press(page, "\ue011")
    assert step(page) == 0
    press(page, "+")
    assert by(page, "speed").get_property("selectedIndex") == 3
    press(page, "-")
    assert by(page, "speed").get_property("selectedIndex") == 2
    press(page, "w")
    assert by(page, "whatif").is_selected()
    press(page, "t")
    assert page.execute_script("return document.documentElement.dataset.theme") == "dark"


def test_play_goes_on_by_itself_and_pauses(page):
    from selenium.webdriver.support.ui import WebDriverWait

    for option in by(page, "speed").find_elements("tag name", "option"):
        if option.text == "6":
            option.click()
    by(page, "play").click()
    assert by(page, "play").get_attribute("aria-label") == "Pause"
    WebDriverWait(page, 20).until(lambda p: step(p) >= 2)
    by(page, "play").click()
    assert by(page, "play").get_attribute("aria-label") == "Play"
    stopped = step(page)
    assert 2 <= stopped <= last(page)
    assert page.execute_script("return timer") is None


def test_cells_tell_the_engines_numbers(page, net):
    linear = net[0].layers[1]
    by(page, "last").click()
    cells = page.find_elements("css selector", "#work table.heat")
    gradient = next(t for t in cells if "∂C/∂w^3" in t.get_attribute("aria-label"))
    told = [td.get_attribute("title").rpartition(" = ")[2] for td in gradient.find_elements("tag name", "td")]
    assert np.array(told, float).tobytes() == linear.weight.grad.ravel().tobytes()
    gradient.send_keys("\ue014", "\ue014")  # to the first cell, and one further
    name, _, number = by(page, "readout").text.rpartition(" = ")
    assert name.endswith("[0, 1]")
    assert float(number) == linear.weight.grad[0, 1]


def test_the_table_fills_as_things_come_out(page):
    filled = lambda: len(page.find_elements("css selector", "#layers td [role=img]"))
    assert filled() == 0
    counts = []
    for _ in range(last(page)):
        by(page, "next").click()
        counts.append(filled())
    assert counts == sorted(counts)
    assert counts[-1] == 10
    names = {e.text for e in page.find_elements("css selector", ".bpname")}
    assert names == {"BP1", "BP2", "BP3", "BP4"}


def test_what_if_shows_the_wrong_gradient(driver, tmp_path):
    x = np.array([1.0, 2.0])
    driver.get(bp.viz.stepper(lambda x: np.sum(x * x), tmp_path / "what.html", x).as_uri())
    by(driver, "last").click()
    told = lambda: [
        float(td.get_attribute("title").rpartition("= ")[2])
        for td in driver.find_elements("css selector", "#work td")
    ]
    assert told() == [2.0, 4.0]
    by(driver, "whatif").click()
    assert told() == [1.0, 2.0]
    assert driver.find_elements("css selector", "#work .wrong")
    assert "wrong" in by(driver, "text").text


def test_big_nets_are_closed_and_open_on_click(driver, tmp_path):
    net = bp.nn.MLP([4] * 13, rng=0, dtype=np.float64)
    with bp.observe():
        cost = np.sum(net(bp.Tensor(np.ones((2, 4)), name="x")))
        cost.backward()
    driver.get(bp.viz.stepper(cost, tmp_path / "big.html").as_uri())
    closed = driver.find_elements("css selector", "svg g.group")
    assert len(closed) == 12
    before = len(driver.find_elements("css selector", "svg g.vertex"))
    closed[0].click()
    assert len(driver.find_elements("css selector", "svg g.group")) == 11
    assert len(driver.find_elements("css selector", "svg g.vertex")) > before


def test_all_that_is_lit_is_in_view_and_nothing_is_wider_than_the_screen(driver, tmp_path):
    net = bp.nn.MLP([64, 30, 10], rng=0, dtype=np.float64)
    x, y = np.linspace(-1, 1, 640).reshape(10, 64), np.eye(10)
    cost = lambda: bp.nn.functional.quadratic_cost(net(x), y)
    driver.get(bp.viz.stepper(cost, tmp_path / "digits.html").as_uri())
    room = by(driver, "graph").rect
    for _ in range(last(driver)):
        by(driver, "next").click()
        for lit in driver.find_elements("css selector", "svg g.lit"):
            assert lit.rect["y"] >= room["y"]
            assert lit.rect["y"] + lit.rect["height"] <= room["y"] + room["height"]
        assert driver.execute_script("return $('work').scrollWidth <= $('work').clientWidth")
    ranges = [e.text for e in driver.find_elements("css selector", "#work .range")]
    assert ranges
    assert all(" to " in text for text in ranges)


LUMINANCE = """
const f = (u) => (u /= 255) <= 0.03928 ? u / 12.92 : ((u + 0.055) / 1.055) ** 2.4;
const l = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
const ground = (e) => { while (e && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(e).backgroundColor)) e = e.parentElement; return e ? getComputedStyle(e).backgroundColor : "rgb(255, 255, 255)"; };
return [...document.querySelectorAll("p, button, select, td, th, .what, .bp, .bpname, h1, caption, footer, label, output")].filter((e) => e.offsetParent && e.textContent.trim())
  .map((e) => { const a = l(getComputedStyle(e).color), b = l(ground(e)); return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + "." + e.className + ": " + e.textContent.slice(0, 30)]; });
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_aa(page, theme):
    page.execute_script(f"document.documentElement.dataset.theme = '{theme}'; go(23)")
    found = page.execute_script(LUMINANCE)
    assert len(found) > 30
    assert [what for ratio, what in found if ratio < 4.5] == []


def test_everything_that_works_has_a_name(page):
    by(page, "last").click()
    nameless = page.execute_script("""return [...document.querySelectorAll("button, input, select, canvas, table.heat, svg [role], section")]
      .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML.slice(0, 80));""")
    assert nameless == []
    assert by(page, "text").get_attribute("aria-live") == "polite"


def test_it_prints_without_the_controls(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert not page.find_element("class name", "controls").is_displayed()
    assert len(page.find_elements("css selector", "#printout li")) == last(page) + 1
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
