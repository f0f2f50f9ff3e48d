"""A headless Chromium, driven by its own driver over the WebDriver protocol (W3C)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

_OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--window-size=1500,1100", "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # what the protocol calls an element's key


class Browser:
    """One window."""

    def __init__(self, address: str) -> None:
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": _OPTIONS, "binary": shutil.which("chromium")},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self.session = f"{address}/session"
        value = self._post("", {"capabilities": {"alwaysMatch": capabilities}})
        self.session += f"/{value['sessionId']}"

    def open(self, file: Path) -> None:
        """Open a file from the disk."""
        self._post("/url", {"url": file.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> object:
        """What a piece of JavaScript returns."""
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, text: str) -> None:
        """Click what a user reads ``text`` on."""
        self._click(f"//*[self::a or self::button][contains(normalize-space(.), '{text}')]")

    def view(self, text: str) -> None:
        """Click the eye beside ``text`` in a list of results."""
        self._click(f"//tr[td[contains(normalize-space(.), '{text}')]]//a")

    def _click(self, path: str) -> None:
        """Click, and wait for the page to follow."""
        found = self._post("/element", {"using": "xpath", "value": path})
        self._post(f"/element/{found[_ELEMENT]}/click", {})
        time.sleep(0.5)

    def enter_frame(self) -> None:
        """Go on inside the page's first frame."""
        found = self._post("/element", {"using": "css selector", "value": "iframe"})
        self._post("/frame", {"id": found})

    def leave_frame(self) -> None:
        """Go on in the page itself."""
        self._post("/frame", {"id": None})

    def text(self) -> str:
        """What can be read."""
        return str(self.run("return document.body.innerText"))

    def picture(self) -> bytes:
        """What can be seen, as PNG."""
        import base64

        return base64.b64decode(requests.get(f"{self.session}/screenshot").json()["value"])

    def errors(self) -> list[str]:
        """What the console was told since the last call, errors only."""
        logs = self._post("/se/log", {"type": "browser"})
        return [entry["message"] for entry in logs if entry["level"] == "SEVERE"]

    def close(self) -> None:
        """Close the window."""
        requests.delete(self.session)

    def _post(self, path: str, body: dict):
        answer = requests.post(self.session + path, json=body, timeout=120).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser; skips the test where there is none."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}", "--silent"])
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if requests.get(f"{address}/status", timeout=5).json()["value"]["ready"]:
                    break
            except requests.ConnectionError:
                time.sleep(0.1)
        browser = Browser(address)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait()
