"""The administrator's page in a real browser: it signs in, shows a fault that was planted, and is used with the
keyboard alone."""

import os
import pathlib
import time

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from support.patience import until as wait_until
from support.receiver import Receiver
from support.server import Server, needs

TOKEN = "0123456789abcdef0123456789abcdef"
# Where pictures of what is shown go, for people to look at; nowhere if it is not set.
PICTURES = os.environ.get("HOLDFAST_PICTURES")


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = needs("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1200,900",
                     "--ignore-certificate-errors"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(needs("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def receiver():
    """Whom a webhook tells."""
    made = Receiver(b"key")
    yield made
    made.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory, receiver):
    folder = tmp_path_factory.mktemp("watched")
    (folder / "token").write_text(TOKEN)
    (folder / "key").write_text("key")
    (folder / "hooks").write_text(f"shop {receiver.url}/ {folder}/key delivered\n")
    with Server(folder) as made:
        made.settings = {
            "admin.listen": f"127.0.0.1:{made.port('admin')}",
            "admin.listen_tls": f"127.0.0.1:{made.port('admin_tls')}",
            "admin.token_file": folder / "token",
            "webhook.hooks": folder / "hooks",
        }
        made.start()
        made.add_domain("example.org")
        for name in ("alice", "bob"):
            made.add_user(f"{name}@example.org")
        made.deliver("Subject: one\r\n\r\nhello\r\n")
        yield made


def until(browser, condition, seconds=20):
    return WebDriverWait(browser, seconds, 0.05).until(lambda _: condition())


def text_of(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)


def sign_in(browser, server, tls=False):
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    scheme, port = ("https", server.port("admin_tls")) if tls else ("http", server.port("admin"))
    browser.get("about:blank")
    browser.get(f"{scheme}://127.0.0.1:{port}/")
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    until(browser, lambda: browser.switch_to.active_element.get_attribute("id") == "token")
    browser.switch_to.active_element.send_keys(TOKEN, Keys.ENTER)
    until(browser, lambda: text_of(browser, "#verdict"))


def go(browser, section, selector):
    browser.find_element(By.CSS_SELECTOR, f"nav a[href='#{section}']").send_keys(Keys.ENTER)
    until(browser, lambda: text_of(browser, selector))


def tab_to(browser, element_id, most=60):
    """With the Tab key alone, from where the focus stands."""
    for _ in range(most):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.get_attribute("id") == element_id:
            return browser.switch_to.active_element
    raise AssertionError(f"Tab does not lead to {element_id}")


def picture(browser, name):
    if PICTURES:
        browser.save_screenshot(str(pathlib.Path(PICTURES) / f"{name}.png"))


def scheme(browser, value):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]})


def luminance(browser, selector, what):
    colour = browser.execute_script("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, what)
    parts = [int(part) / 255 for part in colour[4:-1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(browser, selector, ground):
    dark, light = sorted((luminance(browser, selector, "color"), luminance(browser, ground, "backgroundColor")))
    return (light + 0.05) / (dark + 0.05)


def test_it_signs_in_and_says_that_nothing_is_wrong(browser, watched):
    sign_in(browser, watched)
    assert text_of(browser, "#verdict") == "Nothing is wrong"
    assert "mail.example.org" in text_of(browser, "#node")
    picture(browser, "overview")
    go(browser, "accounts", "table")
    browser.find_element(By.ID, "contains").send_keys("ALI", Keys.ENTER)
    until(browser, lambda: "alice@" in text_of(browser, "table") and "bob@" not in text_of(browser, "table"))
    with watched.imap() as client:
        assert client.noop()[0] == "OK"
        browser.find_element(By.ID, "choose-alice@example.org").click()
        until(browser, lambda: "INBOX" in text_of(browser, "main"))
        until(browser, lambda: "imap" in text_of(browser, "main"))
        picture(browser, "accounts")
    go(browser, "plots", "svg")
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.plot")) == 10
    picture(browser, "plots")
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def test_a_wrong_token_is_told_and_not_kept(browser, watched):
    browser.get(f"http://127.0.0.1:{watched.port('admin')}/")
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    until(browser, lambda: browser.switch_to.active_element.get_attribute("id") == "token")
    browser.switch_to.active_element.send_keys("wrong", Keys.ENTER)
    until(browser, lambda: "token" in text_of(browser, "#said"))
    assert browser.execute_script("return sessionStorage.length + localStorage.length + document.cookie.length") == 0
    picture(browser, "sign-in")
    browser.get_log("browser")


def test_an_action_by_keyboard_alone(browser, watched):
    sign_in(browser, watched)
    tab_to(browser, "start-recount").send_keys(Keys.ENTER)
    until(browser, lambda: "recount" in text_of(browser, "#said"))
    assert "recount" in {task["kind"] for task in watched.ctl_json("task", "list")["tasks"]}
    # The focus stays where it was, although the cards are new.
    until(browser, lambda: browser.switch_to.active_element.get_attribute("id") == "start-recount")
    go(browser, "tasks", "table")
    until(browser, lambda: "done" in text_of(browser, "table"))
    picture(browser, "tasks")


def test_a_fault_that_was_planted_is_shown(browser, watched):
    index = watched.data / "index"
    kept = watched.data / "index-kept"
    os.rename(index, kept)
    index.write_text("no folder")
    end = time.monotonic() + 20
    number = 0
    while watched.ctl_json("health")["status"] == "well":
        assert time.monotonic() < end
        watched.add_user(f"new{number}@example.org")
        watched.deliver("Subject: more\r\n\r\nhello\r\n", to=f"new{number}@example.org")
        number += 1
        time.sleep(0.1)
    sign_in(browser, watched)
    assert "want" in text_of(browser, "#verdict") and "search indexes cannot be written" in text_of(browser, "#verdict")
    assert "look at this" in text_of(browser, ".card.look")
    picture(browser, "fault")
    index.unlink()
    os.rename(kept, index)


def test_dead_letters_are_shown_and_redelivered(browser, watched, receiver):
    with receiver.lock:
        receiver.behave["/"] = [410, 410, 500]
    for number in range(2):
        watched.deliver(f"Subject: {number}\r\n\r\nhello\r\n", to="bob@example.org")
    wait_until(lambda: len(watched.ctl_json("dead-letter", "list")["dead_letters"]) == 2)
    letters = [letter["id"] for letter in watched.ctl_json("dead-letter", "list")["dead_letters"]]
    sign_in(browser, watched)
    assert "2 events given up on" in text_of(browser, "#verdict")
    assert "bob@example.org: the receiver answered 410 (1 attempt)" in text_of(browser, "main")
    picture(browser, "dead-letters")
    browser.find_element(By.ID, f"redeliver-{letters[0]}").send_keys(Keys.ENTER)
    until(browser, lambda: text_of(browser, "#said") == "It failed once more.")
    until(browser, lambda: "(2 attempts)" in text_of(browser, "main"))
    browser.find_element(By.ID, f"delete-{letters[0]}").send_keys(Keys.ENTER)
    until(browser, lambda: text_of(browser, "#said") == "It has been deleted.")
    until(browser, lambda: not browser.find_elements(By.ID, f"delete-{letters[0]}"))
    browser.find_element(By.ID, "redeliver-all").send_keys(Keys.ENTER)
    until(browser, lambda: text_of(browser, "#said") == "1 redelivered.")
    until(browser, lambda: "No event was given up on." in text_of(browser, "main"))
    assert watched.ctl_json("dead-letter", "list")["dead_letters"] == []


def test_light_dark_and_a_phone(browser, watched):
    sign_in(browser, watched, tls=True)
    for mode in ("light", "dark"):
        scheme(browser, mode)
        ground = luminance(browser, "body", "backgroundColor")
        assert ground < 0.1 if mode == "dark" else ground > 0.7
        for selector in ("h3", ".card p", ".state.well"):
            assert contrast(browser, selector, ".card") >= 4.5, (mode, selector)
        assert contrast(browser, "nav a[aria-current]", "nav a[aria-current]") >= 4.5
    picture(browser, "dark")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
    for section, selector in (("accounts", "table"), ("tasks", "table"), ("plots", "svg"), ("overview", "#verdict")):
        go(browser, section, selector)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), section
        picture(browser, f"phone-{section}")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    scheme(browser, "")
