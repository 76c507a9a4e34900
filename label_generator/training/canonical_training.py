"""The parts of a canonical training: level poses in, batches of virtual views, evaluation on real cameras' records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.networks import network_files, prenorm_model
from label_generator.networks.network_files import Network
from label_generator.stages import left2right, names
from label_generator.training import virtual_camera
from label_generator.training.averaged_adamw import AveragedAdamW
from label_generator.training.canonical_losses import CanonicalTrainer, squared_search
from label_generator.training.draws import Draws
from label_generator.training.level_poses import LevelPoses, StoredPoses
from label_generator.training.recipe_settings import LossWeights, ViewSettings
from tfrecords import reader
from tools.cli.errors import InputError
from tools.pose import metric_tables, metrics
from tools.pose.joints import LABELLED, POSE17
from tools.training import schedules
from tools.training.division import ALL, Division, Rows

RIGHT_OUTPUTS = 2 * POSE17.size
_EVALUATED_AT_ONCE = 1024
_PICTURED = 6
_MEASURED = 1000  # poses whose errors are drawn over a threshold
_CHOICE = 1 << 20  # added to the seed: a stream apart from those of the views


@dataclasses.dataclass(frozen=True)
class CanonicalSetup:
    """What decides a canonical training beside its data; names as the flags."""

    stage: str
    linear_size: int = 1024
    num_layers: int = 2
    left2right_layers: int = 1
    batch_size: int = 512
    learning_rate: float = 1e-3
    epochs: int = 20
    steps_per_epoch: int = 1000
    seed: int = 0
    weight_decay: float = 0.01
    ema: float = 0.999
    balance: float = 0.5
    rarity: float = 0.0
    synthetic_share: float = 0.2
    schedule: str = "cosine"
    views: ViewSettings = dataclasses.field(default_factory=ViewSettings)
    losses: LossWeights = dataclasses.field(default_factory=LossWeights)


# The fields that are flags of the same name; those of `views` and `losses` are flags too, view_<name> and loss_<name>.
SETUP_FLAGS = tuple(field.name for field in dataclasses.fields(CanonicalSetup) if field.name not in ("views", "losses"))


@dataclasses.dataclass(frozen=True)
class EvaluationPoses:
    """N test poses with their pictures' joints.

    Attributes:
      rays: [N, 17, 2] x/z and y/z. joint_mask: [N, 17] bool, labelled.
      points: [N, 17, 3] mm in camera axes. actions: [N] texts.
      left_out: records without 3D, intrinsics or hips.
    """

    rays: np.ndarray
    joint_mask: np.ndarray
    points: np.ndarray
    actions: np.ndarray
    left_out: int


def load_evaluation_poses(where: str) -> EvaluationPoses:
    """Test poses from records of known cameras.

    Raises:
      InputError: no record has intrinsics, 2D and 3D.
    """
    fields = ["pose_2d", "provenance_2d", "pose_3d", "root_3d", "intrinsics", "action"]
    arrays = reader.load_arrays(where, fields)
    points = arrays["pose_3d"] + arrays["root_3d"][:, None]
    k = arrays["intrinsics"][:, None]
    rays = (arrays["pose_2d"] - k[..., 2:]) / k[..., :2]
    mask = (arrays["provenance_2d"] == LABELLED) & np.isfinite(rays).all(-1)
    hips = mask[:, POSE17.index("RHip")] & mask[:, POSE17.index("LHip")]
    usable = np.isfinite(points).all((1, 2)) & np.isfinite(k).all((1, 2)) & (hips | mask[:, POSE17.root])
    if not usable.any():
        raise InputError(f"--test_data={where}: no record has pose_2d, intrinsics, pose_3d and root_3d")
    left_out = int(np.count_nonzero(~usable))
    return EvaluationPoses(rays[usable], mask[usable], points[usable], arrays["action"][usable], left_out)


def pose_weights(train: LevelPoses | StoredPoses, setup: CanonicalSetup) -> np.ndarray:
    """[N] how often each pose is met, in proportion.

    A sequence of n poses in proportion to n^balance, so that long ones don't rule; poses unlike others more often
    (`rarity`); poses of source synthetic together `synthetic_share` of the time.
    """
    sizes = np.bincount(train.sequences)
    weights = sizes[train.sequences].astype(np.float64) ** (setup.balance - 1.0)
    if setup.rarity:
        weights *= rarity(train) ** setup.rarity
    synthetic = train.synthetic
    if synthetic is not None and synthetic.any() and not synthetic.all():
        weights[synthetic] *= setup.synthetic_share / weights[synthetic].sum()
        weights[~synthetic] *= (1.0 - setup.synthetic_share) / weights[~synthetic].sum()
    return weights


def rarity(train: LevelPoses | StoredPoses, references: int = 3000, neighbour: int = 10) -> np.ndarray:
    """[N] how far each pose is from its tenth nearest among some others, over the median: from 0.5 to 4.

    Poses are compared facing alike and of the same size.
    """
    chosen = np.random.default_rng(0).permutation(len(train))[:references]
    others = _facing(train.of_numbers(chosen))
    squares, place = np.square(others).sum(1), min(neighbour, len(chosen) - 1)
    far = []
    for poses in train.blocks(4096):
        part = _facing(poses)
        distances = np.square(part).sum(1)[:, None] + squares - 2.0 * part @ others.T
        far.append(np.partition(distances, place, axis=1)[:, place].copy())  # not a view of all distances
    distance = np.sqrt(np.maximum(np.concatenate(far), 0.0), dtype=np.float64)
    return np.clip(distance / max(np.median(distance), 1e-9), 0.5, 4.0)


def _facing(poses: np.ndarray) -> np.ndarray:
    """[n, 51] poses [n, 17, 3] in level axes, turned to face one way and of one size."""
    across = poses[:, POSE17.index("LHip")] - poses[:, POSE17.index("RHip")]
    angle = np.arctan2(across[:, 2], across[:, 0])
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = poses[..., 0], poses[..., 1], poses[..., 2]
    facing = np.stack([c * x + s * z, y, c * z - s * x], -1).reshape(len(poses), -1)
    facing /= np.sqrt(np.square(facing).mean(1, keepdims=True)) + 1e-9
    return facing


def view_draws(
    train: LevelPoses | StoredPoses, setup: CanonicalSetup, host: bool = True
) -> Callable[[tf.Tensor], dict]:
    """What draws a step's batch of virtual views (`virtual_camera.draw_views`), a function of seed and step.

    Args:
      train: where they are in files, each batch reads its own from there.
      host: the poses lie in the processor's memory; False: where TensorFlow puts them, a GPU's if there is one.

    Returns:
      step, an int64 scalar -> batch; graph code that XLA compiles unless poses are in files.
    """
    weights = pose_weights(train, setup)
    with tf.device("CPU:0" if host else None):
        upper = tf.constant(np.cumsum(weights) / weights.sum())
        taken = _taken_from_files(train) if isinstance(train, StoredPoses) else _gathered(train)
    last = len(train) - 1

    def draw(step: tf.Tensor) -> dict[str, tf.Tensor]:
        seed = tf.stack([tf.constant(setup.seed, tf.int64), step])
        uniform = Draws(seed + [_CHOICE, 0]).uniform([setup.batch_size])
        chosen = tf.minimum(tf.searchsorted(upper, tf.cast(uniform, tf.float64)), last)
        poses, heights, library = taken(chosen)
        return virtual_camera.draw_views(poses, heights, seed, setup.views, library)

    return draw


def _gathered(train: LevelPoses) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    library = train.poses[:, None] if train.library is None else train.library
    tables = [tf.constant(table) for table in (train.poses, train.heights, library)]
    return lambda chosen: [tf.gather(table, chosen) for table in tables]


def _taken_from_files(train: StoredPoses) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    shapes: tuple[list[int], ...] = [POSE17.size, 3], [], [train.skeletons, POSE17.size, 3]

    def take(chosen: tf.Tensor) -> list[tf.Tensor]:
        made = tf.numpy_function(train.take, [chosen], [tf.float32] * len(shapes), stateful=False)
        return [tf.ensure_shape(part, [*chosen.shape, *shape]) for part, shape in zip(made, shapes)]

    return take


def view_batches(train: LevelPoses | StoredPoses, setup: CanonicalSetup, start_step: int) -> tf.data.Dataset:
    """Endless batches of virtual views, drawn by the processor ahead of the steps (`view_draws`)."""
    steps = tf.data.Dataset.range(start_step, tf.int64.max)
    draw = view_draws(train, setup)
    return steps.map(draw, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


class CanonicalTraining:
    """A canonical training, with the methods of `published_training.PublishedTraining`."""

    def __init__(
        self,
        setup: CanonicalSetup,
        train: LevelPoses | StoredPoses,
        test: EvaluationPoses,
        left2right: Network | None = None,
        start: Mapping[str, Network] | None = None,
        draws_in_step: bool = False,
    ):
        """left2right: the trained network that the stage pose3d reads. start: networks to start from, by stage.
        draws_in_step: views are drawn inside the training step, on its device; False: ahead of it, by the processor.

        Raises:
          InputError: they are of another stage, recipe or shape.
        """
        self._setup, self._train, self._test = setup, train, test
        self.train_poses, self.test_poses = len(train), len(test.rays)
        self.left_out = train.left_out + test.left_out
        self.steps_per_epoch, self.is_on_disk = setup.steps_per_epoch, train.is_on_disk
        if left2right is not None and (left2right.stage, left2right.recipe) != (names.LEFT2RIGHT, "canonical"):
            raise InputError(
                f"--left2right={left2right.directory}: a {left2right.recipe} network of stage {left2right.stage}, "
                "expected a canonical one of stage left2right"
            )
        self._given, self._start = left2right, dict(start or {})
        self._draws_in_step = draws_in_step
        self._configs = self._make_configs()
        self._twin = self._trainer()
        self._run = tf.function(self._errors_of, reduce_retracing=True)

    def _make_configs(self) -> dict[str, dict]:
        setup, inputs = self._setup, canonical_view.INPUTS
        configs = {}
        if setup.stage in (names.LEFT2RIGHT, names.CHAIN):
            layers = setup.num_layers if setup.stage == names.LEFT2RIGHT else setup.left2right_layers
            configs[names.LEFT2RIGHT] = {"inputs": inputs, "outputs": RIGHT_OUTPUTS, "num_layers": layers}
        if setup.stage in (names.POSE3D, names.CHAIN):
            configs[names.POSE3D] = {"inputs": inputs + RIGHT_OUTPUTS, "outputs": canonical_view.OUTPUTS}
        if setup.stage == names.DIRECT:
            configs[names.DIRECT] = {"inputs": inputs, "outputs": canonical_view.OUTPUTS}
        return {
            name: {"num_layers": setup.num_layers, **config, "linear_size": setup.linear_size}
            for name, config in configs.items()
        }

    def _trainer(self) -> CanonicalTrainer:
        networks = {
            name: prenorm_model.prenorm_model(**config, seed=2 * self._setup.seed + number, name=name)
            for number, (name, config) in enumerate(self._configs.items())
        }
        if self._given is not None:
            networks[names.LEFT2RIGHT] = prenorm_model.prenorm_model(**self._given.config, name=names.LEFT2RIGHT)
            network_files.assign(
                prenorm_model.variables_by_name(networks[names.LEFT2RIGHT]),
                self._given.variables,
                self._given.directory,
            )
        if self._start:
            for name in self._configs:
                _start(networks[name], name, self._start)
        pose3d = networks.get(names.POSE3D) or networks.get(names.DIRECT)
        return CanonicalTrainer(self._setup.stage, networks.get(names.LEFT2RIGHT), pose3d, self._setup.losses)

    def make_batches(self, start_step: int) -> tf.data.Dataset:
        """Endless batches of virtual views from a step on; where the step draws them, the numbers of the steps."""
        if self._draws_in_step:
            return tf.data.Dataset.range(start_step, tf.int64.max)
        return view_batches(self._train, self._setup, start_step)

    def make_model(self, replicas: int = 1, jit_compile: bool = False, steps_per_execution: int = 1) -> tf.keras.Model:
        """The compiled trainer; to be called in the strategy's scope. There is nothing to synchronise in its norms."""
        setup, model = self._setup, self._trainer()
        if self._draws_in_step:
            model.draw = view_draws(self._train, setup, host=False)
        steps = setup.epochs * setup.steps_per_epoch
        schedule = schedules.WarmupCosine(setup.learning_rate, steps, falls=setup.schedule == "cosine")
        optimizer = AveragedAdamW(schedule, setup.weight_decay, setup.ema)
        model.compile(optimizer=optimizer, jit_compile=jit_compile, steps_per_execution=steps_per_execution)
        return model

    def take_weights(self, model: tf.keras.Model) -> None:
        """Copies the averages of the trained weights, which figures, pictures and `export` are of."""
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        for copy, trained in zip(self._twin.trainable_variables, model.trainable_variables):
            copy.assign(optimizer.average_of(trained).numpy())

    def _errors_of(self, rays: tf.Tensor, joint_mask: tf.Tensor, points: tf.Tensor) -> dict[str, tf.Tensor]:
        """Poses and right views in the turned camera, predicted and true."""
        unknown = tf.zeros(tf.shape(rays)[:1], tf.bool)
        view = canonical_view.canonical_view(rays, joint_mask, unknown)
        turned = canonical_view.rotated(view.rotation, points)
        inputs = canonical_view.network_inputs(view)
        predictions = {"truth": turned - turned[:, POSE17.root, None]}
        if self._twin.left2right is not None:
            answer = self._twin.left2right(inputs, training=False)
            inputs = tf.concat([inputs, answer], -1)
            baseline = canonical_view.BASELINE_SHARE * canonical_view.BODY_MM / view.size
            moved = turned + tf.stack([baseline, tf.zeros_like(baseline), tf.zeros_like(baseline)], -1)[:, None]
            right_rays = moved[..., :2] / moved[..., 2:]
            predictions["right"] = canonical_view.decode_right(answer, view, baseline)
            predictions["true_right"] = right_rays - right_rays[:, POSE17.root, None]
        if self._twin.pose3d is not None:
            coarse, _ = canonical_view.decode(self._twin.pose3d(inputs, training=False), view)
            predictions["coarse"], predictions["refined"] = coarse, squared_search(coarse, view)[0]
        return predictions

    def predicted(self, rows: Rows = ALL) -> dict[str, np.ndarray]:
        """Of these test poses, in the camera turned to the root: 'truth', and by stage 'coarse' and 'refined' mm
        [n, 17, 3], 'right' and 'true_right' [n, 17, 2]."""
        chosen = [values[rows] for values in (self._test.rays, self._test.joint_mask, self._test.points)]
        parts = [
            self._run(*(tf.constant(values[start : start + _EVALUATED_AT_ONCE]) for values in chosen))
            for start in range(0, len(chosen[0]), _EVALUATED_AT_ONCE)
        ]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}

    def errors(self, rows: Rows = ALL) -> dict[str, np.ndarray]:
        """Errors [n] of the test poses by metric: PCKh@0.5 of the right view, MPJPE in mm before and after a search."""
        predictions, errors = self.predicted(rows), {}
        if "right" in predictions:
            right, truth = predictions["right"], predictions["true_right"]
            heads = left2right.head_sizes(truth)
            errors["pckh"] = metrics.pckh(right, truth, self._test.joint_mask[rows], head_sizes=heads)
        if "coarse" in predictions:
            errors["mpjpe_mm"] = metrics.mpjpe(predictions["coarse"], predictions["truth"])
            errors["refined_mm"] = metrics.mpjpe(predictions["refined"], predictions["truth"])
        return errors

    def figures(self, division: Division | None = None) -> dict[str, float]:
        """Mean errors over the whole test set, by the names under which TensorBoard shows them; `division` as there."""
        errors = (division or Division()).measured(self.errors, self.test_poses, _EVALUATED_AT_ONCE)
        return {f"val_{metric}": metrics.mean_error(values).mean for metric, values in errors.items()}

    def table(self) -> str:
        """The errors by action."""
        return metric_tables.action_table(self.errors(), self._test.actions).render()

    def draw(self, epoch: int) -> dict[str, Any]:
        """Pictures of some test poses, predicted over the truth in grey, and the errors of more."""
        from tools.drawing import drawing, figures, meshes, plots, sheets

        chosen = np.unique(np.linspace(0, self.test_poses - 1, _PICTURED).astype(int))
        shown, size = self.predicted(chosen), (320, 320)
        pictures: dict[str, Any] = {}
        if "right" in shown:
            panels = [
                drawing.pose_canvas(right, joint_mask=mask, size=size, ghost=truth)
                for right, truth, mask in zip(shown["right"], shown["true_right"], self._test.joint_mask[chosen])
            ]
            pictures["right view, truth in grey"] = sheets.contact_sheet(panels, 3)
        if "coarse" in shown:
            panels = [figures.figure_3d(p, ghost=t, size=size) for p, t in zip(shown["refined"], shown["truth"])]
            errors = metrics.mpjpe(shown["refined"], shown["truth"])
            captions = [f"test pose {place}: {error:.1f} mm" for place, error in zip(chosen, errors)]
            pictures["3D, truth in grey"] = sheets.contact_sheet(panels, 3, captions)
            pictures["3D skeletons, truth in grey"] = meshes.skeletons(shown["refined"], shown["truth"])
            many = self.predicted(np.unique(np.linspace(0, self.test_poses - 1, _MEASURED).astype(int)))
            distances = {
                name: np.delete(np.linalg.norm(many[key] - many["truth"], axis=-1), POSE17.root, axis=1)
                for name, key in (("before the search", "coarse"), ("after", "refined"))
            }
            curve = plots.shares_within(np.linspace(0, 150, 61), distances, "3DPCK", "distance (mm)")
            pictures.update({} if curve is None else {"3DPCK over its threshold": curve})
        return pictures

    def export(self, directory: str, facts: Mapping) -> None:
        """Writes a weights folder of the weights that were taken last; for a chain one for each network inside it."""
        for name, config in self._configs.items():
            network = self._twin.left2right if name == names.LEFT2RIGHT else self._twin.pose3d
            variables = {n: v.numpy() for n, v in prenorm_model.variables_by_name(network).items()}
            place = f"{directory}/{name}" if self._setup.stage == names.CHAIN else directory
            network_files.save_network(place, name, "canonical", config, variables, None, facts)


def _start(model: tf.keras.Model, stage: str, networks: Mapping[str, Network]) -> None:
    """Gives a model the weights of the network of its stage.

    A pose3d without one takes those of a direct network, and zeros for the right view, which that one never saw: at the
    start it answers as the direct network does.

    Raises:
      InputError: there is neither, it is of the published recipe, or of another shape.
    """
    network = networks.get(stage) or (networks.get(names.DIRECT) if stage == names.POSE3D else None)
    if network is None or network.recipe != "canonical":
        raise InputError(f"--start_from: no canonical network of stage {stage} among {', '.join(networks)}")
    values = dict(network.variables)
    if stage == names.POSE3D and network.stage == names.DIRECT and values.get("in/kernel", np.zeros(0)).ndim == 2:
        values["in/kernel"] = np.pad(values["in/kernel"], [(0, RIGHT_OUTPUTS), (0, 0)])
    network_files.assign(prenorm_model.variables_by_name(model), values, network.directory)
