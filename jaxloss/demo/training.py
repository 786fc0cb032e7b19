"""Train the network in two ways side by side: same seed, same initial parameters, same batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.early_stopping import EarlyStopping
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxloss as jl
from jaxloss.demo import data, model, objective

Array = jax.Array
EVERY = 20  # steps from one look at the validation set to the next, taken in one call of jit
PATIENCE = 15  # looks without improvement before stopping
LEARNING_RATE = 1e-3


class Learner(NamedTuple):
    """What a step of training changes: parameters, and the states of optimizer and objective."""

    params: Any
    optimizer: Any
    objective: Any


@flax.struct.dataclass
class Track:
    """One way of training, as far as it has come; a pytree, saved and restored whole.

    Attributes:
      learner: where training stands.
      best: the parameters with the least validation loss so far, and `best_step` their step.
      stopping: Flax's early stopping, fed with the validation loss.
      history: arrays over all `steps` (`loss`, `weight`) or over all looks at the validation set
        (`validation`, `admitted`, `admitted_spoiled`), for each task; NaN where not reached.
    """

    learner: Learner
    best: Any
    best_step: int
    stopping: EarlyStopping
    history: dict[str, dict[str, np.ndarray]]


class Machinery(NamedTuple):
    """What stays the same throughout: compiled functions and the number of devices.

    Attributes:
      advance: `(learner, batches) -> (learner, record)`, a step for each batch.
      look: `(learner) -> record`, validation losses and what the curriculum admits.
    """

    advance: Callable[..., Any]
    look: Callable[..., Any]
    devices: int


def objectives() -> dict[str, optax.GradientTransformationExtraArgs]:
    """Return the two ways of training by name."""
    return {"plain sum": objective.plain(), "jaxloss": objective.composed()}


def start(combine: optax.GradientTransformationExtraArgs, seed: int, steps: int) -> Track:
    """Return a track before its first step."""
    _, params = model.create(seed)
    zeros = {task: jnp.zeros(()) for task in objective.TASKS}
    learner = Learner(params, _optimizer().init(params), combine.init(zeros))
    stopping = EarlyStopping(patience=PATIENCE)
    return jax.device_get(Track(learner, params, 0, stopping, _empty_history(steps)))


def _optimizer() -> optax.GradientTransformation:
    return optax.adam(LEARNING_RATE)


def _empty_history(steps: int) -> dict[str, dict[str, np.ndarray]]:
    looks = len(looks_at(steps))
    lengths = {"loss": steps, "weight": steps}
    lengths |= dict.fromkeys(("validation", "admitted", "admitted_spoiled"), looks)
    empty = {key: np.full(length, np.nan, np.float32) for key, length in lengths.items()}
    return {key: dict.fromkeys(objective.TASKS, values) for key, values in empty.items()}


def looks_at(steps: int) -> list[int]:
    """Return after which steps the validation set is looked at."""
    return [*range(EVERY, steps, EVERY), steps]


def build(
    combine: optax.GradientTransformationExtraArgs, dataset: data.Data, seed: int
) -> Machinery:
    """Compile training with one objective: batches split over all devices, parameters on each."""
    structure, _ = model.create(seed)
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(None, "batch"))

    def advance(learner: Learner, batches: Any) -> tuple[Learner, Any]:
        return jax.lax.scan(_step(structure, combine), learner, batches)

    def look(learner: Learner) -> Any:
        return _look(structure, combine, dataset, learner)

    compiled = jax.jit(advance, in_shardings=(everywhere, split), out_shardings=everywhere)
    # Placed before the call: what comes from the host or a file would else be compiled for anew.
    place = lambda learner: jax.device_put(learner, everywhere)
    return Machinery(
        lambda learner, batches: compiled(place(learner), batches),
        jax.jit(look, in_shardings=everywhere, out_shardings=everywhere),
        mesh.size,
    )


def _step(structure: Any, combine: optax.GradientTransformationExtraArgs) -> Callable[..., Any]:
    """Return one step of training, in the form that `lax.scan` takes."""
    optimizer = _optimizer()

    def total(params: Any, state: Any, batch: Any) -> tuple[Array, Any]:
        outputs = model.apply(structure, params, batch["images"])
        losses = objective.losses(outputs, batch["targets"])
        combined, state = combine.update(losses, state, where=batch["valid"])
        return optax.tree.sum(combined), (state, losses)

    def step(learner: Learner, batch: Any) -> tuple[Learner, Any]:
        slope = jax.grad(total, has_aux=True)
        gradients, (state, losses) = slope(learner.params, learner.objective, batch)
        updates, adam = optimizer.update(gradients, learner.optimizer, learner.params)
        params = optax.apply_updates(learner.params, updates)
        means = {task: jl.mean(loss, where=batch["valid"]) for task, loss in losses.items()}
        record = {"loss": means, "weight": objective.task_weights(state)}
        return Learner(params, adam, state), record

    return step


def _look(
    structure: Any,
    combine: optax.GradientTransformationExtraArgs,
    dataset: data.Data,
    learner: Learner,
) -> Any:
    """Measure validation losses, and what the curriculum admits of right and spoiled targets."""

    def losses_of(examples: data.Examples) -> dict[str, Array]:
        outputs = model.apply(structure, learner.params, examples.images)
        return objective.losses(outputs, examples.targets)

    losses = losses_of(dataset.train)

    def admitted(where: dict[str, Any]) -> dict[str, Array]:
        # The curriculum counts the share of what its mask lets it see.
        return objective.admitted(combine.update(losses, learner.objective, where=where)[1])

    spoiled = dataset.train.spoiled
    return {
        "validation": jax.tree.map(jl.mean, losses_of(dataset.validation)),
        "admitted": admitted({task: ~wrong for task, wrong in spoiled.items()}),
        "admitted_spoiled": admitted(spoiled),
    }


def advance(track: Track, machinery: Machinery, batches: Any, steps: range) -> Track:
    """Train over some batches, then look at the validation set; stopped tracks stay as they are."""
    if track.stopping.should_stop:
        return track
    learner, record = machinery.advance(track.learner, batches)
    seen = jax.device_get(machinery.look(learner))
    history = _write(track.history, jax.device_get(record), steps.start)
    history = _write(history, jax.tree.map(lambda x: x[None], seen), steps.start // EVERY)
    validation = float(sum(seen["validation"].values()))
    stopping = track.stopping.update(validation)
    kept = (learner.params, steps.stop) if stopping.has_improved else (track.best, track.best_step)
    return Track(learner, *kept, stopping, history)


def _write(history: dict[str, Any], record: dict[str, Any], place: int) -> dict[str, Any]:
    def put(whole: np.ndarray, part: np.ndarray) -> np.ndarray:
        return np.concatenate([whole[:place], part, whole[place + len(part) :]])

    return {**history, **{key: jax.tree.map(put, history[key], record[key]) for key in record}}


def evaluate(params: Any, examples: data.Examples, dataset: data.Data) -> dict[str, float]:
    """Return accuracies in percent, and the mean absolute error of the ink in percent of full."""
    structure, _ = model.create(0)
    outputs = jax.device_get(
        jax.jit(model.apply, static_argnums=0)(structure, params, examples.images)
    )
    digit, odd, ink = (examples.targets[task] for task in ("digit", "odd", "ink"))
    right = outputs["digit"].argmax(axis=1) == digit
    recalls = [right[digit == k].mean() for k in range(data.CLASSES)]
    error = np.abs(outputs["ink"] - ink).mean()
    return {
        "digit accuracy, %": 100 * float(right.mean()),
        "digit balanced accuracy, %": 100 * float(np.mean(recalls)),
        "odd accuracy, %": 100 * float(((outputs["odd"] > 0) == odd).mean()),
        "ink mean absolute error, points": dataset.spread * float(error),
    }
