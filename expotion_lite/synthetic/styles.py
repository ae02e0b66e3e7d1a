"""The kinds of music that the band plays, as tables: tempo, metre, modes, who plays, and what each plays in a bar.

A bar is written on a grid of sixteenths, four to a beat (of an eighth-note metre such as 6/8, six to a beat):

    drums   X accent, x stroke, o ghost stroke, . nothing
    bass    1 root, 3 third, 5 fifth, 8 octave, w a step on the way to the next chord, - goes on, . silence
    chords  x the whole chord, 1 2 3 4 one of its notes from below, - goes on, . silence
    lead    x a note begins, - goes on, . silence; one of several rhythms
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """How one kind of music is played.

    Attributes:
        tempo_bpm: slowest and fastest, beats a minute.
        names: how people call it in captions; `moods`: words that fit, in a bright mode and in a dark one.
        bass, chords, lead: instruments of which one is drawn; `pad`: joins in the strongest sections.
        bass_grids, chord_grids, lead_grids: see above; one of the bass and of the chords, two of the lead are drawn.
        drums: instrument and grid.
        beats: in a bar; `steps`: of the grid in a beat.
        swing: how late the second eighth of a beat is, in beats.
        modes: that it may be in; `jazz`: sevenths and ii-V-I progressions.
        feel: sd of what strokes miss the beat by, in seconds.
    """

    tempo_bpm: tuple[int, int]
    names: tuple[str, ...]
    moods: tuple[tuple[str, ...], tuple[str, ...]]
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    lead: tuple[str, ...]
    bass_grids: tuple[str, ...]
    chord_grids: tuple[str, ...]
    lead_grids: tuple[str, ...]
    drums: tuple[tuple[str, str], ...] = ()
    pad: tuple[str, ...] = ()
    beats: int = 4
    steps: int = 4
    swing: float = 0.0
    modes: tuple[str, ...] = ("major", "minor")
    jazz: bool = False
    feel: float = 0.004


EIGHTHS = "x.x.x.x.x.x.x.x."
STYLES = {
    "lo-fi hip hop": Style(
        (68, 92), ("lo-fi hip hop", "lofi beat", "chillhop", "lo-fi"),
        (("mellow", "warm", "dreamy"), ("melancholic", "late-night", "nostalgic")),
        ("electric bass", "upright bass"), ("electric piano",), ("vibraphone", "electric piano", "nylon guitar"),
        ("1-----..1-..5---", "1---..1.....5-w-"), ("x---------------", "x-----..x-------"),
        ("x---..x-x-......", "..x-x---..x-x---", "x-------x-x-x---", "x-x-----......x-"),
        (("kick", "X.....x...X....."), ("snare", "....X.......X..o"), ("hat", "x.x.x.x.x.x.x.xo")),
        swing=0.12, modes=("major", "minor", "dorian"), jazz=True, feel=0.009,
    ),
    "ambient": Style(
        (55, 80), ("ambient", "ambient soundscape", "drone ambient", "atmospheric music"),
        (("peaceful", "airy", "spacious"), ("lonely", "deep", "mysterious")),
        ("synth pad",), ("synth pad", "choir", "strings"), ("vibraphone", "flute", "choir"),
        ("1---------------",), ("x---------------",), ("x-----------....", "....x-------x---", "x-------x-------"),
        pad=("strings",), modes=("major", "minor", "dorian", "mixolydian"), feel=0.012,
    ),
    "waltz": Style(
        (84, 176), ("waltz", "Viennese waltz", "ballroom waltz"),
        (("graceful", "elegant", "joyful"), ("wistful", "bittersweet", "haunting")),
        ("upright bass",), ("accordion", "piano", "strings"), ("clarinet", "flute", "accordion", "piano"),
        ("1---........", "1---....5---"), ("....x-..x-..",),
        ("x---x---x---", "x-------x---", "x-----x-x---", "x-x-x---x---"),
        beats=3,
    ),
    "techno": Style(
        (120, 150), ("techno", "dance track", "electronic club music"),
        (("euphoric", "driving", "bright"), ("hypnotic", "dark", "relentless")),
        ("synth bass",), ("synth lead", "synth pad"), ("synth lead", "chip lead"),
        ("..1-..1-..1-..1-", "1.1.8.1.1.1.8.1.", ".111.111.111.111"),
        ("x..x..x.x..x..x.", "..x...x...x...x.", "x---------------"),
        ("x..x..x.x..x..x.", "x.x.x.x.x.x.x.x.", "x---..x-..x-x---", "x...x...x.x.x..."),
        (("kick", "X...X...X...X..."), ("clap", "....X.......X..."),
         ("hat", "..x...x...x...x."), ("shaker", "x.x.x.x.x.x.x.x.")),
        pad=("synth pad",), modes=("minor", "minor", "dorian", "major"), feel=0.0,
    ),
    "reggae": Style(
        (66, 92), ("reggae", "roots reggae", "dub reggae"),
        (("sunny", "laid-back", "happy"), ("brooding", "heavy", "meditative")),
        ("electric bass",), ("organ", "electric guitar"), ("organ", "brass", "vibraphone"),
        ("1---..1-5-..3-1-", "..1-1-..5---1---", "1-..1-3-5---...."), ("....x.......x...", "..x...x...x...x."),
        ("x---x---......x-", "....x-x-x---....", "x-x---x-x-......"),
        (("kick", "X...X...X...X..."), ("rim", "....X.......X..o"), ("hat", "X.ooX.o.X.ooX.o.")),
        swing=0.05, modes=("major", "minor", "mixolydian"), feel=0.006,
    ),
    "rock": Style(
        (96, 152), ("rock", "guitar rock", "indie rock", "rock anthem"),
        (("uplifting", "triumphant", "energetic"), ("angry", "gritty", "stormy")),
        ("electric bass",), ("electric guitar",), ("electric guitar", "organ", "synth lead"),
        ("1.1.1.1.1.1.1.1.", "1---1.1.5---1.w-"), ("x-x-x-x-x-x-x-x-", "x-----x-x-----x-", "x-------x---x---"),
        ("x---x-x-x---x---", "x-x-x---x-x-x---", "x-----x-x-------"),
        (("kick", "X.....x.X.x....."), ("snare", "....X.......X..."), ("hat", EIGHTHS)),
        pad=("organ",), modes=("major", "minor", "mixolydian"),
    ),
    "jazz trio": Style(
        (92, 180), ("jazz trio", "swing jazz", "cool jazz", "jazz"),
        (("swinging", "playful", "smooth"), ("smoky", "moody", "cool")),
        ("upright bass",), ("piano",), ("piano", "vibraphone", "clarinet"),
        ("1---3---5---w---", "1---w---5---w---"), ("x-....x-........", "......x-..x-....", "x-----....x-...."),
        ("x-x-x-x---x-....", "..x-x-x-x---..x-", "x---x-x-....x-x-", "x-x-x-x-x-x-x---"),
        (("ride", "X...x.x.X...x.x."), ("hat", "....x.......x..."),
         ("brush", "x...x...x...x..."), ("kick", "o.......o.......")),
        swing=0.16, modes=("major", "minor", "dorian"), jazz=True, feel=0.008,
    ),
    "chiptune": Style(
        (112, 172), ("chiptune", "8-bit video game music", "retro game soundtrack"),
        (("cheerful", "heroic", "bouncy"), ("urgent", "eerie", "frantic")),
        ("synth bass", "chip lead"), ("chip lead",), ("chip lead",),
        ("1.1.8.1.1.1.8.1.", "1.5.8.5.1.5.8.5."), ("1231231212312312", "1.2.3.2.1.2.3.2."),
        ("x.x.x.x.x-x-x-x-", "x---x.x.x---x.x.", "x.xxx.x.x.xxx-x-"),
        (("kick", "X.......X......."), ("snare", "....X.......X..."), ("hat", "x.x.x.x.x.x.x.xx")),
        feel=0.0,
    ),
    "bossa nova": Style(
        (110, 150), ("bossa nova", "Brazilian bossa nova", "soft Latin jazz"),
        (("breezy", "romantic", "gentle"), ("longing", "sultry", "wistful")),
        ("upright bass",), ("nylon guitar",), ("flute", "nylon guitar", "clarinet"),
        ("1-----5-5-----1-", "1-----5-8-----5-"), ("x...x..x..x..x..", "x..x..x...x..x.."),
        ("x---x-x-x-------", "..x-x---x-x-x---", "x-----x---x-x---"),
        (("rim", "o..o..o...o..o.."), ("shaker", "XoooXoooXoooXooo"), ("kick", "X...x...X...x...")),
        modes=("major", "minor", "dorian"), jazz=True, feel=0.005,
    ),
    "march": Style(
        (100, 126), ("march", "military march", "parade music", "brass band march"),
        (("proud", "festive", "triumphant"), ("solemn", "stern", "ominous")),
        ("brass",), ("brass", "clarinet"), ("brass", "flute", "clarinet"),
        ("1---5---1---5---", "1---1---5---5-w-"), ("x...x...x...x...", "x.x...x.x.x...x."),
        ("x---x-x-x---x---", "x--xx---x--xx---", "x---x---x-x-x---"),
        (("kick", "X...X...X...X..."), ("snare", "X.ooX.o.X.ooX.oo"), ("crash", "o...............")),
        feel=0.003,
    ),
    "folk": Style(
        (60, 96), ("folk", "acoustic folk", "Irish folk tune", "pastoral folk"),
        (("warm", "hopeful", "rustic"), ("plaintive", "lonesome", "autumnal")),
        ("upright bass",), ("nylon guitar",), ("flute", "accordion", "clarinet"),
        ("1-----5-----", "1-----------"), ("1-2-3-4-3-2-", "1-3-2-3-2-3-"),
        ("x---x-x---x-", "x-x-x-x-----", "x-----x---x-"),
        (("shaker", "X.o.o.X.o.o."), ("tom", "X.....x.....")),
        beats=2, steps=6, modes=("major", "minor", "dorian", "mixolydian"), feel=0.006,
    ),
    "piano ballad": Style(
        (56, 84), ("piano ballad", "solo piano", "intimate piano piece", "cinematic piano"),
        (("tender", "hopeful", "romantic"), ("sad", "heartbroken", "melancholic")),
        ("piano",), ("piano",), ("piano",), ("1-------5-------", "1---------------"),
        ("1-2-3-2-1-2-3-2-", "..2-3-2-..2-3-2-", "x-------x-------"),
        ("x-----x-x-------", "x---x---x-------", "x-x-x---x---x---"),
        pad=("strings",), feel=0.008,
    ),
    "funk": Style(
        (94, 120), ("funk", "dance-floor funk", "seventies funk", "groovy funk"),
        (("groovy", "playful", "party"), ("gritty", "tight", "smoky")),
        ("electric bass", "synth bass"), ("electric guitar", "electric piano"), ("brass", "organ", "synth lead"),
        ("1..1..8.1.1..5w.", "1...1.8...1.8.w.", "1.18..1..1.1.5.."),
        ("..x...x.x..x..x.", "..xx..xx..xx..xx", "x..x..x....x..x."),
        ("x.x...x-......x.", "..x.x-..x.x.x-..", "x--x--x-....x-x-"),
        (("kick", "X..o..o.X....o.."), ("snare", "....X..o.o..X..o"), ("hat", "XoxoXoxoXoxoXoxo")),
        modes=("dorian", "mixolydian", "minor"), feel=0.004,
    ),
    "synth pop": Style(
        (96, 128), ("synth pop", "eighties pop", "synthwave", "electro pop"),
        (("shiny", "romantic", "uplifting"), ("nocturnal", "cold", "yearning")),
        ("synth bass",), ("synth pad", "synth lead"), ("synth lead", "vibraphone"),
        ("1.1.1.1.1.1.1.1.", "1.8.1.8.1.8.1.8."), ("x---------------", "x-----x---x-----", "1.2.3.2.1.2.3.2."),
        ("x-----x-x---x---", "x-x---x-x-------", "..x-x-x-x---x---"),
        (("kick", "X...X...X...X..."), ("snare", "....X.......X..."),
         ("hat", "..x...x...x...x."), ("clap", "............x...")),
        pad=("synth pad",), feel=0.002,
    ),
    "orchestral": Style(
        (60, 132), ("orchestral", "cinematic orchestra", "film score", "classical strings"),
        (("majestic", "noble", "soaring"), ("tragic", "dramatic", "tense")),
        ("strings",), ("strings",), ("brass", "flute", "clarinet", "strings"),
        ("1-------5-------", "1-1-1-1-1-1-1-1-"), ("x-------x-------", "x-x-x-x-x-x-x-x-", "1-2-3-2-1-2-3-2-"),
        ("x-------x---x---", "x---x---x-------", "x-----x-x-------"),
        (("tom", "X...o...x...o..."), ("crash", "o...............")),
        pad=("brass", "choir"), feel=0.008,
    ),
}  # fmt: skip
