"""The command line: `expotion-lite generate`, `studio`, `finetune`, `evaluate` and `controls`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from . import __version__, cli_help
from .cli_help import PROGRAM
from .cli_output import finish, known_trouble, open_closed_streams, report, say
from .errors import ExpotionError
from .limits import check_memory_limit
from .musicgen.settings import Settings

if TYPE_CHECKING:
    from .landmarks.extraction import Landmarks

SignalHandler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None


_SETTINGS = (  # named as their flags are
    *("seed", "guidance", "visual_guidance", "temperature", "top_k"),
    *("batch", "held_out", "port"),
)


class Parser(argparse.ArgumentParser):
    """A parser that reports errors on one line, and keeps the line breaks of its help texts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and the message on one line, with a hint for the most common mistakes."""
        if "unrecognized arguments" in message:
            message += '; put a prompt of several words in quotes: --prompt "slow sad piano"'
        if "required: " in message and "-o/--output" in message:
            message += "; name the file to write, for example -o out.mp4"
        self.exit(report(f"error: {message} (help: {self.prog} --help)", 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: what follows the program's name; None for those of this process.

    Returns:
        0 for success, 2 for input that cannot be used, 130 after Ctrl-C, 143 after SIGTERM, 1 for an unexpected error.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")  # hide MediaPipe's log messages
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    debug = False
    stdout_closed = open_closed_streams()
    before = _handle_sigterm(_exit_after_sigterm)
    try:
        options = build_parser().parse_args(arguments)
        debug = options.debug
        if stdout_closed and (options.run is run_evaluate or not getattr(options, "quiet", False)):
            raise ExpotionError("Standard output is closed; send it to a file or a terminal.")
        check_memory_limit()
        options.run(options)
        finish()
    except SystemExit as stop:  # raised by argparse, also after --help
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return report("stopped; no incomplete file is left.", 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        known = _with_flags(str(error)) if isinstance(error, ExpotionError) else known_trouble(error)
        if known is not None:
            return report(f"error: {known}", 2)
        what = f"{type(error).__name__}: {error}".strip(": ")
        return report(f"error: {what} (this should not happen; --debug shows where it comes from)", 1)
    finally:
        _handle_sigterm(before)
    return 0


def _with_flags(message: str) -> str:
    """Name a setting as on the command line where a message begins with its name in Python."""
    name, verb, rest = message.partition(" is ")
    flags = {"n_synthetic": "--examples"} | {each: f"--{each.replace('_', '-')}" for each in _SETTINGS}
    return f"{flags.get(name, name)}{verb}{rest}"


def _handle_sigterm(handler: SignalHandler) -> SignalHandler:
    """Set the handler of SIGTERM and return the previous one. Python allows this in the main thread only."""
    if threading.current_thread() is threading.main_thread():
        return signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is None else handler)
    return None


def _exit_after_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    """Exit by an exception, so that incomplete files are removed as after Ctrl-C."""
    sys.exit(143)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(prog=PROGRAM, description=cli_help.OVERVIEW)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    generate = commands.add_parser(
        "generate",
        help="make music for a video",
        description=cli_help.GENERATE,
        epilog=cli_help.GENERATE_EXAMPLES,
    )
    generate.set_defaults(run=run_generate)
    _add_generate_options(generate)
    _add_file_options(generate)

    studio = commands.add_parser(
        "studio",
        help="record, steer and listen in the browser",
        description=cli_help.STUDIO,
        epilog=cli_help.STUDIO_EXAMPLES,
    )
    studio.set_defaults(run=run_studio)
    _add_studio_options(studio)

    finetune = commands.add_parser(
        "finetune",
        help="train your own adapter",
        description=cli_help.FINETUNE,
        epilog=cli_help.FINETUNE_EXAMPLES,
    )
    finetune.set_defaults(run=run_finetune)
    _add_finetune_options(finetune)
    _add_file_options(finetune)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure whether music follows the people in videos",
        description=cli_help.EVALUATE,
        epilog=cli_help.EVALUATE_EXAMPLES,
    )
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("folder", metavar="FOLDER", help="videos with the music made for them, a folder per person")
    evaluate.add_argument("-o", "--output", metavar="DIR", help="folder for a table and a figure (default: none)")
    evaluate.add_argument("--quiet", action="store_true", help="print the result alone")
    evaluate.add_argument("--debug", action="store_true", help=cli_help.DEBUG)

    controls = commands.add_parser(
        "controls",
        help="write the person's movements as numbers",
        description=cli_help.CONTROLS,
        epilog=cli_help.CONTROLS_EXAMPLES,
    )
    controls.set_defaults(run=run_controls)
    controls.add_argument("video", metavar="VIDEO", help=cli_help.VIDEO)
    controls.add_argument("-o", "--output", metavar="OUT.npz", required=True, help="the file to write")
    _add_file_options(controls)
    return parser


def run_generate(options: argparse.Namespace) -> None:
    """Run `expotion-lite generate`."""
    from .generation import generate  # checks the request before it imports what takes seconds

    take = generate(
        options.video,
        options.prompt,
        output=options.output,
        audio_output=options.audio,
        model=options.model,
        adapter=_adapter(options),
        device=options.device,
        dtype=options.dtype,
        seed=options.seed,
        guidance=options.guidance,
        visual_guidance=options.visual_guidance,
        temperature=options.temperature,
        top_k=options.top_k,
        beat=options.beat,
        progress=not options.quiet,
        overwrite=options.overwrite,
    )
    if options.quiet:
        return
    seconds = len(take.audio) / take.sample_rate
    say(f"{options.output}: {seconds:.1f} s of music by {options.model}, seed {options.seed}")
    if take.unknown_words:
        say(f"nano does not know {', '.join(take.unknown_words)}; its words are in: {PROGRAM} generate --help")
    _print_advice(take.landmarks)
    if options.audio:
        say(f"{options.audio}: the music alone, {take.sample_rate} Hz")


def _print_advice(landmarks: Landmarks) -> None:
    """Print what makes the video hard to follow."""
    from .landmarks.advice import advice_on

    for line in advice_on(landmarks):
        say(f"advice: {line}")


def run_evaluate(options: argparse.Namespace) -> None:
    """Run `expotion-lite evaluate`."""
    from .evaluation.folder import evaluate_folder

    report = evaluate_folder(options.folder, options.output, progress=not options.quiet)
    say(f"{report.words()}\n\n{report.table()}\n\nTakes that turn into a wall or freeze: {report.ill:.2f}")
    for name, reason in report.left_out.items():
        say(f"left out: {name}: {reason}")


def run_studio(options: argparse.Namespace) -> None:
    """Run `expotion-lite studio`."""
    from .studio.server import serve_studio

    code = serve_studio(
        options.recordings,
        model=options.model,
        adapter=_adapter(options),
        port=options.port,
        browser=not options.no_browser,
    )
    if code:
        raise ExpotionError(f"Voila ended with exit code {code}; its messages above say why.")


def run_finetune(options: argparse.Namespace) -> None:
    """Run `expotion-lite finetune`."""
    from .training.finetuning import finetune
    from .training.loop import TrainingConfig

    if not options.minutes > 0:
        raise ExpotionError(f"--minutes is {options.minutes:g}; give a number above 0.")
    config = TrainingConfig(
        hours=options.minutes / 60,
        batch=options.batch,
        seed=options.seed,
        gradient_checkpointing=options.gradient_checkpointing,
    )
    trained = finetune(
        options.data,
        options.output,
        model=options.model,
        start=None if options.start == "none" else options.start,
        config=config,
        held_out=options.held_out,
        n_synthetic=options.examples,
        device=options.device,
        resume=options.resume,
        overwrite=options.overwrite,
        progress=not options.quiet,
    )
    if options.quiet:
        return
    for path, reason in trained.left_out.items():
        say(f"left out: {path}: {reason}")
    say("\n".join(trained.words()))


def run_controls(options: argparse.Namespace) -> None:
    """Run `expotion-lite controls`."""
    from .files import check_output
    from .video.reading import check_video

    check_output(options.output, ".npz", source=options.video, overwrite=options.overwrite)
    video = check_video(options.video)

    from .controls.extraction import extract_controls
    from .landmarks.extraction import extract_landmarks

    landmarks = extract_landmarks(video, progress=not options.quiet).require_person()
    controls = extract_controls(landmarks, duration_s=video.info.duration_s)
    controls.save(options.output, overwrite=options.overwrite)
    if not options.quiet:
        n_frames, n_channels = controls.values.shape
        say(
            f"{options.output}: {n_frames} rows at {controls.frame_rate:g} per second, {n_channels} channels; "
            f"a person was found in {controls.found.mean():.0%} of the rows"
        )
        _print_advice(landmarks)


def _adapter(options: argparse.Namespace) -> str | None:
    """Return the adapter that was asked for; "none" on the command line is None in the library."""
    return None if options.adapter == "none" else options.adapter


def _add_generate_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `expotion-lite generate`."""
    parser.add_argument("video", metavar="VIDEO", help=cli_help.VIDEO)
    parser.add_argument("--prompt", metavar="TEXT", required=True, help="style, instruments, mood and tempo in words")
    parser.add_argument("-o", "--output", metavar="OUT.mp4", required=True, help="the video with its music")
    parser.add_argument("--audio", metavar="OUT.wav", help="also write the music alone")

    model = parser.add_argument_group("the model")
    model.add_argument(
        "--model",
        default="nano",
        help="nano (bundled, needs no network), facebook/musicgen-small, -medium or -large, or the folder of a saved "
        "MusicGen (default: nano)",
    )
    model.add_argument(
        "--adapter",
        metavar="DIR",
        default="bundled",
        help="folder of an adapter that you trained, with which the model follows the video; none: the music does not "
        "follow it (default: bundled, which belongs to nano)",
    )
    _add_device_option(model)
    model.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="number format of the model; bfloat16 halves a large model's memory (default: float32 on a CPU, half "
        "precision on a GPU)",
    )

    sampling = parser.add_argument_group("sampling")
    for flag, metavar, kind, text in [
        ("seed", "N", int, "the same seed repeats a take, another one gives other music; 0 to 4294967295"),
        ("guidance", "X", float, "how closely the music follows your words; 0 to 20, useful 1 to 6"),
        ("visual-guidance", "X", float, "how closely the music follows your movements; 0 to 20, useful 1 to 8"),
        ("temperature", "X", float, "randomness; 0.001 to 5, useful 0.7 to 1.2"),
        ("top-k", "N", int, "number of likely sounds to choose from at each step; 1 or more, useful 50 to 250"),
    ]:
        default = getattr(Settings, flag.replace("-", "_"))
        text = f"{text} (default: {default})"
        sampling.add_argument(f"--{flag}", metavar=metavar, type=kind, default=default, help=text)
    sampling.add_argument(
        "--beat",
        metavar="X",
        type=float,
        default=0.5,
        help="what the music follows: 0 every gesture, 1 a steady beat, 0.5 the beat of a steady person and the "
        "gestures of others (default: 0.5)",
    )


def _add_studio_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `expotion-lite studio`."""
    parser.add_argument(
        "--recordings", metavar="DIR", default="recordings", help="folder for recordings (default: %(default)s)"
    )
    parser.add_argument("--model", default="nano", help="as for generate (default: nano)")
    parser.add_argument("--adapter", metavar="DIR", default="bundled", help="as for generate (default: bundled)")
    parser.add_argument("--port", type=int, default=8888, help="port on this computer (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--debug", action="store_true", help=cli_help.DEBUG)


def _add_finetune_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `expotion-lite finetune`."""
    parser.add_argument(
        "data", metavar="DATA", help="a folder of recordings, or the word synthetic or human-music-moves"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the folder for the adapter")
    parser.add_argument("--model", default="nano", help="as for generate (default: nano)")
    parser.add_argument(
        "--start",
        metavar="DIR",
        default="auto",
        help="the adapter to continue from: a folder, bundled, or none for a new one (default: bundled for recordings "
        "with nano, else none)",
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="training time in all (default: %(default)g)")
    parser.add_argument("--resume", action="store_true", help="continue the training that was begun in the folder")
    for flag, kind, default, text in [
        ("held-out", float, 0.2, "share of the recordings to hold out; 0 for none, if all are of one person"),
        ("examples", int, 200, "number of synthetic performances of 10 s each"),
        ("batch", int, 8, "examples per step; fewer need less memory"),
        ("seed", int, 0, "determines the first weights, the order, and who is held out"),
    ]:
        parser.add_argument(f"--{flag}", type=kind, default=default, help=f"{text} (default: %(default)s)")
    _add_device_option(parser)
    parser.add_argument(
        "--gradient-checkpointing", action="store_true", help="slower, with much less memory, for published MusicGen"
    )


def _add_device_option(parser: argparse._ActionsContainer) -> None:
    """Add `--device`, which is the same for every command that runs a model."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, or auto: a GPU where there is one, else the CPU (default: auto)"
    )


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every command which writes a file takes."""
    group = parser.add_argument_group("files and messages")
    group.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    group.add_argument("--quiet", action="store_true", help="no progress bars, no summary")
    group.add_argument("--debug", action="store_true", help=cli_help.DEBUG)
