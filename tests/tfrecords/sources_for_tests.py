"""Sources that exist for the tests of the writer; worker processes import them by this module's name."""

import os
import time

import numpy as np

from tfrecords.formats import images
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Skip, Source
from tools.cli.errors import InputError


def noise_record(number, **changes):
    """Record `number` of `Noise`, from its own random stream."""
    rng = np.random.default_rng(int(number))
    fields = {
        "dataset": "noise",
        "split": "train",
        "subject": f"S{number % 7}",
        "action": "walking",
        "sequence": f"clip{number // 50}",
        "frame": int(number),
        "pose_2d": rng.normal(500, 100, (17, 2)),
        "pose_3d": rng.normal(0, 300, (17, 3)),
        "intrinsics": [1145.0, 1144.0, 512.0, 515.0],
        "camera_kind": "calibrated",
        "image_size": [1000, 1002],
    }
    return PoseRecord(**{**fields, **changes})


class Noise(Source):
    """`count` records of random numbers; each line 'number: what' of the input file makes one go wrong."""

    info = Info("noise", "random numbers", "a file of troubles", "CC0", "none", splits=("train", "test"))

    def __init__(self, path, options):
        super().__init__(path, options)
        lines = path.read_text().splitlines() if path.is_file() else []
        self._troubles = {int(number): what for number, _, what in (line.partition(": ") for line in lines)}

    def __len__(self):
        return self.options.count

    def records(self, numbers):
        for number in numbers:
            trouble = self._troubles.get(int(number), self._troubles.get(-1, ""))
            if trouble == "missing":
                yield Skip("image missing", f"im{number:05d}.jpg")
            elif trouble == "nan":
                record = noise_record(number)
                record.pose_2d[3] = np.nan
                yield record
            elif trouble == "shape":
                yield noise_record(number, pose_2d=np.zeros((16, 2)))
            elif trouble == "error":
                raise InputError(f"{self.path}: record {number}: not a pose")
            elif trouble == "bug":
                raise ZeroDivisionError("a fault of the source")
            elif trouble == "few":
                return
            elif trouble == "die":
                os.kill(os.getpid(), 9)
            elif trouble == "sleep":
                time.sleep(0.005)
                yield noise_record(number, split=self.split)
            else:
                yield noise_record(number, split=self.split)


class Pictures(Source):
    """One record for each picture of a folder that `names.txt` in it lists."""

    info = Info("pictures", "pictures", "a folder", "CC0", "none", images=True)

    def __init__(self, path, options):
        super().__init__(path, options)
        self._names = (path / "names.txt").read_text().split()
        self._pictures = images.Pictures(path, options.verify)

    def __len__(self):
        return len(self._names)

    def records(self, numbers):
        for number in numbers:
            image = self._pictures.read(self._names[number])
            if isinstance(image, Skip):
                yield image
            else:
                yield noise_record(
                    number, image=image.data, image_format=image.format, image_size=[image.width, image.height]
                )
