"""A real browser that shows the page of a collector, used as a person would.

Tests import what they need of Selenium from here: this module skips them where Selenium is not installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests import needed

with needed.packages():
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.remote.webelement import WebElement

__all__ = ["FLAGS", "ActionBuilder", "ActionChains", "Keys", "Page", "PointerInput", "webdriver"]

#: Seconds in which the page has to show what a test waits for.
DEADLINE = 60
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --window-size=1300,800"""


class Page:
    """The page of one collector, used as a person would."""

    def __init__(self, browser: webdriver.Chrome, url: str, token: str | None = None) -> None:
        self.browser = browser
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(timeout=60)

    def close(self) -> None:
        self.browser.get("about:blank")
        self._client.close()

    def post(self, *entries: dict[str, Any]) -> None:
        answer = self._client.post(self.url + "/logs", json={"logs": list(entries)}, headers=self._headers)
        assert answer.status_code == 200, answer.text

    def open(self, query: str = "") -> None:
        self.browser.get(f"{self.url}/{query}")

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def each(self, selector: str, expression: str) -> list[Any]:
        """What an expression of JavaScript makes of each element that matches, which it calls `one`."""
        script = f"return [...document.querySelectorAll(arguments[0])].map((one) => {expression})"
        return list(self.browser.execute_script(script, selector))

    def texts(self, selector: str) -> list[str]:
        return self.each(selector, "one.textContent")

    @property
    def asked(self) -> dict[str, str]:
        """The state of the page, as its address has it."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.browser.current_url).query).items()}

    @property
    def messages(self) -> list[str]:
        return self.texts("#rows .message")

    @property
    def state(self) -> str:
        return self.texts("#state")[0]

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until the condition is true."""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                if condition():
                    return
            except StaleElementReferenceException:
                pass
            assert time.monotonic() < deadline, f"{what} rows: {self.messages[:5]}, state: {self.state}"
            time.sleep(0.02)

    def shows(self, *messages: str, what: str = "") -> None:
        """Wait until these are the entries in the list, from top to bottom."""
        self.until(lambda: self.messages == list(messages), what)

    def click(self, selector: str) -> None:
        """Click the first element that matches; try again if the page replaces it at that moment."""

        def done() -> bool:
            found = self.all(selector)
            for one in found[:1]:
                # The driver itself would leave it under what is fixed at the top and the bottom of the page.
                self.browser.execute_script("arguments[0].scrollIntoView({ block: 'nearest' })", one)
                one.click()
            return bool(found)

        self.until(done, selector)

    def is_shown(self, selector: str) -> bool:
        return any(one.is_displayed() for one in self.all(selector))

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script, the body of an asynchronous function, returns; `$1` and so on are its arguments."""
        names = ", ".join(f"${n + 1}" for n in range(len(arguments)))
        whole = (
            f"const given = [...arguments]; const done = given.pop(); const run = async ({names}) => {{ {script} }};"
        )
        return self.browser.execute_async_script(
            f"{whole} run(...given).then(done, (e) => done(String(e)))", *arguments
        )

    def pick(self, menu: str, selector: str) -> None:
        """Open a menu of the header, and click something in it."""
        self.click(f"#{menu} summary")
        self.click(f"#{menu} {selector}")

    def choose(self, field: str, action: str) -> None:
        """In the first opened entry click the value of a field, and in the menu that opens an action."""
        script = """const name = [...document.querySelectorAll(".details dt")].find((one) => one.textContent === $1);
        name.nextElementSibling.querySelector(".value").click()"""
        self.run(script, field)
        self.click(f"#value-menu [data-do={action}]")

    def press(self, keys: str) -> None:
        self.browser.switch_to.active_element.send_keys(keys)

    def fill(self, name: str, value: str) -> None:
        field = self.browser.find_element(By.NAME, name)
        if field.tag_name == "select":
            option = f'[name={name}] option[value="{value}"]'
            self.until(lambda: bool(self.all(option)), option)
            self.all(option)[0].click()
        else:
            # Selected and deleted as a person would: WebDriver's `clear` sends no `input` event.
            field.send_keys(Keys.CONTROL + "a" + Keys.NULL, Keys.DELETE, value)

    def fill_in(self, selector: str, text: str) -> None:
        """Type into the first element that matches."""
        self.click(selector)
        self.press(text)

    def complaints(self) -> list[str]:
        """The messages on the browser's console (errors, violations of the policy) since the last call."""
        return [entry["message"] for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]
