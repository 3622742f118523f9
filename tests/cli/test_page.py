"""The demo's pages in headless Chromium: they load nothing, link to each other, and fit the window."""

import pytest

from tinygrad_bp.cli import main

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(folder)]) == 0
    return (folder / "index.html").as_uri()


@pytest.mark.parametrize("size", [(1280, 720), (500, 900)])
def test_it_fits_and_every_picture_is_seen(driver, page, size):
    driver.set_window_size(*size)
    driver.get(page)
    assert driver.execute_script("return document.images.length") == 10
    assert driver.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    width, window = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= window
    assert driver.execute_script("return performance.getEntriesByType('resource')"
                                 ".filter(e => !e.name.startsWith('data:')).length") == 0  # fmt: skip
    assert driver.get_log("browser") == []


def test_a_visitor_finds_the_stepper_and_the_derivation_and_back(driver, page):
    driver.set_window_size(1280, 720)
    driver.get(page)
    driver.find_element("partial link text", "Step through a backward pass").click()
    assert "2-3-1" in driver.title
    driver.back()
    driver.find_element("partial link text", "Read the derivation").click()
    assert "BP4" in driver.find_element("tag name", "body").text
    driver.find_element("partial link text", "back").click()
    assert driver.current_url == page
    assert driver.get_log("browser") == []
