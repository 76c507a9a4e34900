"""A headless Chromium that tests drive by its DevTools protocol over a pipe: nothing but the browser is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 180  # a busy machine takes its time
_KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27, "Home": 36, "End": 35}
_KEYS |= {"PageUp": 33, "PageDown": 34, "Enter": 13, "Tab": 9}


def find():
    """The browser's program, or None: POSE3D_CHROMIUM, or one of the usual names."""
    return os.environ.get("POSE3D_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page in a browser of its own profile."""

    def __init__(self, program, profile):
        """profile: an empty folder, or that of a former browser whose localStorage is wanted."""
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes to 4.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_read, to_write)]
        os.close(to_read)
        os.close(to_write)

        def place_ends():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--no-sandbox"]
        flags += ["--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars"]
        command = [program, *flags, f"--user-data-dir={profile}", "about:blank"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=quiet, stdout=quiet, stderr=quiet, pass_fds=(3, 4), preexec_fn=place_ends
        )
        for end in ends:
            os.close(end)
        self._rest, self._number, self._session = b"", 0, None
        self.events = []
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The result of a command; raises RuntimeError with the browser's words."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            answer = self._read(end)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)
        raise RuntimeError(f"{method}: no answer in {_SECONDS} s")

    def _read(self, end):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(end - time.monotonic(), 0))
            data = os.read(self._from, 1 << 16) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, query=""):
        """Opens a file and waits until its page is ready."""
        self.call("Page.navigate", url=f"file://{path}{query}")
        self.until("document.readyState === 'complete' && document.body.classList.contains('ready')")

    def run(self, expression):
        """The value of a JavaScript expression (promises awaited); raises RuntimeError for what it throws."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", str(result)))
        return result["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true; raises AssertionError when it never is."""
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            try:
                if self.run(expression):
                    return
            except RuntimeError:  # the page is being replaced
                pass
            time.sleep(0.03)
        raise AssertionError(f"never true: {expression}; errors: {self.errors()}")

    def press(self, key, shift=False):
        """One key, as a keyboard would send it."""
        code = _KEYS.get(key) or ord(key.upper()[0])
        named = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        text = {} if key in _KEYS else {"text": key}
        if key == "Enter":
            text = {"text": "\r"}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def middle(self, selector):
        """x, y of the middle of an element."""
        box = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({selector!r})"
                       ".getBoundingClientRect())")  # fmt: skip
        return {"x": box[0], "y": box[1]}

    def click(self, selector):
        """A click with the mouse into the middle of an element."""
        where = {**self.middle(selector), "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def drag(self, selector, right, down):
        """The mouse drawn from the middle of an element."""
        start = self.middle(selector)
        end = {"x": start["x"] + right, "y": start["y"] + down}
        for kind, place in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)

    def swipe(self, selector, right, down):
        """A finger drawn from the middle of an element."""
        start = self.middle(selector)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[start])
        for part in (0.5, 1):
            place = {"x": start["x"] + right * part, "y": start["y"] + down * part}
            self.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[place])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def size(self, width, height, phone=False):
        """Sets the window's size in CSS px; a phone has fingers and a dense screen."""
        dense = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=dense, mobile=phone
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def dark(self, dark):
        """What the system prefers."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def text(self, selector):
        """The text of an element."""
        return self.run(f"document.querySelector({selector!r}).textContent")

    def corners(self, selector):
        """left, top, right, bottom of an element in CSS px."""
        return self.run(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")

    def pixels(self, selector):
        """[H, W, 4] uint8 RGBA of a canvas."""
        size = self.run(f"(c => [c.height, c.width])(document.querySelector({selector!r}))")
        script = f"""(c => btoa(Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data,
          (v) => String.fromCharCode(v)).join('')))(document.querySelector({selector!r}))"""
        return np.frombuffer(base64.b64decode(self.run(script)), np.uint8).reshape(*size, 4)

    def choose(self, name, value):
        """A value for a control of the review page's filters, as a user would give it."""
        self.run(f"""void ((c) => {{ c.value = {value!r}; c.dispatchEvent(new Event('input', {{ bubbles: true }})); }})
          (document.getElementById('filters').elements[{name!r}])""")
        time.sleep(0.3)  # the page waits for the next letter

    def shown_rows(self):
        """The rows of the review page's list."""
        return self.run("Array.from(review.list.rows)")

    def settled(self):
        """Waits until everything is drawn."""
        self.run("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))")

    def screenshot(self, path):
        """Writes what is seen as PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def errors(self):
        """What the page threw or the browser complained of since the start."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
            elif event.get("method") == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
                found.append(str(parameters["args"]))
        return found

    def requests(self):
        """The addresses that the page asked for."""
        asked = [
            one["params"]["request"]["url"]
            for one in self.events
            if one.get("method", "").endswith(".requestWillBeSent")
        ]
        return [url for url in asked if not url.startswith(("data:", "blob:"))]

    def close(self):
        """Ends the browser, which writes what it keeps; a second time does nothing."""
        if self._process.poll() is not None:
            return
        self._session = None
        try:
            self.call("Browser.close")
        except RuntimeError:
            self._process.terminate()
        self._process.wait(_SECONDS)
        os.close(self._to)
        os.close(self._from)
