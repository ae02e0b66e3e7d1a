"""The fifteen styles of the band as tables: tempo, metre, modes, instruments and rhythms.

A rhythm is a string with one symbol for each step of a bar. A beat has four steps (sixteenth notes), or six in 6/8:

    drums   X accent, x stroke, o ghost note, . rest
    bass    1 root, 3 third, 5 fifth, 8 octave, w approach note to the next chord, - hold, . rest
    chords  x the whole chord, 1 2 3 4 one of its notes counted from the lowest, - hold, . rest
    lead    x a note, - hold, . rest
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Style:
    """The rules for one style. What has several options is drawn for each piece.

    Attributes:
        tempo_bpm: slowest and fastest tempo, beats per minute.
        names: names of the style in captions.
        moods: adjectives for captions, those for bright modes and those for dark ones.
        bass: options for the bass instrument.
        chords: options for the instrument that accompanies.
        lead: options for the instrument of the melody.
        bass_grids: options for the rhythm of the bass.
        chord_grids: options for the rhythm of the chords.
        lead_grids: options for the rhythm of the melody; two are drawn.
        drums: (drum, rhythm) pairs; all of them play.
        pad: options for the instrument that sustains the chords in the loudest sections.
        beats: beats in a bar.
        steps: steps in a beat.
        swing: delay of the second half of a beat, in beats.
        modes: options for the mode; one that is listed twice is drawn twice as often.
        jazz: use seventh chords and ii-V-I progressions.
        timing_sd_s: standard deviation of the onset times around the beat grid, seconds; errors stay within two.
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
    timing_sd_s: float = 0.004


STYLES = {
    "lo-fi hip hop": Style(
        tempo_bpm=(68, 92),
        names=("lo-fi hip hop", "lofi beat", "chillhop", "lo-fi"),
        moods=(("mellow", "warm", "dreamy"), ("melancholic", "late-night", "nostalgic")),
        bass=("electric bass", "upright bass"),
        chords=("electric piano",),
        lead=("vibraphone", "electric piano", "nylon guitar"),
        bass_grids=("1-----..1-..5---", "1---..1.....5-w-"),
        chord_grids=("x---------------", "x-----..x-------"),
        lead_grids=("x---..x-x-......", "..x-x---..x-x---", "x-------x-x-x---", "x-x-----......x-"),
        drums=(("kick", "X.....x...X....."), ("snare", "....X.......X..o"), ("hat", "x.x.x.x.x.x.x.xo")),
        swing=0.12,
        modes=("major", "minor", "dorian"),
        jazz=True,
        timing_sd_s=0.009,
    ),
    "ambient": Style(
        tempo_bpm=(55, 80),
        names=("ambient", "ambient soundscape", "drone ambient", "atmospheric music"),
        moods=(("peaceful", "airy", "spacious"), ("lonely", "deep", "mysterious")),
        bass=("synth pad",),
        chords=("synth pad", "choir", "strings"),
        lead=("vibraphone", "flute", "choir"),
        bass_grids=("1---------------",),
        chord_grids=("x---------------",),
        lead_grids=("x-----------....", "....x-------x---", "x-------x-------"),
        pad=("strings",),
        modes=("major", "minor", "dorian", "mixolydian"),
        timing_sd_s=0.012,
    ),
    "waltz": Style(
        tempo_bpm=(84, 176),
        names=("waltz", "Viennese waltz", "ballroom waltz"),
        moods=(("graceful", "elegant", "joyful"), ("wistful", "bittersweet", "haunting")),
        bass=("upright bass",),
        chords=("accordion", "piano", "strings"),
        lead=("clarinet", "flute", "accordion", "piano"),
        bass_grids=("1---........", "1---....5---"),
        chord_grids=("....x-..x-..",),
        lead_grids=("x---x---x---", "x-------x---", "x-----x-x---", "x-x-x---x---"),
        beats=3,
    ),
    "techno": Style(
        tempo_bpm=(120, 150),
        names=("techno", "dance track", "electronic club music"),
        moods=(("euphoric", "driving", "bright"), ("hypnotic", "dark", "relentless")),
        bass=("synth bass",),
        chords=("synth lead", "synth pad"),
        lead=("synth lead", "chip lead"),
        bass_grids=("..1-..1-..1-..1-", "1.1.8.1.1.1.8.1.", ".111.111.111.111"),
        chord_grids=("x..x..x.x..x..x.", "..x...x...x...x.", "x---------------"),
        lead_grids=("x..x..x.x..x..x.", "x.x.x.x.x.x.x.x.", "x---..x-..x-x---", "x...x...x.x.x..."),
        drums=(
            ("kick", "X...X...X...X..."),
            ("clap", "....X.......X..."),
            ("hat", "..x...x...x...x."),
            ("shaker", "x.x.x.x.x.x.x.x."),
        ),
        pad=("synth pad",),
        modes=("minor", "minor", "dorian", "major"),
        timing_sd_s=0.0,
    ),
    "reggae": Style(
        tempo_bpm=(66, 92),
        names=("reggae", "roots reggae", "dub reggae"),
        moods=(("sunny", "laid-back", "happy"), ("brooding", "heavy", "meditative")),
        bass=("electric bass",),
        chords=("organ", "electric guitar"),
        lead=("organ", "brass", "vibraphone"),
        bass_grids=("1---..1-5-..3-1-", "..1-1-..5---1---", "1-..1-3-5---...."),
        chord_grids=("....x.......x...", "..x...x...x...x."),
        lead_grids=("x---x---......x-", "....x-x-x---....", "x-x---x-x-......"),
        drums=(("kick", "X...X...X...X..."), ("rim", "....X.......X..o"), ("hat", "X.ooX.o.X.ooX.o.")),
        swing=0.05,
        modes=("major", "minor", "mixolydian"),
        timing_sd_s=0.006,
    ),
    "rock": Style(
        tempo_bpm=(96, 152),
        names=("rock", "guitar rock", "indie rock", "rock anthem"),
        moods=(("uplifting", "triumphant", "energetic"), ("angry", "gritty", "stormy")),
        bass=("electric bass",),
        chords=("electric guitar",),
        lead=("electric guitar", "organ", "synth lead"),
        bass_grids=("1.1.1.1.1.1.1.1.", "1---1.1.5---1.w-"),
        chord_grids=("x-x-x-x-x-x-x-x-", "x-----x-x-----x-", "x-------x---x---"),
        lead_grids=("x---x-x-x---x---", "x-x-x---x-x-x---", "x-----x-x-------"),
        drums=(("kick", "X.....x.X.x....."), ("snare", "....X.......X..."), ("hat", "x.x.x.x.x.x.x.x.")),
        pad=("organ",),
        modes=("major", "minor", "mixolydian"),
    ),
    "jazz trio": Style(
        tempo_bpm=(92, 180),
        names=("jazz trio", "swing jazz", "cool jazz", "jazz"),
        moods=(("swinging", "playful", "smooth"), ("smoky", "moody", "cool")),
        bass=("upright bass",),
        chords=("piano",),
        lead=("piano", "vibraphone", "clarinet"),
        bass_grids=("1---3---5---w---", "1---w---5---w---"),
        chord_grids=("x-....x-........", "......x-..x-....", "x-----....x-...."),
        lead_grids=("x-x-x-x---x-....", "..x-x-x-x---..x-", "x---x-x-....x-x-", "x-x-x-x-x-x-x---"),
        drums=(
            ("ride", "X...x.x.X...x.x."),
            ("hat", "....x.......x..."),
            ("brush", "x...x...x...x..."),
            ("kick", "o.......o......."),
        ),
        swing=0.16,
        modes=("major", "minor", "dorian"),
        jazz=True,
        timing_sd_s=0.008,
    ),
    "chiptune": Style(
        tempo_bpm=(112, 172),
        names=("chiptune", "8-bit video game music", "retro game soundtrack"),
        moods=(("cheerful", "heroic", "bouncy"), ("urgent", "eerie", "frantic")),
        bass=("synth bass", "chip lead"),
        chords=("chip lead",),
        lead=("chip lead",),
        bass_grids=("1.1.8.1.1.1.8.1.", "1.5.8.5.1.5.8.5."),
        chord_grids=("1231231212312312", "1.2.3.2.1.2.3.2."),
        lead_grids=("x.x.x.x.x-x-x-x-", "x---x.x.x---x.x.", "x.xxx.x.x.xxx-x-"),
        drums=(("kick", "X.......X......."), ("snare", "....X.......X..."), ("hat", "x.x.x.x.x.x.x.xx")),
        timing_sd_s=0.0,
    ),
    "bossa nova": Style(
        tempo_bpm=(110, 150),
        names=("bossa nova", "Brazilian bossa nova", "soft Latin jazz"),
        moods=(("breezy", "romantic", "gentle"), ("longing", "sultry", "wistful")),
        bass=("upright bass",),
        chords=("nylon guitar",),
        lead=("flute", "nylon guitar", "clarinet"),
        bass_grids=("1-----5-5-----1-", "1-----5-8-----5-"),
        chord_grids=("x...x..x..x..x..", "x..x..x...x..x.."),
        lead_grids=("x---x-x-x-------", "..x-x---x-x-x---", "x-----x---x-x---"),
        drums=(("rim", "o..o..o...o..o.."), ("shaker", "XoooXoooXoooXooo"), ("kick", "X...x...X...x...")),
        modes=("major", "minor", "dorian"),
        jazz=True,
        timing_sd_s=0.005,
    ),
    "march": Style(
        tempo_bpm=(100, 126),
        names=("march", "military march", "parade music", "brass band march"),
        moods=(("proud", "festive", "triumphant"), ("solemn", "stern", "ominous")),
        bass=("brass",),
        chords=("brass", "clarinet"),
        lead=("brass", "flute", "clarinet"),
        bass_grids=("1---5---1---5---", "1---1---5---5-w-"),
        chord_grids=("x...x...x...x...", "x.x...x.x.x...x."),
        lead_grids=("x---x-x-x---x---", "x--xx---x--xx---", "x---x---x-x-x---"),
        drums=(("kick", "X...X...X...X..."), ("snare", "X.ooX.o.X.ooX.oo"), ("crash", "o...............")),
        timing_sd_s=0.003,
    ),
    "folk": Style(
        tempo_bpm=(60, 96),
        names=("folk", "acoustic folk", "Irish folk tune", "pastoral folk"),
        moods=(("warm", "hopeful", "rustic"), ("plaintive", "lonesome", "autumnal")),
        bass=("upright bass",),
        chords=("nylon guitar",),
        lead=("flute", "accordion", "clarinet"),
        bass_grids=("1-----5-----", "1-----------"),
        chord_grids=("1-2-3-4-3-2-", "1-3-2-3-2-3-"),
        lead_grids=("x---x-x---x-", "x-x-x-x-----", "x-----x---x-"),
        drums=(("shaker", "X.o.o.X.o.o."), ("tom", "X.....x.....")),
        beats=2,
        steps=6,
        modes=("major", "minor", "dorian", "mixolydian"),
        timing_sd_s=0.006,
    ),
    "piano ballad": Style(
        tempo_bpm=(56, 84),
        names=("piano ballad", "solo piano", "intimate piano piece", "cinematic piano"),
        moods=(("tender", "hopeful", "romantic"), ("sad", "heartbroken", "melancholic")),
        bass=("piano",),
        chords=("piano",),
        lead=("piano",),
        bass_grids=("1-------5-------", "1---------------"),
        chord_grids=("1-2-3-2-1-2-3-2-", "..2-3-2-..2-3-2-", "x-------x-------"),
        lead_grids=("x-----x-x-------", "x---x---x-------", "x-x-x---x---x---"),
        pad=("strings",),
        timing_sd_s=0.008,
    ),
    "funk": Style(
        tempo_bpm=(94, 120),
        names=("funk", "dance-floor funk", "seventies funk", "groovy funk"),
        moods=(("groovy", "playful", "party"), ("gritty", "tight", "smoky")),
        bass=("electric bass", "synth bass"),
        chords=("electric guitar", "electric piano"),
        lead=("brass", "organ", "synth lead"),
        bass_grids=("1..1..8.1.1..5w.", "1...1.8...1.8.w.", "1.18..1..1.1.5.."),
        chord_grids=("..x...x.x..x..x.", "..xx..xx..xx..xx", "x..x..x....x..x."),
        lead_grids=("x.x...x-......x.", "..x.x-..x.x.x-..", "x--x--x-....x-x-"),
        drums=(("kick", "X..o..o.X....o.."), ("snare", "....X..o.o..X..o"), ("hat", "XoxoXoxoXoxoXoxo")),
        modes=("dorian", "mixolydian", "minor"),
        timing_sd_s=0.004,
    ),
    "synth pop": Style(
        tempo_bpm=(96, 128),
        names=("synth pop", "eighties pop", "synthwave", "electro pop"),
        moods=(("shiny", "romantic", "uplifting"), ("nocturnal", "cold", "yearning")),
        bass=("synth bass",),
        chords=("synth pad", "synth lead"),
        lead=("synth lead", "vibraphone"),
        bass_grids=("1.1.1.1.1.1.1.1.", "1.8.1.8.1.8.1.8."),
        chord_grids=("x---------------", "x-----x---x-----", "1.2.3.2.1.2.3.2."),
        lead_grids=("x-----x-x---x---", "x-x---x-x-------", "..x-x-x-x---x---"),
        drums=(
            ("kick", "X...X...X...X..."),
            ("snare", "....X.......X..."),
            ("hat", "..x...x...x...x."),
            ("clap", "............x..."),
        ),
        pad=("synth pad",),
        timing_sd_s=0.002,
    ),
    "orchestral": Style(
        tempo_bpm=(60, 132),
        names=("orchestral", "cinematic orchestra", "film score", "classical strings"),
        moods=(("majestic", "noble", "soaring"), ("tragic", "dramatic", "tense")),
        bass=("strings",),
        chords=("strings",),
        lead=("brass", "flute", "clarinet", "strings"),
        bass_grids=("1-------5-------", "1-1-1-1-1-1-1-1-"),
        chord_grids=("x-------x-------", "x-x-x-x-x-x-x-x-", "1-2-3-2-1-2-3-2-"),
        lead_grids=("x-------x---x---", "x---x---x-------", "x-----x-x-------"),
        drums=(("tom", "X...o...x...o..."), ("crash", "o...............")),
        pad=("brass", "choir"),
        timing_sd_s=0.008,
    ),
}
