"""Named joint sets, and how a pose of one becomes a pose of another.

Inside the project every pose has the 17 joints of `POSE17`. Other orders exist only at the edges and pass through
`convert`, which returns with each pose the provenance of every joint: labelled by the source, made from other joints,
or missing. The rules by which joints are made are data (`_RULES`), and `conversion_table` prints them for the docs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tools.cli.errors import InputError

MISSING, MADE, LABELLED = 0, 1, 2
PROVENANCE_NAMES = ("missing", "made", "labelled")

# Where Neck/Nose lies on the way from Thorax to Head: the median over 27,044 frames of motion capture (quartiles 0.492
# and 0.504). Human3.6M's labelled joint stands some centimetres in front of that line, which a 2D source
# does not contain.
NECK_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class JointSet:
    """A named order of joints.

    Attributes:
      name: what flags and files call it.
      joints: the joints' names, in order.
      parents: for each joint the index of its parent, -1 for the root; the bones are (joint, parent).
      pairs: (left, right) indices of the joints that swap when the picture is mirrored.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """The number of joints."""
        return len(self.joints)

    @property
    def root(self) -> int:
        """The index of the joint without a parent."""
        return self.parents.index(-1)

    def index(self, joint: str) -> int:
        """The index of a joint by its name; raises `InputError` for a name that is not in the set."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise InputError(f"joint set {self.name} has no joint '{joint}'; it has {', '.join(self.joints)}") from None

    @property
    def mirror(self) -> np.ndarray:
        """Permutation [J]: ``pose[..., mirror, :]`` swaps left and right."""
        order = np.arange(self.size)
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    @property
    def sides(self) -> tuple[str, ...]:
        """For each joint 'left', 'right' or 'middle'."""
        side = ["middle"] * self.size
        for left, right in self.pairs:
            side[left], side[right] = "left", "right"
        return tuple(side)


def _make_set(name: str, tree: str) -> JointSet:
    """A set from 'Joint<Parent' words; the root has no parent. Left/right pairs follow from the names."""
    words = [word.partition("<")[::2] for word in tree.split()]
    joints = tuple(joint for joint, _ in words)
    parents = tuple(joints.index(parent) if parent else -1 for _, parent in words)
    pairs = tuple(
        (joints.index("L" + joint[1:]), i)
        for i, joint in enumerate(joints)
        if joint[0] == "R" and "L" + joint[1:] in joints
    )
    return JointSet(name, joints, parents, pairs)


_TREES = {
    # The order of the original's arrays, as far as its code fixes it (root 10, head segment 0-1); the rest is inferred.
    "pose17": "Head<Neck/Nose Neck/Nose<Thorax Thorax<Spine RShoulder<Thorax RElbow<RShoulder RWrist<RElbow "
    "LShoulder<Thorax LElbow<LShoulder LWrist<LElbow Spine<Hip Hip RHip<Hip RKnee<RHip RFoot<RKnee "
    "LHip<Hip LKnee<LHip LFoot<LKnee",
    "h36m17": "Hip RHip<Hip RKnee<RHip RFoot<RKnee LHip<Hip LKnee<LHip LFoot<LKnee Spine<Hip Thorax<Spine "
    "Neck/Nose<Thorax Head<Neck/Nose LShoulder<Thorax LElbow<LShoulder LWrist<LElbow RShoulder<Thorax "
    "RElbow<RShoulder RWrist<RElbow",
    # The 15 of the 32 that repeat another joint or end a limb carry Human3.6M's own numbers.
    "h36m32": "Hip RHip<Hip RKnee<RHip RFoot<RKnee RToe<RFoot RToeEnd<RToe LHip<Hip LKnee<LHip LFoot<LKnee LToe<LFoot "
    "LToeEnd<LToe Joint11<Hip Spine<Hip Thorax<Spine Neck/Nose<Thorax Head<Neck/Nose Joint16<Thorax "
    "LShoulder<Thorax LElbow<LShoulder LWrist<LElbow Joint20<LWrist LThumb<LWrist Joint22<LWrist "
    "LHandEnd<LWrist Joint24<Thorax RShoulder<Thorax RElbow<RShoulder RWrist<RElbow Joint28<RWrist "
    "RThumb<RWrist Joint30<RWrist RHandEnd<RWrist",
    "mpii16": "RAnkle<RKnee RKnee<RHip RHip<Pelvis LHip<Pelvis LKnee<LHip LAnkle<LKnee Pelvis Thorax<Pelvis "
    "UpperNeck<Thorax HeadTop<UpperNeck RWrist<RElbow RElbow<RShoulder RShoulder<Thorax LShoulder<Thorax "
    "LElbow<LShoulder LWrist<LElbow",
    "lsp14": "RAnkle<RKnee RKnee<RHip RHip<Neck LHip<Neck LKnee<LHip LAnkle<LKnee RWrist<RElbow RElbow<RShoulder "
    "RShoulder<Neck LShoulder<Neck LElbow<LShoulder LWrist<LElbow Neck HeadTop<Neck",
    "aichallenger14": "RShoulder<Neck RElbow<RShoulder RWrist<RElbow LShoulder<Neck LElbow<LShoulder LWrist<LElbow "
    "RHip<Neck RKnee<RHip RAnkle<RKnee LHip<Neck LKnee<LHip LAnkle<LKnee HeadTop<Neck Neck",
    "coco17": "Nose LEye<Nose REye<Nose LEar<LEye REar<REye LShoulder<Nose RShoulder<Nose LElbow<LShoulder "
    "RElbow<RShoulder LWrist<LElbow RWrist<RElbow LHip<LShoulder RHip<RShoulder LKnee<LHip RKnee<RHip "
    "LAnkle<LKnee RAnkle<RKnee",
    "body25": "Nose<Neck Neck<MidHip RShoulder<Neck RElbow<RShoulder RWrist<RElbow LShoulder<Neck LElbow<LShoulder "
    "LWrist<LElbow MidHip RHip<MidHip RKnee<RHip RAnkle<RKnee LHip<MidHip LKnee<LHip LAnkle<LKnee REye<Nose "
    "LEye<Nose REar<REye LEar<LEye LBigToe<LAnkle LSmallToe<LBigToe LHeel<LAnkle RBigToe<RAnkle "
    "RSmallToe<RBigToe RHeel<RAnkle",
    # OpenPose's BODY_25B: COCO's 17, then MPII's neck and crown, then feet.
    "body25b": "Nose LEye<Nose REye<Nose LEar<LEye REar<REye LShoulder<UpperNeck RShoulder<UpperNeck LElbow<LShoulder "
    "RElbow<RShoulder LWrist<LElbow RWrist<RElbow LHip<LShoulder RHip<RShoulder LKnee<LHip RKnee<RHip "
    "LAnkle<LKnee RAnkle<RKnee UpperNeck<Nose HeadTop<UpperNeck LBigToe<LAnkle LSmallToe<LBigToe LHeel<LAnkle "
    "RBigToe<RAnkle RSmallToe<RBigToe RHeel<RAnkle",
    "openpose18": "Nose<Neck Neck RShoulder<Neck RElbow<RShoulder RWrist<RElbow LShoulder<Neck LElbow<LShoulder "
    "LWrist<LElbow RHip<Neck RKnee<RHip RAnkle<RKnee LHip<Neck LKnee<LHip LAnkle<LKnee REye<Nose "
    "LEye<Nose REar<REye LEar<LEye",
    # Halpe's Head is the top of the head, its Neck the middle of the shoulders, its Hip the middle of the hips.
    "halpe26": "Nose<Neck LEye<Nose REye<Nose LEar<LEye REar<REye LShoulder<Neck RShoulder<Neck LElbow<LShoulder "
    "RElbow<RShoulder LWrist<LElbow RWrist<RElbow LHip<Hip RHip<Hip LKnee<LHip RKnee<RHip LAnkle<LKnee "
    "RAnkle<RKnee Head<Neck Neck<Hip Hip LBigToe<LAnkle RBigToe<RAnkle LSmallToe<LBigToe RSmallToe<RBigToe "
    "LHeel<LAnkle RHeel<RAnkle",
    "mediapipe33": "Nose LEyeInner<Nose LEye<LEyeInner LEyeOuter<LEye REyeInner<Nose REye<REyeInner REyeOuter<REye "
    "LEar<LEyeOuter REar<REyeOuter LMouth<Nose RMouth<Nose LShoulder<Nose RShoulder<Nose "
    "LElbow<LShoulder RElbow<RShoulder LWrist<LElbow RWrist<RElbow LPinky<LWrist RPinky<RWrist "
    "LIndex<LWrist RIndex<RWrist LThumb<LWrist RThumb<RWrist LHip<LShoulder RHip<RShoulder LKnee<LHip "
    "RKnee<RHip LAnkle<LKnee RAnkle<RKnee LHeel<LAnkle RHeel<RAnkle LFootIndex<LHeel RFootIndex<RHeel",
    # The joints of the SMPL body model; its "foot" is called toes here, since the 17's feet are ankles.
    "smpl24": "Pelvis LHip<Pelvis RHip<Pelvis Spine1<Pelvis LKnee<LHip RKnee<RHip Spine2<Spine1 LAnkle<LKnee "
    "RAnkle<RKnee Spine3<Spine2 LToes<LAnkle RToes<RAnkle Neck<Spine3 LCollar<Spine3 RCollar<Spine3 Head<Neck "
    "LShoulder<LCollar RShoulder<RCollar LElbow<LShoulder RElbow<RShoulder LWrist<LElbow RWrist<RElbow "
    "LHand<LWrist RHand<RWrist",
}
JOINT_SETS: dict[str, JointSet] = {name: _make_set(name, tree) for name, tree in _TREES.items()}
POSE17 = JOINT_SETS["pose17"]

# One body, several vocabularies: what each set's name means among the names that the rules below use. A joint that is
# not here means what its name says. The Neck of LSP and AIChallenger and MPII's UpperNeck are this project's Thorax;
# MPII's Thorax is the middle of the shoulders, another place. OpenPose's Neck is the middle of the shoulders too.
_MEANING: dict[str, dict[str, str]] = {
    "mpii16": {
        "RAnkle": "RFoot",
        "LAnkle": "LFoot",
        "Pelvis": "Hip",
        "Thorax": "ShoulderMiddle",
        "UpperNeck": "Thorax",
        "HeadTop": "Head",
    },
    "lsp14": {"RAnkle": "RFoot", "LAnkle": "LFoot", "Neck": "Thorax", "HeadTop": "Head"},
    "aichallenger14": {"RAnkle": "RFoot", "LAnkle": "LFoot", "Neck": "Thorax", "HeadTop": "Head"},
    "coco17": {"RAnkle": "RFoot", "LAnkle": "LFoot"},
    "body25": {"RAnkle": "RFoot", "LAnkle": "LFoot", "Neck": "ShoulderMiddle", "MidHip": "Hip"},
    "body25b": {"RAnkle": "RFoot", "LAnkle": "LFoot", "UpperNeck": "Thorax", "HeadTop": "Head"},
    "openpose18": {"RAnkle": "RFoot", "LAnkle": "LFoot", "Neck": "ShoulderMiddle"},
    "halpe26": {"RAnkle": "RFoot", "LAnkle": "LFoot", "Neck": "ShoulderMiddle"},
    "mediapipe33": {"RAnkle": "RFoot", "LAnkle": "LFoot"},
    # SMPL's Neck is the base of the neck, half of the way to which is Spine2.
    "smpl24": {"RAnkle": "RFoot", "LAnkle": "LFoot", "Pelvis": "Hip", "Spine2": "Spine", "Neck": "Thorax"},
}

# How a joint that a source lacks is made: name -> alternatives, tried in order, each {joint: weight}. A joint that a
# rule names may itself be made by a rule above it. Weights sum to one, so a rule holds in 2D and 3D and moves with
# the pose. Sources that label a face and no crown: the ears lie about 1 / 1.6 of the way from the middle of the
# shoulders to the top of the head (standing body proportions); the nose alone says too little about the crown, so Head
# stays missing then.
EAR_REACH = 1.6
_RULES: tuple[tuple[str, tuple[dict[str, float], ...]], ...] = (
    ("Hip", ({"RHip": 0.5, "LHip": 0.5},)),
    ("ShoulderMiddle", ({"RShoulder": 0.5, "LShoulder": 0.5},)),
    ("Thorax", ({"ShoulderMiddle": 1.0},)),
    ("Spine", ({"Hip": 0.5, "Thorax": 0.5},)),
    ("EarMiddle", ({"REar": 0.5, "LEar": 0.5}, {"REar": 1.0}, {"LEar": 1.0}, {"REye": 0.5, "LEye": 0.5})),
    ("Head", ({"EarMiddle": EAR_REACH, "ShoulderMiddle": 1.0 - EAR_REACH},)),
    ("Neck/Nose", ({"Thorax": 1.0 - NECK_SHARE, "Head": NECK_SHARE},)),
)


def joint_set(name: str) -> JointSet:
    """The joint set of that name; raises `InputError` that lists the names there are."""
    try:
        return JOINT_SETS[name]
    except KeyError:
        raise InputError(f"no joint set '{name}'; there are {', '.join(JOINT_SETS)}") from None


def _meanings(joints: JointSet) -> tuple[str, ...]:
    """What each joint of a set is called among the names of the rules."""
    table = _MEANING.get(joints.name, {})
    return tuple(table.get(joint, joint) for joint in joints.joints)


def convert(
    poses: np.ndarray, from_set: str, to_set: str = "pose17", provenance: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Poses of one joint set as poses of another.

    Args:
      poses: [..., J, D] pixels or millimetres, J the size of `from_set`. A joint with a NaN is missing.
      from_set: name of their joint set.
      to_set: name of the joint set that is wanted.
      provenance: [..., J] what is known of each joint: `MISSING`, `MADE` or `LABELLED`, or booleans (True: labelled).
        None: every joint without a NaN is labelled.

    Returns:
      (poses [..., K, D] float32 with NaN at missing joints, provenance [..., K] uint8).
      A joint that the source has is taken over with its provenance, one made by a rule is `MADE`.

    Raises:
      InputError: unknown joint set, or another number of joints than `from_set` has.
    """
    source, target = joint_set(from_set), joint_set(to_set)
    poses = np.asarray(poses)
    if poses.ndim < 2 or poses.shape[-2] != source.size:
        raise InputError(f"poses of joint set {source.name} are [..., {source.size}, D], not {list(poses.shape)}")
    if not np.issubdtype(poses.dtype, np.floating):
        poses = poses.astype(np.float64)
    known = ~np.isnan(poses).any(-1)
    if provenance is not None:
        provenance = np.asarray(provenance)
        if provenance.shape != poses.shape[:-1]:
            raise InputError(f"provenance is {list(poses.shape[:-1])} for these poses, not {list(provenance.shape)}")
        codes = np.where(provenance, LABELLED, MISSING) if provenance.dtype == bool else provenance
        known = np.where(known, codes, MISSING)
    else:
        known = np.where(known, LABELLED, MISSING)

    state = {name: (poses[..., i, :], known[..., i]) for i, name in enumerate(_meanings(source))}
    nothing = (np.full(poses.shape[:-2] + poses.shape[-1:], np.nan), np.zeros(poses.shape[:-2], known.dtype))
    for name, alternatives in _RULES:
        value, code = state.get(name, nothing)
        for mix in alternatives:
            parts = [state.get(part, nothing) for part in mix]
            usable = (code == MISSING) & np.all([part_code != MISSING for _, part_code in parts], axis=0)
            made = sum(weight * part_value for weight, (part_value, _) in zip(mix.values(), parts))
            value = np.where(usable[..., None], made, value)
            code = np.where(usable, MADE, code)
        state[name] = (value, code)

    picked = [state.get(name, nothing) for name in _meanings(target)]
    codes = np.stack([code for _, code in picked], axis=-1).astype(np.uint8)
    values = np.stack([value for value, _ in picked], axis=-2)
    return np.where(codes[..., None] == MISSING, np.nan, values).astype(np.float32), codes


def parse_permutation(words: str | Sequence[str] | None, size: int | None = POSE17.size) -> tuple[int, ...] | None:
    """The value of ``--permutation``: joint i of this project's order is found at place permutation[i] of the source.

    Args:
      words: ``10,9,8,...`` or its parts; None or empty: the same order.
      size: how many joints there are; None: as many as words.

    Returns:
      The places, or None for the same order.

    Raises:
      InputError: not each of 0..size-1 exactly once.
    """
    if not words:
        return None
    words = words.split(",") if isinstance(words, str) else words
    try:
        order = tuple(int(word) for word in words)
    except ValueError:
        order = ()
    size = len(words) if size is None else size
    if sorted(order) != list(range(size)):
        raise InputError(
            f"--permutation={','.join(words)[:100]}: expected {size} numbers, each of 0 to {size - 1} once, separated "
            "by commas"
        )
    return order


def check_permutation(order: Sequence[int] | None, size: int = POSE17.size) -> None:
    """Raises `InputError` when a permutation does not name each of `size` joints once."""
    if order is not None and sorted(order) != list(range(size)):
        raise InputError(f"--permutation: expected each of 0 to {size - 1} once, got {list(order)}")


def conversion_table(from_sets: Sequence[str], to_set: str = "pose17") -> str:
    """A Markdown table: how each joint of `to_set` comes about from each source whose joints are all labelled."""
    target = joint_set(to_set)
    rows = [["#", to_set] + list(from_sets), ["---"] * (2 + len(from_sets))]
    columns = [_origins(joint_set(name)) for name in from_sets]
    for i, (joint, meaning) in enumerate(zip(target.joints, _meanings(target))):
        rows.append([str(i), joint] + [column.get(meaning, "missing") for column in columns])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _origins(source: JointSet) -> dict[str, str]:
    """meaning -> in words where `source` has it from, when all of its joints are labelled."""
    origins = {meaning: f"{joint} ({i})" for i, (joint, meaning) in enumerate(zip(source.joints, _meanings(source)))}
    names = dict(zip(_meanings(source), source.joints))
    for name, alternatives in _RULES:
        if name in origins:
            continue
        mix = next((mix for mix in alternatives if all(part in origins for part in mix)), None)
        if mix:
            origins[name] = "made: " + " ".join(
                f"{'+' if weight > 0 else '-'}{abs(weight):g} {names.get(part, part)}" for part, weight in mix.items()
            ).lstrip("+")
    return origins
