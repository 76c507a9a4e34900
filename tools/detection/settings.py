"""How people are looked for in pictures: thresholds, and what `--detector` says of them."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from tools.cli.errors import InputError
from tools.detection import beside, body_head, mediapipe_models


class Belief(NamedTuple):
    """The least sureness of a person: whatever the detector's score, and where that reaches `Settings.confirming`."""

    alone: float
    confirmed: float


_OTHERS = beside.Limits()
_WHOLE, _IN_TILES, _TURNED = Belief(0.5, 0.45), Belief(0.57, 0.5), Belief(0.49, 0.49)
_FILLING = Belief(0.555, 0.555)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How people are looked for; the numbers were chosen on photographs of COCO, with people and without, and on 183 of
    LSP's extended set.

    Attributes:
      score, score_in_tiles: least of the detector's for a candidate; low, since the landmark network judges after it.
      faint: least of the detector's beside one sure person that makes tiles worth a look; 0: they always are.
      most_overlap: of the detector's boxes, see `boxes.suppress`.
      presence: least of a reading, and without the head half of it of a first look.
      sureness, hardly: less after a look, and after the first, is not worth another.
      whole, in_tiles, turned, filling: which readings are people, in the picture as it stands, in tiles, in the picture
        turned, and where the whole picture is the region; there more of what is none looks like a person.
      confirming: a score of the detector that confirms less sure ones.
      settled: a first look of this sureness that names the region which it looked at is enough, and any second look.
      followed: least sureness of people whom the frame before shows there.
      beside: which are people beside others, who are looked for where somebody was found; None: nobody is. Needs the
        head.
      head: correct the landmarks by the body head (`body_head`, research weights), and judge readings by it too.
      weights: a folder with a head of one's own, '' for the shipped one.
      tiles: look for small people in tiles where the whole picture leaves room for them.
      turns: look at the turned picture where no detection is certain.
      sure: a person of this sureness is enough not to look at the picture turned, and at the person a fourth time.
      same_pose: two whose limbs are on the mean nearer than this share of their size are one person.
      same_box: as are two whose limbs' boxes overlap so much (intersection over union), such as a reading upside down.
      same_torso: as are two of like size whose torsos' centres are nearer than this share of it.
    """

    score: float = 0.2
    score_in_tiles: float = 0.35
    faint: float = 0.05
    most_overlap: float = 0.3
    presence: float = 0.5
    sureness: float = 0.36
    hardly: float = 0.28
    settled: float = 0.75
    whole: Belief = _WHOLE
    in_tiles: Belief = _IN_TILES
    turned: Belief = _TURNED
    filling: Belief = _FILLING
    confirming: float = 0.65
    followed: float = 0.4
    beside: beside.Limits | None = _OTHERS
    head: bool = True
    weights: str = ""
    tiles: bool = True
    turns: bool = True
    sure: float = 0.65
    same_pose: float = 0.2
    same_box: float = 0.55
    same_torso: float = 0.15


# Without the head sureness is another number, and the picture is turned for the detector alone.
WITHOUT_HEAD = Settings(
    sureness=0.4,
    hardly=0.4,
    whole=Belief(0.52, 0.45),
    in_tiles=Belief(0.58, 0.52),
    turned=Belief(0.54, 0.54),
    beside=None,
    head=False,
)


def settings_of(detector: str, weights: str = "") -> Settings:
    """How `--detector` finds people: 'mediapipe', or 'mediapipe_only' without the head.

    weights: of the head, see `body_head.weights_file`.

    Raises:
      InputError: weights of a head that is not asked.
    """
    if weights and detector != "mediapipe":
        raise InputError(f"--body_head={weights}: goes with --detector=mediapipe, not {detector}")
    return WITHOUT_HEAD if detector == "mediapipe_only" else Settings(weights=weights)


def check_models(detector: str, weights: str = "") -> str:
    """SHA-256 of the head that a detector asks, '' where it asks none.

    detector, weights: as of `settings_of`; detectors other than MediaPipe's are not looked at.

    Raises:
      InputError: no models, a damaged head, or weights of a head that is not asked.
    """
    chosen = settings_of(detector, weights)
    if not detector.startswith("mediapipe"):
        return ""
    for name in ("detector", "landmarks"):
        mediapipe_models.model_file(name)
    return body_head.check(chosen.weights) if chosen.head else ""
