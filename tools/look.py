"""Run lessons in a real JupyterLab, from top to bottom, and save screenshots of what they show for a person to check.

    python tools/look.py [NAME ...] [--output FOLDER]

This needs Playwright (`make setup`) and Chromium (`make programs`). Copies of the notebooks run in a temporary folder.
FOLDER/NAME/ gets a screenshot of each cell with an output, a formula, a table or an image. Faults that a program can
detect are printed and make the exit code 1: cells that did not run, errors, warnings, HTML or LaTeX shown as text,
missing images, cut labels, outputs wider than the page, players that do not play, and errors in the browser's console.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
LESSONS = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
SERVER = [
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of view are on the page, too
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # no dialogs over the page
}
SHOWN = ".jp-CodeCell:has(.jp-OutputArea-child), .jp-MarkdownCell:has(table, mjx-container, img)"
RUN = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await window.jupyterapp.restored; await panel.context.ready; await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  const timeout = new Promise((done) => setTimeout(done, 1_200_000));  // 20 minutes; then cells are missing
  await Promise.race([window.jupyterapp.commands.execute('notebook:run-all-cells'), timeout]);
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => {
  const all = (selector) => [...cell.node.querySelectorAll(selector)];
  const cut = (part) => part.scrollWidth > part.clientWidth + 1;
  const parts = all('.jp-OutputArea-output, .jp-MarkdownOutput');
  return {
    code: cell.model.type === 'code' && cell.model.sharedModel.source.trim() !== '',
    count: cell.model.executionCount, outputs: cell.model.outputs?.toJSON() ?? [],
    text: parts.map((part) => part.innerText).join(' '), 'wrong formula': all('mjx-merror, [data-mjx-error]').length,
    'missing image': all('img').filter((image) => image.src && image.complete && !image.naturalWidth).length,
    'too wide': parts.filter(cut).length, 'cut label': all('.widget-label, .widget-button').filter(cut).length,
  };
})"""
PLAYS = """async (player) => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  player.muted = true;
  await Promise.race([player.play().catch(() => 0), wait(10000)]);
  for (let tries = 0; tries < 50 && !(player.currentTime > 0.1); tries++) await wait(100);
  const plays = player.duration > 0 && (player.readyState >= 3 || player.ended) && player.currentTime > 0.1;
  player.pause(); player.currentTime = 0;
  return plays;
}"""
AS_TEXT = re.compile(
    r"</?(?:div|span|table|audio|video|img|svg|details|IPython|Figure|Axes)\b.*"  # HTML, or the repr of an object
    r"|<[\w.]+ (?:object )?at 0x.*|\$\$|\\[a-z]+\{"
)


def serve(folder: Path) -> tuple[subprocess.Popen, str]:
    """Start JupyterLab on copies of the lessons in `folder`. Return the server and its address."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("out", ".*"))
    shutil.copytree(ROOT / "figures", folder / "figures")
    for name, setting in SETTINGS.items():
        file = folder / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(setting))
    places = {"JUPYTER_CONFIG_DIR": ".config", "JUPYTERLAB_SETTINGS_DIR": ".settings"}
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", *SERVER, f"--port={port}"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2).close()
            return server, f"http://127.0.0.1:{port}/lab/tree/notebooks"
        except OSError:
            time.sleep(0.5)
    server.kill()
    raise SystemExit((folder / "server.log").read_text()[-2000:])


def run(page: Page, address: str) -> float:
    """Open a lesson and run it. Return how long its cells took, in seconds."""
    page.goto(f"{address}?reset")
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=180_000)
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    start = time.monotonic()
    page.evaluate(RUN)
    took = time.monotonic() - start
    page.wait_for_timeout(3000)  # for widgets and formulas to be drawn
    return took


def photograph(page: Page, folder: Path) -> None:
    """Save a screenshot of each whole cell that matches `SHOWN`, named by the cell's number."""
    folder.mkdir(parents=True, exist_ok=True)
    heights = page.locator(SHOWN).evaluate_all("(cells) => cells.map((cell) => cell.clientHeight)")
    page.set_viewport_size({"width": 1060, "height": max(heights, default=0) + 300})
    for number, cell in enumerate(page.locator(".jp-Notebook-cell").all()):
        if cell.evaluate("(cell, shown) => cell.matches(shown)", SHOWN):
            cell.scroll_into_view_if_needed()
            page.wait_for_timeout(300)
            cell.screenshot(path=folder / f"{number:02}.png")


def faults(page: Page, cells: list[dict]) -> list[str]:
    """Return the faults of a lesson that has run. Cells are counted from 0, like the screenshots."""
    found = [f"cell {number}: {fault[:300]}" for number, cell in enumerate(cells) for fault in cell_faults(cell)]
    players = page.locator(".jp-OutputArea-output :is(audio, video):is([src], :has(source))").all()
    silent = [number for number, player in enumerate(players) if not player.evaluate(PLAYS)]
    return found + [f"player {number} of {len(players)} does not play" for number in silent]


def cell_faults(cell: dict) -> list[str]:
    """Return the faults of a cell, as `CELLS` describes it."""
    found = ["did not run"] if cell["code"] and not cell["count"] else []
    for output in cell["outputs"]:
        text = "".join(output.get("text", ""))
        if output["output_type"] == "error":
            found.append(f"{output['ename']}: {output['evalue']}")
        elif output.get("name") == "stderr" or "Warning: " in text:
            found.append(f"{output['name']}: {text.strip()}")
    found += [f"as text: {match}" for match in AS_TEXT.findall(cell["text"])]
    return found + [fault for fault in ("wrong formula", "missing image", "too wide", "cut label") if cell[fault]]


def main() -> int:
    """Run the lessons that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=LESSONS, metavar="NAME", help="such as 02_controls (default: all)")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "look", metavar="FOLDER", help="(%(default)s)")
    options, count = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server, address = serve(Path(folder))
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name in options.names:
                count += look_at(browser, f"{address}/{name}.ipynb", options.output / name)
            browser.close()
        finally:
            server.terminate()
            server.wait(30)
    return int(count > 0)


def look_at(browser: Browser, address: str, folder: Path) -> int:
    """Run a lesson, save its screenshots, print its faults, and return their number."""
    page, console = browser.new_page(viewport={"width": 1060, "height": 1200}), []
    page.on("console", lambda entry: console.append(entry.text) if entry.type == "error" else None)
    seconds = run(page, address)
    cells = page.evaluate(CELLS)
    photograph(page, folder)
    found = faults(page, cells) + [f"browser: {text[:300]}" for text in console]
    ran = sum(bool(cell["count"]) for cell in cells)
    print(f"{folder.name}: {ran} cells ran in {seconds:.0f} s, {len(found)} faults", *found, sep="\n  ", flush=True)
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.close()
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
