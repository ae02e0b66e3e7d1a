"""The command line: `expotion-lite generate`, `studio`, `finetune` and `controls`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__
from .errors import ExpotionError
from .musicgen.settings import MAX_PROMPT_WORDS, Settings

PROGRAM = "expotion-lite"
DEFAULTS = Settings()
VIDEO_HELP = "a video of a person, with or without sound: .mp4, .webm, .mov ..."

OVERVIEW = f"""\
Music for a video of a person. The face and the upper body in the video steer a text-to-music model:
what you ask for in words sets the style, how you move sets when and how strongly things happen.

examples:
  {PROGRAM} generate me.mp4 --prompt "happy lo-fi hip hop with electric piano" -o out.mp4
  {PROGRAM} studio
  {PROGRAM} finetune recordings -o my_adapter
  {PROGRAM} controls me.mp4 -o controls.npz
  {PROGRAM} generate --help      what each knob does to the music
"""

GENERATE = """\
Make music for a video of a person and put it under the pictures. The video's own sound is replaced;
the result lasts as long as the video. Everything runs on this computer: no part of the video leaves it.
"""

GENERATE_EXAMPLES = f"""\
a good start:
  {PROGRAM} generate me.mp4 --prompt "slow sad piano ballad" -o out.mp4

then turn one knob at a time, with the same --seed, and listen:
  --seed 7                     another pipeline, same brief: other notes, same style and same cues
  --visual-guidance 2          the music hangs more loosely on your movements (0: it does not see you)
  --guidance 5                 the music sticks more closely to your words (0: it does not read them)
  --temperature 0.7 --top-k 50 safer and steadier; 1.2 is wilder and may stumble

writing a prompt:
  Name a style, instruments, a mood and a tempo: "fast happy techno with synth lead and drums".
  nano knows, in English, the styles lo-fi hip hop, ambient, waltz, techno, reggae, rock, jazz trio, chiptune,
  bossa nova, march, folk, piano ballad, funk, synth pop and orchestral; piano, electric piano, nylon guitar,
  electric guitar, organ, strings, brass, flute, clarinet, vibraphone, accordion, choir, synth pad, synth lead,
  chip lead, upright bass, electric bass, synth bass and drums.
  One to three sentences work best, {MAX_PROMPT_WORDS} words are the most. When things happen, your movements say.

filming:
  Face and shoulders in the picture, light from the front, one person, 15 frames a second or more.
"""

STUDIO = """\
Record yourself or upload a video, steer, hear the music while it is made, compare takes and keep them: in the
browser, on this computer; no other can reach it.
"""

STUDIO_EXAMPLES = f"""\
example:
  {PROGRAM} studio --recordings class_of_may

What is recorded goes into that folder, from which `{PROGRAM} finetune class_of_may` learns.
"""

CONTROLS = """\
Write what is read off the person as numbers over time: expression (smile, brows, jaw ...) and motion
(head, shoulders, arms), each scaled to the person's own size and range.
"""

CONTROLS_EXAMPLES = f"""\
example:
  {PROGRAM} controls me.mp4 -o controls.npz

the file, for numpy.load(..., allow_pickle=False):
  values      (T, C) float32  one row every 20 ms, one column a channel; about -1 to 1, 0 is neutral
  channels    (C,)            the columns' names
  frame_rate  ()              rows a second, 50
  found       (T,)            whether a face or a body was seen
"""


FINETUNE = """\
Train an adapter, which is what lets the model see, on recordings of people who move to music.
"""

FINETUNE_EXAMPLES = f"""\
recordings:
  A folder of videos with the music as their sound, a folder in it for each person:
      recordings/anna/waltz.webm, recordings/ben/waltz.webm ...
  A table recordings/captions.csv (file,caption,performer,song) may describe the music, and say who
  performs and which song it is; without it, videos of the same name are of one song. What was
  computed is kept in recordings/.expotion-lite.
  About a fifth is held out: people, and songs, that are not trained on. The loss on these tells
  whether the adapter sees: it should be lower with one's own video than with somebody else's.

without recordings, on synthetic people, in three minutes:
  {PROGRAM} finetune synthetic -o my_adapter

on the published recordings, for who has access to them on the Hugging Face hub; one clip at a time is fetched:
  {PROGRAM} finetune human-music-moves --model facebook/musicgen-small --minutes 60 -o moves_adapter

then:
  {PROGRAM} generate me.mp4 --prompt "happy rock" --adapter my_adapter -o out.mp4
"""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong on one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the message on one line, and what to do where argparse does not say it."""
        if "unrecognized arguments" in message:
            message += '; put a prompt of several words in quotes: --prompt "slow sad piano"'
        if "required: " in message and "-o/--output" in message:
            message += "; name the file to write, for example -o out.mp4"
        self.exit(2, f"{PROGRAM}: error: {message} (help: {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: what stands after the program's name; the process's own if None.

    Returns:
        0 if all went well, 2 for input that cannot be used, 130 if stopped with Ctrl-C, 143 if ended by SIGTERM, 1 for
        anything unforeseen.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's notes to its developers
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    debug = False
    before = _on_sigterm(lambda *_: sys.exit(143))  # so that what is half written is removed, as after Ctrl-C
    try:
        options = build_parser().parse_args(arguments)
        debug = options.debug
        options.run(options)
    except SystemExit as stop:  # argparse's way to say that it is done
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return _say("stopped; nothing half written is left behind.", 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, ExpotionError):
            return _say(f"error: {error}", 2)
        what = f"{type(error).__name__}: {error}".strip(": ")
        return _say(f"error: {what} (this should not happen; --debug shows where it comes from)", 1)
    finally:
        _on_sigterm(before)
    return 0


def _on_sigterm(handler: Any) -> Any:
    """Say what SIGTERM does, where Python lets one (in the main thread). Returns what it did before."""
    if threading.current_thread() is threading.main_thread():
        return signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)
    return None


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = Parser(prog=PROGRAM, description=OVERVIEW, **layout)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    generate = commands.add_parser(
        "generate", help="music for a video", description=GENERATE, epilog=GENERATE_EXAMPLES, **layout
    )
    _add_generate_options(generate)
    _add_shared_options(generate)
    generate.set_defaults(run=run_generate)

    studio = commands.add_parser(
        "studio", help="record, steer and listen in the browser", description=STUDIO, epilog=STUDIO_EXAMPLES, **layout
    )
    _add_studio_options(studio)
    studio.set_defaults(run=run_studio)

    finetune = commands.add_parser(
        "finetune", help="train an adapter of your own", description=FINETUNE, epilog=FINETUNE_EXAMPLES, **layout
    )
    _add_finetune_options(finetune)
    _add_shared_options(finetune)
    finetune.set_defaults(run=run_finetune)

    controls = commands.add_parser(
        "controls",
        help="what is read off the person, as numbers",
        description=CONTROLS,
        epilog=CONTROLS_EXAMPLES,
        **layout,
    )
    controls.add_argument("video", metavar="VIDEO", help=VIDEO_HELP)
    controls.add_argument("-o", "--output", metavar="OUT.npz", required=True, help="the file to write")
    _add_shared_options(controls)
    controls.set_defaults(run=run_controls)
    return parser


def run_generate(options: argparse.Namespace) -> None:
    """Carry out `expotion-lite generate`."""
    settings = Settings(options.seed, options.guidance, options.visual_guidance, options.temperature, options.top_k)
    adapter = None if options.adapter == "none" else options.adapter
    files = {"output": options.output, "audio_output": options.audio, "overwrite": options.overwrite}
    from .generation import check_request

    check_request(options.video, options.prompt, model=options.model, adapter=adapter, **files)

    from .generation import generate  # only now what takes seconds to import
    from .musicgen.loading import device_named

    take = generate(
        options.video,
        options.prompt,
        model=options.model,
        adapter=adapter,
        device=str(device_named(options.device)),
        dtype=options.dtype,
        seed=settings.seed,
        guidance=settings.guidance,
        visual_guidance=settings.visual_guidance,
        temperature=settings.temperature,
        top_k=settings.top_k,
        progress=not options.quiet,
        **files,
    )
    if not options.quiet:
        seconds = len(take.audio) / take.sample_rate
        print(f"{options.output}: {seconds:.1f} s of music by {options.model}, seed {settings.seed}")
        if take.unknown_words:
            print(f"nano does not know {', '.join(take.unknown_words)}; its words are in: {PROGRAM} generate --help")
        if options.audio:
            print(f"{options.audio}: the music alone, {take.sample_rate} Hz")


def run_studio(options: argparse.Namespace) -> None:
    """Carry out `expotion-lite studio`."""
    from .studio.server import serve_studio

    adapter = None if options.adapter == "none" else options.adapter
    code = serve_studio(options.recordings, model=options.model, adapter=adapter, port=options.port,
                        browser=not options.no_browser)  # fmt: skip
    if code:
        raise ExpotionError(f"Voila ended with exit code {code}; what it printed says why.")


def run_finetune(options: argparse.Namespace) -> None:
    """Carry out `expotion-lite finetune`."""
    from .training.finetuning import SYNTHETIC, finetune
    from .training.loop import TrainingConfig

    start = options.start or ("bundled" if options.model == "nano" and options.data != SYNTHETIC else "none")
    trained = finetune(
        options.data,
        options.output,
        model=options.model,
        start=None if start == "none" else start,
        config=TrainingConfig(hours=options.minutes / 60, batch=options.batch, seed=options.seed,
                              gradient_checkpointing=options.gradient_checkpointing),
        held_out=options.held_out,
        n_synthetic=options.examples,
        device=options.device,
        resume=options.resume,
        overwrite=options.overwrite,
        progress=not options.quiet,
    )  # fmt: skip
    if options.quiet:
        return
    for path, why in trained.left_out.items():
        print(f"left out: {path}: {why}")
    print(f"{trained.adapter}: trained on {trained.examples} examples, judged by {trained.held_out}")
    if trained.losses:
        own, others, none = (trained.losses[name] for name in ("loss", "loss_shuffled", "loss_none"))
        another = "another of the same person's (nobody else is held out)" if trained.alone else "another's"
        print(f"held-out loss: {own:.3f} with one's own video, {others:.3f} with {another}, {none:.3f} with none")


def run_controls(options: argparse.Namespace) -> None:
    """Carry out `expotion-lite controls`."""
    from .files import check_output
    from .video.reading import check_video

    check_output(options.output, ".npz", source=options.video, overwrite=options.overwrite)
    info = check_video(options.video)

    from .controls.extraction import extract_controls
    from .landmarks.extraction import extract_landmarks

    landmarks = extract_landmarks(options.video, progress=not options.quiet).require_person()
    controls = extract_controls(landmarks, duration_s=info.duration_s)
    controls.save(options.output, overwrite=options.overwrite)
    if not options.quiet:
        rows, columns = controls.values.shape
        print(
            f"{options.output}: {rows} rows at {controls.frame_rate:g} a second, {columns} channels; "
            f"a person in {controls.found.mean():.0%} of them"
        )


def _add_generate_options(parser: argparse.ArgumentParser) -> None:
    """Add what `expotion-lite generate` takes."""
    parser.add_argument("video", metavar="VIDEO", help=VIDEO_HELP)
    parser.add_argument("--prompt", metavar="TEXT", required=True, help="style, instruments, mood and tempo in words")
    parser.add_argument("-o", "--output", metavar="OUT.mp4", required=True, help="the video with its music")
    parser.add_argument("--audio", metavar="OUT.wav", help="also write the music alone")

    model = parser.add_argument_group("the pipeline")
    model.add_argument(
        "--model",
        default="nano",
        help="nano (comes along, needs no network), facebook/musicgen-small, -medium or -large, or a folder "
        "with a saved MusicGen (default: nano)",
    )
    model.add_argument(
        "--adapter",
        metavar="DIR",
        default="bundled",
        help="the folder of an adapter that you fine-tuned: it is what lets the model see; none: without one "
        "(default: the one that comes along with nano)",
    )

    model.add_argument(
        "--device", default="cpu", help="where the model plays: cpu, cuda or auto; nano gains little (default: cpu)"
    )
    model.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="what it computes in: bfloat16 halves a large model's memory (default: float32 on a CPU, else by the GPU)",
    )

    knobs = parser.add_argument_group("knobs")
    for flag, metavar, kind, text in [
        ("seed", "N", int, "another seed is another improvisation; the same one repeats this take; 0 to 4294967295"),
        ("guidance", "X", float, "how closely the music follows your words; 0 to 20, useful 1 to 6"),
        ("visual-guidance", "X", float, "how closely the music follows your movements; 0 to 20, useful 1 to 8"),
        ("temperature", "X", float, "how daring it plays; above 0 to 5, useful 0.7 to 1.2"),
        ("top-k", "N", int, "among how many likely next sounds it chooses; 1 or more, useful 50 to 250"),
    ]:
        default = getattr(DEFAULTS, flag.replace("-", "_"))
        text = f"{text} (default: {default})"
        knobs.add_argument(f"--{flag}", metavar=metavar, type=kind, default=default, help=text)


def _add_studio_options(parser: argparse.ArgumentParser) -> None:
    """Add what `expotion-lite studio` takes."""
    parser.add_argument(
        "--recordings", metavar="DIR", default="recordings", help="where recordings go (default: %(default)s)"
    )
    parser.add_argument("--model", default="nano", help="as for generate (default: nano)")
    parser.add_argument("--adapter", metavar="DIR", default="bundled", help="as for generate (default: bundled)")
    parser.add_argument("--port", type=int, default=8888, help="of this computer (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--debug", action="store_true", help="on an error, show where in the code it happened")


def _add_finetune_options(parser: argparse.ArgumentParser) -> None:
    """Add what `expotion-lite finetune` takes."""
    parser.add_argument(
        "data", metavar="DATA", help="a folder of recordings, or one of the words synthetic and human-music-moves"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the folder for the adapter")
    parser.add_argument("--model", default="nano", help="as for generate (default: nano)")
    parser.add_argument(
        "--start", metavar="DIR",
        help="the adapter to go on from: a folder, bundled, or none for a new one (default: bundled for recordings "
        "with nano, else none)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=3.0, help="of training in all (default: %(default)g)")
    parser.add_argument("--resume", action="store_true", help="go on with what was begun in the folder")
    for flag, kind, default, text in [
        ("held-out", float, 0.2, "share of the recordings that judges; 0: none, if all are of one person"),
        ("examples", int, 200, "how many synthetic performances, 10 s each"),
        ("batch", int, 8, "examples a step; fewer need less memory"),
        ("seed", int, 0, "of the first weights, the order, and who is held out"),
    ]:
        parser.add_argument(f"--{flag}", type=kind, default=default, help=f"{text} (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto: a GPU where there is one")
    parser.add_argument(
        "--gradient-checkpointing", action="store_true", help="slower, with much less memory, for real MusicGen"
    )


def _add_shared_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    shared = parser.add_argument_group("files and messages")
    shared.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    shared.add_argument("--quiet", action="store_true", help="no progress bars, no summary")
    shared.add_argument("--debug", action="store_true", help="on an error, show where in the code it happened")


def _say(text: str, code: int) -> int:
    """Print one line on stderr and return the exit code."""
    print(f"{PROGRAM}: {' '.join(text.split())}", file=sys.stderr)
    return code
