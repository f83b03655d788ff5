"""The explorer as it is used: one person in a real browser, and a class of twenty.

    python benchmarks/explore_users.py [--size 1] [--folder /tmp] [--limit 360] [--no-browser]

makes a map of 800 x 1024 pixels and 3000 channels of a byte (2.46 GB; ``--size 0.1``: a tenth
of its rows) as ``.spd`` and ``.spc``, and serves it twice: with its cache, and without one
(``--no-map-cache``). Each time

- one Chromium, driven by playwright, drags a rectangle (60 moves of the mouse), a window in
  the spectrum (30 moves) and clicks a peak. Times are taken in the page, from the event of the
  mouse to the spectrum or the image that is drawn; "behind" is how long it takes until a move
  is seen, those included for which nothing was asked as the last answer was not there yet;
- twenty clients on loopback, each let in by itself, drag a rectangle and then a window: 60
  questions each, the next one when the last is answered and the mouse (60 Hz) has moved on.

It prints a table with both side by side, and which targets hold. On two free cores all of it
takes about four minutes; it ends by itself after ``--limit`` seconds and leaves nothing
behind. A machine that does other things as well makes the times longer: how much of it others
used is printed. It needs 3 GB of disk, Chromium, and ``pip install playwright`` (but no
``playwright install``). Linux only: processor time and memory of the server are read from
/proc.
"""

import argparse
import asyncio
import contextlib
import json
import math
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import _runner
import psutil

ROWS, COLUMNS, CHANNELS = 800, 1024, 3000
USERS, UPDATES, MOVES, WINDOW_MOVES = 20, 60, 60, 30
COARSE = 205_000  # pixels, see page/show.js
TICK = 1 / 60  # s, from one event of a mouse to the next
PHASE_LIMIT = 75  # s, of what the twenty do without a cache
TARGETS = (  # what, figure, unit, at most
    ("one user, region, median", ("browser", "region", "median"), "ms", 50),
    ("one user, region, 95 %", ("browser", "region", "p95"), "ms", 100),
    ("one user, window, median", ("browser", "window", "median"), "ms", 60),
    ("one user, window, 95 %", ("browser", "window", "p95"), "ms", 120),
    ("20 users, region, 95 %", ("class", "region", "p95"), "ms", 200),
    ("server with 20 users, memory", ("server", "peak"), "MiB", 350),
    ("page", ("browser", "page"), "kB", 250),
    ("image while dragging", ("browser", "image"), "kB", 150),
    ("cache, share of the .spd", ("server", "share"), "%", 15),
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# Put into the page before its own modules. An answer is drawn by the first redraw after it.
WATCH = """(() => {
  const found = window.found = {
    moves: [], updates: [], clicked: null, opened: null, underWay: 0,
  };
  performance.setResourceTimingBufferSize(20000);
  let moved = 0, painted = false;
  const waiting = { spectrum: null, image: null };
  const drawn = (kind) => {
    if (!waiting[kind]) return;
    found.updates.push({ ...waiting[kind], kind, drawn: performance.now() });
    waiting[kind] = null;
    found.underWay--;
  };
  for (const name of ["pointerdown", "pointermove", "pointerup"]) {
    addEventListener(name, (event) => {
      moved = event.timeStamp;
      if (name === "pointermove") found.moves.push(moved);
      else found.clicked = moved;
    }, true);
  }
  const { fetch: ask } = window;
  window.fetch = async (address, ...rest) => {
    const kind = /\\/(spectrum|image)\\?/.exec(String(address))?.[1];
    const event = moved;
    if (kind) found.underWay++;
    const answer = await ask(address, ...rest);
    if (!kind) return answer;
    if (!answer.ok) {
      found.underWay--;
      return answer;
    }
    const read = answer.arrayBuffer.bind(answer);
    answer.arrayBuffer = async () => {
      const bytes = await read();
      if (waiting[kind]) found.underWay--; // it is not drawn by itself
      waiting[kind] = { event, bytes: bytes.byteLength, exact: /exact=1/.test(address) };
      if (kind === "image") painted = false;
      return bytes;
    };
    return answer;
  };
  const canvas = CanvasRenderingContext2D.prototype;
  const { putImageData: put, drawImage: draw } = canvas;
  canvas.putImageData = function (...all) { painted = true; return put.apply(this, all); };
  canvas.drawImage = function (...all) {
    const done = draw.apply(this, all);
    if (painted) drawn("image");
    return done;
  };
  new MutationObserver((changes) => {
    if (changes.some((c) => c.attributeName === "data-updates")) drawn("spectrum");
    const dialog = document.querySelector("[role=dialog] button.xfm-line");
    if (dialog && found.opened === null) found.opened = performance.now();
  }).observe(document, {
    subtree: true, childList: true, attributes: true,
    attributeFilter: ["data-updates", "hidden"],
  });
})()"""


def write_map(folder, size):
    """Write the map; the joint of the examples, with as many channels as targets are for."""
    from rsciio_xfm.data import _sem_map

    _sem_map._N_CHANNELS = CHANNELS
    rows = max(16, round(ROWS * size) // 8 * 8)
    place = Path(folder, "maps")
    place.mkdir()
    path = _sem_map.sem_map(place / "joint.spd", (rows, COLUMNS)).path
    _runner.read(str(path))
    return path


# The server ------------------------------------------------------------------------------


class Server:
    """``rsciio-xfm serve`` in a process of its own, and what it uses."""

    def __init__(self, folder, is_cached):
        options = [] if is_cached else ["--no-map-cache"]
        command = [sys.executable, "-m", "rsciio_xfm.cli", "serve", str(folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()  # how many maps
        self.address = self.process.stdout.readline().strip()
        self.status = psutil.Process(self.process.pid)
        self.pss, self.stop = 0, threading.Event()
        self.watch = threading.Thread(target=self.look, daemon=True)
        self.watch.start()

    def look(self):
        while not self.stop.wait(0.25):
            with contextlib.suppress(OSError, psutil.Error):
                self.pss = max(self.pss, self.status.memory_full_info().pss)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.watch.join()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def cpu(self):
        used = self.status.cpu_times()
        return used.user + used.system

    def peak(self):
        """Return the peaks of resident memory and of its proportional share, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [s for s in status.splitlines() if s.startswith("VmHWM")]
        return int(line.split()[1]) / 2**10, self.pss / 2**20


class Meter:
    """Processor time of the server, and of all others that have nothing to do with it."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.begun = self.server.cpu(), self.of_all(), self.own(), time.perf_counter()
        return self

    def __exit__(self, *_):
        cpu, busy, own, start = self.begun
        self.seconds = time.perf_counter() - start
        self.cpu = self.server.cpu() - cpu
        others = max(0.0, self.of_all() - busy - max(0.0, self.own() - own))
        self.others = others / self.seconds / os.cpu_count()

    @staticmethod
    def of_all():
        used = psutil.cpu_times()
        return sum(used) - used.idle - used.iowait - used.guest - used.guest_nice

    @staticmethod
    def own():
        total = sum(os.times()[:4])
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += sum(child.cpu_times()[:2])
        return total


class Client:
    """Somebody who was let in, on one connection, as a browser has it."""

    def __init__(self, address):
        parts = urlsplit(address)
        self.host, self.port = parts.hostname, parts.port
        self.entry = f"{parts.path}?{parts.query}"
        self.cookie = ""

    async def enter(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        _, headers, _ = await self.get(self.entry)
        self.cookie = headers["set-cookie"].partition(";")[0]
        _, _, body = await self.get("/api/maps")
        self.map = f"/api/map/{json.loads(body)[0]['id']}"

    async def get(self, path):
        """Return the status, the headers and the body of an answer."""
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Cookie: {self.cookie}",
            "Accept-Encoding: gzip",
        ]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [line.partition(":") for line in head[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def ask(self, question):
        return await self.get(f"{self.map}/{question}")

    async def info(self):
        _, headers, body = await self.ask("info")
        if headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, 31)
        return json.loads(body)

    def leave(self):
        self.writer.close()


def wait_until_ready(address):
    """Wait for the first pass over the map, and for its cache if it gets one."""

    async def wait():
        client = Client(address)
        await client.enter()
        while True:
            info = await client.info()
            if info["overview"]["done"] and info["cache"]["state"] != "making":
                client.leave()
                return info
            await asyncio.sleep(0.2)

    # Playwright's own loop runs in the main thread.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()


# A class ---------------------------------------------------------------------------------


def region(user, k, shape):
    """Return a rectangle that grows as it is drawn, each user's somewhere else."""
    y, x = 11 * user % (shape[0] // 2), 37 * user % (shape[1] // 2)
    bottom, right = min(shape[0], y + 20 + 4 * k), min(shape[1], x + 20 + 4 * k)
    return f"spectrum?region=r:{y},{x},{bottom},{right}"


def window(user, k, shape):
    """Return a window that grows, its image as coarse as the page asks while it does."""
    first = 100 + 53 * user % (shape[2] // 2)
    step = math.ceil(math.sqrt(shape[0] * shape[1] / COARSE))
    return f"image?of=w:{first}:{first + 5 + 2 * k}&step={step}"


async def drag(client, questions, deadline):
    """Ask one question after the other; return status and seconds of each."""
    found = []
    for question in questions:
        begun = time.perf_counter()
        if begun > deadline:
            break
        status, _, _ = await client.ask(question)
        took = time.perf_counter() - begun
        found.append((status, took))
        await asyncio.sleep(max(0.0, TICK - took))
    return found


def be_a_class(address, kind, seconds, pipe):
    """Be twenty clients, in a process of one's own."""

    async def run():
        clients = [Client(address) for _ in range(USERS)]
        await asyncio.gather(*(client.enter() for client in clients))
        shape = (await clients[0].info())["shape"]
        make = region if kind == "region" else window
        deadline = time.perf_counter() + seconds
        parts = await asyncio.gather(
            *(
                drag(client, [make(user, k, shape) for k in range(UPDATES)], deadline)
                for user, client in enumerate(clients)
            )
        )
        for client in clients:
            client.leave()
        return [one for part in parts for one in part]

    pipe.send(asyncio.run(run()))
    pipe.recv()  # until its processor time was looked at


def measure_class(server, kind):
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=be_a_class, args=(server.address, kind, PHASE_LIMIT, there), daemon=True
    )
    process.start()
    there.close()
    try:
        with Meter(server) as meter:
            found = here.recv()
        here.send(None)
        process.join()
    finally:
        process.terminate()
    times = [1e3 * took for status, took in found if status == 200]
    counts = {code: sum(s == code for s, _ in found) for code in {s for s, _ in found}}
    return {**spread(times), **used(meter, len(times)), "statuses": counts}


def spread(times):
    """Return the median and the 95th percentile of times, and how many there are."""
    if not times:
        return {"median": None, "p95": None, "n": 0}
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median": statistics.median(times), "p95": p95, "n": len(times)}


def used(meter, n):
    return {"cpu": 1e3 * meter.cpu / max(1, n), "others": meter.others}


# A browser -------------------------------------------------------------------------------


class Hands:
    """A page, and what somebody does in it."""

    def __init__(self, page, server):
        self.page, self.server = page, server

    def open(self):
        self.page.goto(self.server.address)
        self.page.wait_for_selector("[data-ready=true]", timeout=120_000)
        self.settle()
        sizes = self.page.evaluate(
            "['navigation', 'resource'].flatMap((k) => performance.getEntriesByType(k))"
            ".filter((e) => !e.name.includes('/api/')).map((e) => e.encodedBodySize)"
        )
        return sum(sizes) / 1e3

    def settle(self):
        """Wait until all that was asked is drawn."""
        quiet, deadline = 0, time.perf_counter() + 30
        while quiet < 3 and time.perf_counter() < deadline:
            self.page.wait_for_timeout(100)
            quiet = 0 if self.page.evaluate("found.underWay > 0") else quiet + 1
        self.page.wait_for_selector(".xfm-plot[data-exact=true][data-series]")

    def place(self, selector, across, down):
        box = self.page.locator(selector).bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def drag(self, start, end, n_moves):
        """Drag with moves as a mouse makes them; return what the page saw."""
        mouse = self.page.mouse
        mouse.move(*start)
        self.settle()
        self.page.evaluate("found.moves.length = found.updates.length = 0")
        self.page.evaluate("performance.clearResourceTimings()")
        with Meter(self.server) as meter:
            mouse.down()
            begun = time.perf_counter()
            for k in range(1, n_moves + 1):
                time.sleep(max(0.0, begun + k * TICK - time.perf_counter()))
                pairs = zip(start, end, strict=True)
                mouse.move(*(a + (b - a) * k / n_moves for a, b in pairs))
            self.page.wait_for_timeout(50)
            mouse.up()
            self.settle()
        return self.page.evaluate("found"), meter


def figures(found, kind, meter):
    """Return the figures of one drag."""
    updates = [u for u in found["updates"] if u["kind"] == kind]
    times = [u["drawn"] - u["event"] for u in updates]
    return {
        **spread(times),
        **used(meter, len(times)),
        "behind": spread(behind(found["moves"], updates))["p95"],
    }


def behind(moves, updates):
    """Return how long it takes until each move is seen."""
    late = []
    for moved in moves:
        drawn = [u["drawn"] for u in updates if u["event"] >= moved]
        if drawn:
            late.append(min(drawn) - moved)
    return late


def measure_browser(server, chromium):
    """Drive one Chromium."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    context.add_init_script(WATCH)
    hands = Hands(context.new_page(), server)
    found = {"page": hands.open()}
    corners = [hands.place(".xfm-map", *at) for at in ((0.3, 0.3), (0.6, 0.65))]
    found["region"] = figures(*insert(hands.drag(*corners, MOVES), "spectrum"))
    ends = [hands.place(".u-over", *at) for at in ((0.1, 0.5), (0.2, 0.5))]
    found["window"] = figures(*insert(hands.drag(*ends, WINDOW_MOVES), "image"))
    sent = hands.page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => /of=w:/.test(e.name))"
        ".map((e) => [/step=/.test(e.name), e.encodedBodySize])"
    )
    is_coarse = any(coarse for coarse, _ in sent)  # then the last one is not asked live
    found["image"] = max(size for coarse, size in sent if coarse == is_coarse) / 1e3
    hands.page.evaluate("found.opened = null")
    hands.page.mouse.click(*hands.place(".u-over", 0.02, 0.5))
    hands.page.wait_for_selector("[role=dialog] button.xfm-line", timeout=30_000)
    found["click"] = hands.page.evaluate("found.opened - found.clicked")
    context.close()
    return found


def insert(pair, kind):
    return pair[0], kind, pair[1]


@contextlib.contextmanager
def browser(is_wanted):
    """Start Chromium; None if there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not is_wanted or path is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


# All of it -------------------------------------------------------------------------------


def measure(path, is_cached, chromium, found):
    """Put all figures of a server with a cache, or without one, into `found`."""
    with Server(path.parent, is_cached) as server:
        start, before = time.perf_counter(), server.cpu()
        wait_until_ready(server.address)
        own = {"cpu": server.cpu() - before, "seconds": time.perf_counter() - start}
        found.update({"server": own, "class": {}})
        if is_cached:
            size = sum(p.stat().st_size for p in cubes().rglob("*") if p.is_file())
            own["share"] = 1e2 * size / path.stat().st_size
        if chromium is not None:
            found["browser"] = measure_browser(server, chromium)
        for kind in ("region", "window"):
            found["class"][kind] = measure_class(server, kind)
            own["peak"], own["pss"] = server.peak()


def cubes():
    return Path(os.environ["RSCIIO_XFM_CACHE_DIR"], "cubes")


def figure(found, keys):
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


ROWS_OF_TABLE = (
    *(
        (f"{who}, {what}: {text}", (place, what, key), digits)
        for place, who, what in (
            ("browser", "one user", "region"),
            ("browser", "one user", "window"),
            ("class", "20 users", "region"),
            ("class", "20 users", "window"),
        )
        for text, key, digits in (
            ("median (ms)", "median", 0),
            ("95 % (ms)", "p95", 0),
            ("behind, 95 % (ms)", "behind", 0),
            ("updates", "n", 0),
            ("server's CPU an update (ms)", "cpu", 1),
            ("answers by status", "statuses", None),
            ("others' share of the machine", "others", 2),
        )
    ),
    ("one user, click a peak (ms)", ("browser", "click"), 0),
    ("page (kB)", ("browser", "page"), 0),
    ("image while dragging (kB)", ("browser", "image"), 0),
    ("server, peak of resident memory (MiB)", ("server", "peak"), 0),
    ("server, peak of PSS (MiB)", ("server", "pss"), 0),
    ("first pass, CPU (s)", ("server", "cpu"), 1),
    ("first pass, time (s)", ("server", "seconds"), 1),
    ("cache, share of the .spd (%)", ("server", "share"), 1),
)


def show(cached, plain):
    """Print the figures side by side, and which targets hold."""
    print("\n| what | cache | no cache |\n|---|---:|---:|")
    for name, keys, digits in ROWS_OF_TABLE:
        cells = [as_text(figure(found, keys), digits) for found in (cached, plain)]
        if any(cells):
            print(f"| {name} | {' | '.join(cells)} |")
    print("\n| target | at most | cache | |\n|---|---:|---:|---|")
    for name, keys, unit, most in TARGETS:
        found = figure(cached, keys)
        if found is None:
            said = "not measured"
        else:
            said = "holds" if found <= most else "does not hold"
        print(f"| {name} ({unit}) | {most} | {as_text(found, 1)} | {said} |")


def as_text(value, digits):
    if value is None or digits is None:
        return "" if value is None else ", ".join(f"{v} x {k}" for k, v in value.items())
    return f"{value:.{digits}f}"


def out_of_time(*_):
    raise TimeoutError("The time is over.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="share of the rows")
    parser.add_argument("--folder", help="for map and cache, with 3 GB of room")
    parser.add_argument("--limit", type=int, default=360, help="seconds")
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(arguments.limit)
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{os.cpu_count()} cores, load before: {loads}", flush=True)
    start, results = time.perf_counter(), {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        os.environ["RSCIIO_XFM_CACHE_DIR"] = str(Path(folder, "cache"))
        path = write_map(folder, arguments.size)
        print(f"{path.stat().st_size / 1e9:.2f} GB, {time.perf_counter() - start:.0f} s")
        try:
            with browser(not arguments.no_browser) as chromium:
                for is_cached in (True, False):
                    results[is_cached] = {}
                    measure(path, is_cached, chromium, results[is_cached])
                    took = time.perf_counter() - start
                    print(
                        f"{'cache' if is_cached else 'no cache'}: {took:.0f} s",
                        flush=True,
                    )
        except TimeoutError as exc:
            print(f"{exc} What is missing was not measured.")
    signal.alarm(0)
    show(results.get(True, {}), results.get(False, {}))


if __name__ == "__main__":
    main()
