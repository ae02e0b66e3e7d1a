"""Help texts of the command line."""

from __future__ import annotations

from .limits import MAX_PROMPT_WORDS

PROGRAM = "expotion-lite"
VIDEO = "a video of a person, with or without sound: .mp4, .webm, .mov ..."
DEBUG = "on an error, show where in the code it happened"

OVERVIEW = f"""\
Music for a video of a person. The face and the upper body in the video steer a text-to-music model:
your words set the style, your movements set when things happen and how strongly.

examples:
  {PROGRAM} generate me.mp4 --prompt "happy lo-fi hip hop with electric piano" -o out.mp4
  {PROGRAM} studio
  {PROGRAM} finetune recordings -o my_adapter
  {PROGRAM} evaluate takes
  {PROGRAM} controls me.mp4 -o controls.npz
  {PROGRAM} generate --help      what each setting does to the music
"""

GENERATE = """\
Make music for a video of a person and write the video with it. The music replaces the video's own
sound and lasts as long as the video. Everything runs on this computer: the video is not uploaded.
"""

GENERATE_EXAMPLES = f"""\
a first try:
  {PROGRAM} generate me.mp4 --prompt "slow sad piano ballad" -o out.mp4

then change one setting at a time, keep --seed, and listen:
  --seed 7                     other music for the same prompt and video
  --visual-guidance 2          the music follows your movements less closely (0: not at all)
  --guidance 5                 the music follows your words more closely (0: not at all)
  --temperature 0.7 --top-k 50 more predictable; 1.2 is less predictable and may make mistakes

writing a prompt:
  Name a style, instruments, a mood and a tempo: "fast happy techno with synth lead and drums".
  nano knows these English words. Styles: lo-fi hip hop, ambient, waltz, techno, reggae, rock, jazz trio,
  chiptune, bossa nova, march, folk, piano ballad, funk, synth pop and orchestral. Instruments: piano,
  electric piano, nylon guitar, electric guitar, organ, strings, brass, flute, clarinet, vibraphone, accordion,
  choir, synth pad, synth lead, chip lead, upright bass, electric bass, synth bass and drums.
  One to three sentences work best; {MAX_PROMPT_WORDS} words are the limit. Your movements set the timing.

filming:
  Show face and shoulders, with light from the front, one person, at 15 frames a second or more.
"""

STUDIO = """\
Record yourself or upload a video, steer, hear the music while it is made, and compare and save takes,
in the browser. Everything runs on this computer, and no other computer can reach it.
"""

STUDIO_EXAMPLES = f"""\
example:
  {PROGRAM} studio --recordings class_of_may

Recordings are saved in that folder. `{PROGRAM} finetune class_of_may` trains on them.
"""

FINETUNE = """\
Train an adapter on recordings of people who move to music. The adapter lets the model follow a video.
"""

FINETUNE_EXAMPLES = f"""\
recordings:
  A folder of videos whose sound is the music, with a subfolder for each person:
      recordings/anna/waltz.webm, recordings/ben/waltz.webm ...
  A table recordings/captions.csv (file,caption,performer,song) may describe the music and name the
  performer and the song; without it, videos of the same name count as one song. Landmarks, controls and
  codes are cached in recordings/.expotion-lite.
  About a fifth of the recordings is held out: their people and songs are not trained on. The held-out loss
  shows whether the adapter works: it should be lower with a person's own video than with another's.

without recordings, on synthetic people, in three minutes:
  {PROGRAM} finetune synthetic -o my_adapter

on the published recordings, if you have access to them on the Hugging Face hub; clips are downloaded one at a time:
  {PROGRAM} finetune human-music-moves --model facebook/musicgen-small --minutes 60 -o moves_adapter

then:
  {PROGRAM} generate me.mp4 --prompt "happy rock" --adapter my_adapter -o out.mp4
"""

EVALUATE = """\
Measure whether the music in videos follows the people in them: where the music's sounds begin is compared
with where movements arrive in the own picture, and in the pictures of other people.
"""

EVALUATE_EXAMPLES = f"""\
example, for a class:
  takes/anna/1.mp4, takes/ben/1.mp4 ...    made by `{PROGRAM} generate`, a folder for each person
  {PROGRAM} evaluate takes -o result

With more people, smaller effects can be told from chance; ten or more are good.
"""

CONTROLS = """\
Write the person's movements as numbers over time: expression (smile, brows, jaw ...) and motion
(head, shoulders, arms), scaled to the person's own size and range.
"""

CONTROLS_EXAMPLES = f"""\
example:
  {PROGRAM} controls me.mp4 -o controls.npz

the file, for numpy.load(..., allow_pickle=False):
  values      (T, C) float32  a row every 20 ms, a column for each channel; about -1 to 1, 0 is neutral
  channels    (C,)            names of the columns
  frame_rate  ()              rows per second, 50
  found       (T,)            whether a face or a body was found
"""
