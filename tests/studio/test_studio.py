"""The studio in JupyterLab and Chromium, with a fake camera: record, generate, hear, cancel, export.

pip install playwright; apt-get install chromium
pytest tests/studio/test_studio.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import wave
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from expotion_lite import example_clip, probe, read_audio, read_frames, write_video
from expotion_lite.evaluation.metrics import onset_strength

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BARE = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
ALLOWED = "--use-fake-ui-for-media-stream"  # every page that asks for the camera gets it
ROOT = Path(__file__).resolve().parents[2]
CELL = """\
from expotion_lite.studio import Studio
studio = Studio("recordings")
studio"""
LIVE = """\
from expotion_lite.studio import LiveInstrument
live = LiveInstrument("rock with guitar, bass and drums")
live"""
READY = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await window.jupyterapp.restored; await panel.context.ready; await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  await window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a page of JupyterLab with a notebook that shows the studio, and no sidebar."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    folder = tmp_path_factory.mktemp("studio")
    _make_inputs(folder)
    port = _free_port()
    server = _serve(folder, port)
    camera = [
        "--host-resolver-rules=MAP class.example 127.0.0.1",
        "--use-fake-device-for-media-stream",
        ALLOWED,
        f"--use-file-for-fake-video-capture={folder / 'camera.y4m'}",
        f"--use-file-for-fake-audio-capture={folder / 'room.wav'}",
    ]
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*BARE, *camera])
            page = browser.new_page(viewport={"width": 1060, "height": 1200})
            page.folder, page.said, page.asked, page.port, page.chromium = folder, [], [], port, playwright.chromium
            page.on("request", lambda request: page.asked.append(request.url))
            page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
            page.goto(f"http://127.0.0.1:{port}/lab/tree/studio.ipynb?reset")
            page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=90_000)
            page.evaluate("window.jupyterapp.shell.collapseLeft()")
            page.evaluate(READY)
            page.wait_for_selector(".el-studio .el-recorder button.el-record", timeout=90_000)
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def _make_inputs(folder: Path) -> None:
    """Write three notebooks, a clip of 3 s, and what the fake camera and microphone see and hear."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, source in (("studio", CELL), ("far", CELL), ("live", LIVE)):
        cell = {
            "cell_type": "code",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "id": "one",
        }
        notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook))
    write_video(folder / "short.mp4", islice(read_frames(example_clip()), 75))
    _write_y4m(folder / "camera.y4m", 240)  # 9.6 s, 16 nods at 100 a minute: it repeats without a jump
    with wave.open(str(folder / "room.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(96_000) * 0.06)).astype("<i2").tobytes())


def _write_y4m(path: Path, frames: int) -> None:
    import av

    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W480 H480 F25:1 Ip A1:1 C420jpeg\n")
        for frame in islice(read_frames(example_clip()), frames):
            planes = av.VideoFrame.from_ndarray(frame.image, format="rgb24").reformat(format="yuv420p").to_ndarray()
            file.write(b"FRAME\n" + planes.tobytes())


def _free_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


def _serve(folder: Path, port: int) -> subprocess.Popen:
    options = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        "--ServerApp.allow_remote_access=True",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder / ".jupyter")}
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2).close()
            return server
        except OSError:
            time.sleep(0.5)
    server.kill()
    raise AssertionError((folder / "server.log").read_text()[-2000:])


def _status(page, text, timeout_s=90):
    """Wait until the studio's line of text contains these words."""
    page.wait_for_selector(f".el-status:has-text('{text}')", timeout=1000 * timeout_s)


def _press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def _idle(page):
    """Wait until no job runs, so that nothing moves on the page."""
    page.wait_for_selector(".jupyter-button:has-text('Generate'):not([disabled])", timeout=60_000)
    page.wait_for_timeout(300)


def _draw_gesture(page, seconds):
    """Use a drawn gesture of constant nodding as the source."""
    curve = f"[0., 1.] * {12 * seconds}"
    _python(page, f"studio.source_panel.length.value = {seconds}; studio.source_panel.gesture.values = {curve}")
    page.get_by_role("tab", name="Draw a gesture").click()
    _press(page, "Use this gesture")
    _status(page, "Ready")


def _python(page, code):
    """Run code in the notebook's kernel and return what it prints."""
    return page.evaluate(
        """async (code) => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          let text = '';
          const future = kernel.requestExecute({ code });
          future.onIOPub = (m) => { if (m.header.msg_type === 'stream') text += m.content.text; };
          await future.done;
          return text;
        }""",
        code,
    )


def _screenshot(page, name, first, last):
    """Write a picture of some of the cards if STUDIO_SHOTS names a folder: STUDIO_SHOTS/studio_NAME.png."""
    if folder := os.environ.get("STUDIO_SHOTS"):
        _idle(page)
        page.add_style_tag(content=".Toastify { display: none }")
        page.set_viewport_size({"width": 1060, "height": 2600})
        page.locator(".jp-OutputArea .el-studio").scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        upper, lower = (page.locator(".jp-OutputArea .el-card").nth(i - 1).bounding_box() for i in (first, last))
        height = lower["y"] + lower["height"] - upper["y"]
        page.screenshot(path=Path(folder) / f"studio_{name}.png", clip=upper | {"height": height})
        page.set_viewport_size({"width": 1060, "height": 1200})


def test_recording_with_the_webcam_arrives_as_a_named_file_with_its_caption(page):
    page.fill(".el-recorder .el-seconds", "3")
    page.locator(".el-recorder .el-seconds").blur()
    page.check(".el-recorder .el-mic")
    _press(page, "Record")
    page.wait_for_selector(".el-recorder .el-stage video:visible", timeout=20_000)
    _status(page, "Ready", 120)
    table = (page.folder / "recordings" / "captions.csv").read_text()
    assert "me/take.webm" in table
    info = probe(page.folder / "recordings" / "me" / "take.webm")
    assert 2.0 < info.duration_s < 4.5 and info.has_audio and info.frames > 15


def test_a_recording_that_could_not_be_written_is_sent_again(page):
    """The browser keeps it, so that nobody has to record again."""
    _idle(page)
    (page.folder / "occupied").write_text("a file where a folder should be")
    page.get_by_label("save in").first.fill("occupied")
    page.get_by_label("name", exact=True).fill("again")
    page.wait_for_timeout(300)
    _press(page, "Record")
    page.wait_for_selector(".el-recorder .el-note:has-text('press Send again')", timeout=30_000)
    page.get_by_label("save in").first.fill("recordings")
    page.wait_for_timeout(300)
    _press(page, "Send again")
    page.wait_for_selector(".el-recorder .el-note:has-text('has arrived')", timeout=30_000)
    filed = page.folder / "recordings" / "me" / "again.webm"
    for _ in range(60):
        if not filed.exists():
            page.wait_for_timeout(500)
    _idle(page)
    assert probe(filed).frames > 15
    assert not page.get_by_role("button", name="Send again").is_visible()


def test_the_clicks_are_the_sound_of_the_recording(page):
    _idle(page)
    page.get_by_label("move to").select_option("clicks")
    _status(page, "clicks per minute")
    page.get_by_label("name", exact=True).fill("with clicks")
    page.uncheck(".el-recorder .el-mic")
    page.wait_for_timeout(300)
    _press(page, "Record")
    page.wait_for_selector(".el-recorder .el-note:has-text('has arrived')", timeout=30_000)
    _status(page, "Ready", 120)
    sound = read_audio(page.folder / "recordings" / "me" / "with clicks.webm", 16_000)
    onsets = onset_strength(sound, 16_000, 100.0)
    clicks = np.flatnonzero(
        (onsets[1:-1] > 0.3 * onsets.max()) & (onsets[1:-1] >= onsets[:-2]) & (onsets[1:-1] > onsets[2:])
    )
    assert len(clicks) >= 3 and np.median(np.diff(clicks)) == pytest.approx(60, abs=2), (
        "100 per minute, in hundredths of a second"
    )


def test_music_sounds_while_it_is_made(page):
    page.get_by_role("tab", name="File or clip").click()
    page.get_by_placeholder("a path on this machine").fill("short.mp4")
    _press(page, "Open")
    _status(page, "Ready")
    _python(page, "studio.session.pipeline()")  # is loaded in the background by now, or soon
    _press(page, "Generate")
    _status(page, "Kept as", 120)
    page.wait_for_timeout(1500)
    names = "sound.chunks, sound.underruns, sound.peak, studio.session.takes[-1].first_sound_s"
    printed = _python(page, f"sound = studio.listen.sound; print({names})")
    chunks, underruns, peak, first = map(float, printed.split())
    assert chunks == 6 and peak > 0.05 and underruns <= 1, printed  # 0 unless the processor is shared
    assert page.evaluate("document.querySelector('.el-sound video').readyState") >= 2
    print(f"first sound after {first:.2f} s, {underruns:.0f} underruns")


def test_a_take_is_steered_compared_exported_and_rebuilt(page):
    _idle(page)
    page.get_by_role("tab", name="Draw a curve").click()
    curve = page.locator(".el-curve canvas").last
    curve.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # until nothing above it changes its height
    box = curve.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 105)
    page.mouse.down()
    for k in range(1, 320):
        page.mouse.move(box["x"] + 40 + 2 * k, box["y"] + 105 - 85 * np.exp(-(((k % 64) - 32) ** 2) / 60))
    page.mouse.up()
    curve.press("End")
    curve.press("Space")
    _press(page, "Generate")
    _status(page, "Kept as 2", 120)
    _screenshot(page, "steer", 1, 3)
    _screenshot(page, "see", 4, 6)
    _press(page, "Compare A and B")
    _status(page, "equally loud")
    page.wait_for_timeout(700)
    page.get_by_role("button", name="hear 1:").click()
    page.wait_for_timeout(300)
    assert page.get_by_role("button", name="hear 1:").get_attribute("aria-pressed") == "true"
    place = page.get_by_label("place in the music, seconds")
    before = float(place.input_value())
    page.wait_for_timeout(500)
    assert before < float(place.input_value()), "the cursor moves with the sound"
    place.fill("0.3")
    page.wait_for_timeout(400)
    assert 0.3 <= float(place.input_value()) < 2.5, "and the sound goes where the slider is set"
    assert page.locator(".el-meter").count() == 8
    _press(page, "Export")
    _status(page, "Written")
    assert {path.suffix for path in (page.folder / "out").iterdir()} == {".mp4", ".wav", ".json"}
    recipe = json.loads((page.folder / "out" / "my_take.json").read_text())
    points = recipe["steering"]["drawn"]["event"]
    assert len(points) == 75 and points[-1] == 1.0 and max(points[10:50]) > 0.6
    _press(page, "Rebuild")
    _status(page, "exactly the take that was exported", 120)
    page.get_by_label("save A as").fill("out/again.wav")
    page.get_by_label("save A as").press("Tab")
    _press(page, "Export")
    _status(page, "again.json")
    assert (page.folder / "out" / "again.wav").read_bytes() == (page.folder / "out" / "my_take.wav").read_bytes()


def test_cancel_stops_within_a_second_and_keeps_what_was_made(page):
    _draw_gesture(page, 25)
    _press(page, "Generate")
    page.wait_for_function("document.querySelector('.el-sound .el-note').textContent.includes('heard')", timeout=60_000)
    pressed = time.monotonic()
    _press(page, "Cancel")
    _status(page, "stopped", 10)
    took = time.monotonic() - pressed
    print(f"cancelled in {took:.2f} s")
    assert took < 2  # about 1 s on a free processor: a step of the music, then decoding
    frames = int(_python(page, "print(studio.session.takes[-1].frames)"))
    assert 0 < frames < 1250


NAMELESS = """() => [...document.querySelector(".el-studio")
        .querySelectorAll("button, input, select, textarea, canvas, [role=tab], [role=slider], [contenteditable]")]
    .filter((part) => part.offsetParent !== null && !part.closest("[aria-hidden=true]"))
    .filter((part) => !(part.getAttribute("aria-label") || part.title || part.textContent.trim() ||
                        [...(part.labels || [])].some((label) => label.textContent.trim())))
    .map((part) => part.outerHTML.slice(0, 120))"""
PALE = """() => {  // enabled text with a contrast under 4.5 : 1 to its background (WCAG 2.2, 1.4.3)
    const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
    const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (part) => { for (; part; part = part.parentElement) {
        const colour = rgba(getComputedStyle(part).backgroundColor); if (colour[3] > 0.5) return colour; }
        return [255, 255, 255, 1]; };
    return [...document.querySelectorAll(".el-studio *")]
        .filter((part) => part.offsetParent !== null && !part.disabled && !part.closest("canvas, [aria-hidden=true]"))
        .filter((part) => [...part.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
        .map((part) => { const [a, b] = [light(rgba(getComputedStyle(part).color)), light(behind(part))];
                         return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), part.outerHTML.slice(0, 120)]; })
        .filter(([ratio]) => ratio < 4.5);
}"""


def test_everything_has_a_name_and_can_be_read(page):
    page.evaluate("""() => document.querySelector(".el-studio").insertAdjacentHTML(
        "beforeend", "<div class=bad><p style='color: #aaa'>pale</p><button></button></div>")""")
    assert len(page.evaluate(NAMELESS)) == len(page.evaluate(PALE)) == 1, "the check finds faults"
    page.evaluate("document.querySelector('.el-studio .bad').remove()")
    pages = "Camera or upload", "File or clip", "Draw a gesture", "Knobs", "Weights", "Draw a curve", "Swap the person"
    for tab in pages:
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(PALE) == []


def test_a_blind_test_works_by_keyboard_and_shows_no_name(page):
    _idle(page)
    page.get_by_label("rounds").fill("1")
    page.get_by_label("rounds").press("Tab")
    _press(page, "Start a blind test")
    for number in (1, 2):
        page.wait_for_selector(f".el-blind :text('Take {number} of 2')", timeout=20_000)
        page.wait_for_function("document.querySelector('.el-sound .el-note').textContent.startsWith('it: ')")
        assert page.locator(".el-sound .el-slots button").all_text_contents() == ["\u25b6 ?"]
        for k, row in enumerate(page.locator(".el-blind .widget-toggle-buttons").all()):
            score = row.get_by_role("button", name=str(1 + (k + number) % 5), exact=True)
            score.focus()
            score.press("Enter")
        _screenshot(page, "blind", 6, 6)
        _press(page, "Save and continue")
    page.wait_for_selector(".el-scores", timeout=20_000)
    assert len((page.folder / "out" / "listening.csv").read_text().splitlines()) == 3


def test_the_kernels_stop_button_loses_nothing(page):
    """It does not reach a job in a worker thread, which only Cancel stops; a blocking studio keeps what was made."""
    interrupt = "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt(); }"
    _draw_gesture(page, 6)
    _press(page, "Generate")
    page.wait_for_function("document.querySelector('.el-sound .el-note').textContent.includes('heard')", timeout=60_000)
    page.evaluate(interrupt)
    _status(page, "Kept as", 60)
    assert int(_python(page, "print(studio.session.takes[-1].frames)")) >= 300
    page.evaluate(
        """(code) => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          window.running = kernel.requestExecute({ code }).done;
        }""",
        "blocking = Studio(blocking=True); panel = blocking.source_panel\n"
        "panel.length.value = 25; panel.gesture.values = [0.0, 1.0] * 300\n"
        "from pathlib import Path; blocking.listen.bar.observe(lambda change: Path('begun').touch(), 'value')\n"
        "panel.gesture_button.click(); blocking.listen.button.click()",
    )
    began = time.monotonic()
    while not (page.folder / "begun").exists() and time.monotonic() - began < 60:
        page.wait_for_timeout(200)
    page.wait_for_timeout(1_000)
    page.evaluate(interrupt)
    page.evaluate("async () => { await window.running; }")
    frames = int(_python(page, "print(blocking.session.takes[-1].frames if blocking.session.takes else -1)"))
    assert 0 < frames < 1250
    assert "stopped" in _python(page, "print(blocking.status.value)")


def test_forty_megabytes_arrive_whole(page):
    big = page.folder / "big.mp4"
    filler = np.random.default_rng(0).bytes(40_000_000)
    with big.open("wb") as file:  # a video, and a box that players skip
        file.write((page.folder / "short.mp4").read_bytes())
        file.write((len(filler) + 8).to_bytes(4, "big") + b"free" + filler)
    page.get_by_role("tab", name="Camera or upload").click()
    page.set_input_files(".el-recorder .el-file", big)
    page.wait_for_function("document.querySelector('.el-recorder progress').value > 0.3", timeout=60_000)
    arrived, began = page.folder / "recordings" / ".uploads" / "big.mp4", time.monotonic()
    while not arrived.exists() and time.monotonic() - began < 90:
        page.wait_for_timeout(200)
    print(f"40 MB arrived in {time.monotonic() - began:.1f} s")
    page.wait_for_timeout(300)
    _idle(page)
    assert arrived.read_bytes() == big.read_bytes()
    big.unlink()
    arrived.unlink()


def test_a_refused_camera_is_explained_and_the_rest_works(page):
    """In a browser that refuses every request for the camera."""
    strict = page.chromium.launch(executable_path=CHROMIUM, args=[*BARE, "--use-fake-device-for-media-stream"])
    try:
        refused = strict.new_page(viewport={"width": 1060, "height": 1200})
        _run_far(refused, f"http://127.0.0.1:{page.port}")
        refused.get_by_role("button", name="Record", exact=True).click()
        refused.wait_for_selector(".el-recorder .el-note.el-bad:has-text('refused')", timeout=20_000)
        refused.set_input_files(".el-recorder .el-file", page.folder / "short.mp4")
        _status(refused, "Ready")
    finally:
        strict.close()


def test_plain_http_over_a_network_has_no_camera_and_says_what_to_do(page):
    far = page.context.browser.new_page(viewport={"width": 1060, "height": 1200})
    _run_far(far, f"http://class.example:{page.port}")
    far.wait_for_selector(".el-recorder .el-note:has-text('plain http')", timeout=90_000)
    assert far.locator(".el-recorder .el-record").is_disabled() and far.locator(".el-recorder .el-file").is_enabled()
    far.close()


def _run_far(page, address):
    """Open the second notebook and run it."""
    page.goto(f"{address}/lab/tree/far.ipynb?reset")
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=90_000)
    page.evaluate(READY)
    page.wait_for_selector(".el-recorder .el-note", state="attached", timeout=90_000)


def _printed_address(log):
    """Wait for the address in the log: it is printed once the server answers. Returns it."""
    for _ in range(480):
        for word in log.read_text().split():
            if "token=" in word:
                return word
        time.sleep(0.25)
    raise AssertionError(f"No address in two minutes: {log.read_text()}")


def test_the_live_instrument_sees_the_camera_plays_and_stops(page):
    live = page.context.browser.new_page(viewport={"width": 900, "height": 1000})
    said, asked = [], []
    live.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    live.on("request", lambda request: asked.append(request.url))
    live.goto(f"http://127.0.0.1:{page.port}/lab/tree/live.ipynb?reset")
    live.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=90_000)
    live.evaluate("window.jupyterapp.shell.collapseLeft()")
    live.evaluate(READY)
    live.wait_for_selector(".el-instrument .el-start", timeout=90_000)
    live.locator(".el-instrument .el-start").click()
    live.wait_for_selector(".el-instrument .el-note:has-text('Playing')", timeout=60_000)
    live.wait_for_selector(".el-instrument .el-tempo:has-text('You')", timeout=60_000)  # are seen, or move at a tempo
    for _ in range(60):  # a busy machine plays with gaps, but it plays
        if int(_python(live, "print(live.chunks)")) > 15:
            break
        live.wait_for_timeout(1000)
    live.screenshot(path=str(page.folder / "live.png"))
    print("\n" + _python(live, "print('chunks', live.chunks, 'underruns', live.underruns, 'latency', live.latency_s)"))
    words = live.locator(".el-instrument .el-words")
    words.fill("calm piano")
    words.press("Enter")
    words.blur()
    assert int(_python(live, "print(live.chunks)")) > 15
    live.locator(".el-instrument .el-halt").click()
    live.wait_for_selector(".el-instrument .el-note:has-text('Stopped')", timeout=20_000)
    assert _python(live, "print(live.prompt, live.playing)").split() == ["calm", "piano", "False"]
    assert live.locator(".el-instrument video").evaluate("video => video.srcObject") is None
    assert not [url for url in asked if not url.startswith((f"http://127.0.0.1:{page.port}/", "blob:", "data:"))]
    assert not [text for text in said if "expotion" in text.lower() or "anywidget" in text.lower()], said
    live.close()


def test_the_command_serves_a_studio_that_works_by_keyboard(page):
    port = _free_port()
    words = [sys.executable, "-m", "expotion_lite", "studio", "--no-browser", "--port", str(port)]
    environment, log = os.environ | {"PYTHONPATH": str(ROOT)}, page.folder / "command.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            words, cwd=page.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        address = _printed_address(log)
        stranger = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        assert "/login" in stranger.url and "Studio" not in stranger.read().decode()
        alone = page.context.browser.new_page(viewport={"width": 1060, "height": 1200})
        loaded = []
        alone.on("requestfinished", lambda request: loaded.append(request.url))
        alone.goto(address)
        alone.wait_for_selector(".el-studio .el-recorder button.el-record", timeout=90_000)
        _tab_to(alone, "Camera or upload")  # from here on with the keyboard only
        alone.keyboard.press("ArrowRight")
        alone.keyboard.press("Enter")
        _tab_to(alone, "video")
        alone.keyboard.type("short.mp4")
        _tab_to(alone, "Open")
        alone.keyboard.press("Enter")
        _status(alone, "Ready")
        reached = _tab_to(alone, "Generate")
        assert {"prompt", "text guidance", "visual guidance", "seed"} <= set(reached), reached
        alone.keyboard.press("Enter")
        _status(alone, "Kept as", 120)
        assert not [url for url in loaded if not url.startswith((f"http://127.0.0.1:{port}/", "blob:", "data:"))]
        alone.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


NAME = """() => {
    const part = document.activeElement, label = part.labels?.[0]?.textContent.trim();
    return part.getAttribute("aria-label") || label || part.placeholder?.trim() || part.textContent.trim().slice(0, 40);
}"""


def _tab_to(page, name):
    """Press Tab until an element of this name has the focus. Returns the names on the way."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(NAME))
        if passed[-1].startswith(name):
            return passed
    raise AssertionError(passed)


def test_no_other_machine_was_contacted_and_the_browser_logged_no_error(page):
    elsewhere = [u for u in page.asked if not u.startswith((f"http://127.0.0.1:{page.port}/", "blob:", "data:"))]
    assert not elsewhere
    assert not [text for text in page.said if "expotion" in text.lower() or "anywidget" in text.lower()], page.said
