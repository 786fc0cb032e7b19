"""A small network learns to read strips of handwritten digits without being told where they are."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss as jl

pytestmark = pytest.mark.slow

MOST_DIGITS, WINDOW, STRIDE, HIDDEN, STEPS, BATCH = 4, 10, 2, 128, 500, 64
FRAMES = MOST_DIGITS * 8 // STRIDE


def strips(images, digits, rng, count):
    """Put one to four digits side by side; frames are windows that step over the columns."""
    lengths = rng.integers(1, MOST_DIGITS + 1, count)
    chosen = rng.integers(0, len(images), (count, MOST_DIGITS))
    missing = np.arange(MOST_DIGITS) >= lengths[:, None]
    pixels = np.where(missing[..., None, None], 0, images[chosen])
    rows = pixels.transpose(0, 2, 1, 3).reshape(count, 8, MOST_DIGITS * 8)
    rows = np.pad(rows, ((0, 0), (0, 0), (WINDOW // 2, WINDOW // 2)))
    windows = [
        rows[:, :, STRIDE * t : STRIDE * t + WINDOW].reshape(count, -1) for t in range(FRAMES)
    ]
    paddings = np.arange(FRAMES) >= lengths[:, None] * 8 // STRIDE
    # The blank is 0, and behind the last label stands what is no label.
    labels = np.where(missing, -1, digits[chosen] + 1)
    floats = [a.astype(np.float32) for a in (np.stack(windows, axis=1), paddings, missing)]
    return floats[0], floats[1], labels, floats[2]


def network(params, frames):
    hidden = jax.nn.relu(frames @ params["w0"] + params["b0"])
    # Each frame also sees the hidden units of its neighbours.
    around = jnp.pad(hidden, ((0, 0), (1, 1), (0, 0)))
    hidden = jnp.concatenate([around[:, :-2], hidden, around[:, 2:]], axis=-1)
    hidden = jax.nn.relu(hidden @ params["w1"] + params["b1"])
    return hidden @ params["w2"] + params["b2"]


def initial(rng):
    sizes = [(8 * WINDOW, HIDDEN), (3 * HIDDEN, HIDDEN), (HIDDEN, 11)]
    return {
        k: jnp.asarray(v, jnp.float32)
        for i, (n, m) in enumerate(sizes)
        for k, v in (
            (f"w{i}", rng.normal(0, np.sqrt(2 / n), (n, m))),
            (f"b{i}", np.zeros((1, 1, m))),
        )
    }


def read(best, paddings):
    """Merge what repeats, drop the blanks: the labels of the best path."""
    return [
        [k for k, _ in itertools.groupby(path[pad == 0]) if k]
        for path, pad in zip(best, paddings, strict=True)
    ]


def edits(a, b):
    """Insertions, deletions and replacements that lead from one sequence to the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            before, row[j + 1] = (
                row[j + 1],
                min(row[j + 1] + 1, row[j] + 1, before + (x != y)),
            )
    return row[-1]


def test_ctc_teaches_reading_without_positions(rng, record_property):
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    pixels, digits = datasets.load_digits(return_X_y=True)
    images, order = (pixels / 16).reshape(-1, 8, 8), rng.permutation(len(digits))
    train, test = order[400:], order[:400]
    params = initial(rng)
    optimizer = optax.adam(optax.cosine_decay_schedule(4e-3, STEPS))

    def objective(params, frames, *rest):
        return jl.mean(jl.ctc_loss(network(params, frames), *rest))

    @jax.jit
    def step(params, state, batch):
        loss, slope = jax.value_and_grad(objective)(params, *batch)
        updates, state = optimizer.update(slope, state)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimizer.init(params), []
    for _ in range(STEPS):
        batch = strips(images[train], digits[train], rng, BATCH)
        params, state, loss = step(params, state, batch)
        losses.append(float(loss))
    assert np.isfinite(losses).all()
    assert min(losses) >= 0

    frames, paddings, labels, missing = strips(images[test], digits[test], rng, 500)
    best = np.asarray(jnp.argmax(network(params, frames), axis=-1))
    truth = [list(row[pad == 0]) for row, pad in zip(labels, missing, strict=True)]
    found = read(best, paddings)
    exact = np.mean([a == b for a, b in zip(found, truth, strict=True)])
    rate = sum(map(edits, found, truth)) / sum(map(len, truth))
    record_property("sequences read exactly", float(exact))
    record_property("label error rate", float(rate))
    # Nearly all strips without a single mistake, and few wrong digits in the others.
    assert exact > 0.9, (exact, rate, losses[-1])
    assert rate < 0.05, (exact, rate, losses[-1])
