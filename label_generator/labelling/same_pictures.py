"""Do two poses of the input share a picture? Then they are not all of one person, as `--one_person` says."""

from __future__ import annotations

from label_generator.labelling import inputs
from label_generator.labelling.options import LabellingOptions
from label_generator.lifting import settings
from tfrecords.formats import images
from tools.cli.errors import InputError
from tools.pose import joints

_READ_AT_ONCE = 1024


def check_one_person(options: LabellingOptions, poses: inputs.Input, least_joints: int | None = None) -> None:
    """Raises `InputError` when --one_person was given and two poses that get labels share a picture.

    Poses of one picture have the same file, sequence and frame; a photograph has one frame. Poses that say no picture
    are not compared, nor those with the same number of a person, nor records that number no people, since those may be
    views of one frame by several cameras.

    Args:
      least_joints: poses with fewer labelled joints get no label; None: the lifter's default.
    """
    if not options.one_person:
        return
    people: dict[int, int] = {}  # the picture's hash, since there may be millions, and the number of its person
    unnumbered = options.spec.format == "array"
    first, least = 0, settings.LifterSettings.min_joints if least_joints is None else least_joints
    for batch in inputs.read_batches(poses, 0, _READ_AT_ONCE):
        labelled = (batch.provenance == joints.LABELLED).sum(1)
        for i, (file, sequence, frame, person) in enumerate(
            zip(batch.file, batch.sequence, batch.frame.tolist(), batch.person.tolist())
        ):
            is_photograph = images.is_image_name(file)
            no_picture = not (file or sequence) or not (is_photograph or (frame >= 0 and poses.frames_stated))
            if i in batch.skipped or labelled[i] < least or no_picture:
                continue
            if options.decisions and options.decisions.fate(file, sequence, frame, person, first + i).reason:
                continue
            picture = hash((file, sequence, -1 if is_photograph else frame))
            other = people.get(picture)
            if other is not None and (other != person or (person < 0 and unnumbered)):
                where = f"{file or sequence}" if is_photograph else f"frame {frame:,} of {file or sequence}"
                raise InputError(
                    f"--one_person: {options.spec.path}: row {first + i:,} is another person in {where[-200:]}; leave "
                    "the others out (of the input, or by --keep with the decisions of a review)"
                )
            people[picture] = person
        first += len(batch)
