# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # jaxloss in ten minutes
#
# A loss is a pure function, whatever reweights losses is an optax transformation, and every claim
# about a loss is checked. This notebook goes from one loss to a network with three tasks, wrong
# labels and gross outliers. It needs `pip install 'jaxloss[demo]'`.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxloss as jl
from jaxloss import console, verify
from jaxloss.demo import Options, data, experiment, model, picture, training
from jaxloss.demo import objective as tasks

# %% [markdown]
# ## A loss and its gradient
#
# A loss takes predictions and targets and returns one value for each example. It never averages.

# %%
predictions = jnp.array([0.5, 3.0, -40.0])
targets = jnp.zeros(3)
print(jl.huber_loss(predictions, targets))
print(jl.squared_error(predictions, targets))

# %% [markdown]
# Far away, the gradient says how much one gross outlier can pull. That of the squared error grows
# without bound; that of Huber's loss stops at `delta`.

# %%
errors = jnp.linspace(-4, 4, 401)
losses = {
    "squared error / 2": lambda error: jl.squared_error(error) / 2,
    "huber, delta = 1": jl.huber_loss,
    "huber, delta = 1/2": lambda error: jl.huber_loss(error, delta=0.5),
    "absolute error": jl.absolute_error,
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
colours = ["#E69F00", "#0072B2", "#009E73", "#D55E00"]
for (name, loss), colour, style in zip(
    losses.items(), colours, ("--", "-", "-.", ":"), strict=True
):
    left.plot(errors, loss(errors), style, color=colour, linewidth=2)
    right.plot(
        errors, jax.vmap(jax.grad(loss))(errors), style, color=colour, linewidth=2, label=name
    )
left.set(title="loss", xlabel="error", ylabel="loss", ylim=(0, 4))
right.set(title="gradient", xlabel="error", ylabel="slope", ylim=(-3, 3))
right.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## Masks
#
# What is masked does not exist: whatever stands there, NaN and impossible labels included, value
# and gradient are exactly 0.

# %%
logits = jnp.array([[2.0, 0.0, 0.0], [0.0, jnp.nan, 0.0]])
labels = jnp.array([0, -100])
valid = jnp.array([True, False])


def mean_loss(logits):
    losses = jl.softmax_cross_entropy_with_integer_labels(logits, labels, where=valid)
    return jl.mean(losses, where=valid)


value, gradient = jax.value_and_grad(mean_loss)(logits)
print(f"loss {value:.4f}\n{gradient}")

# %% [markdown]
# ## The mean of means is not the mean
#
# Two parts of a batch hold three examples and one. The mean of their means counts the single one
# three times as much as any other. `jl.average` keeps sum and weight apart until the end, so that
# parts merge exactly: over accumulation steps, devices or hosts (`axis_name=`).

# %%
losses = jnp.array([1.0, 2.0, 3.0, 10.0])
parts = losses[:3], losses[3:]
print("mean of the means:", jnp.mean(jnp.stack([jl.mean(part) for part in parts])))
print("merged averages:  ", jl.average(parts[0]).merge(jl.average(parts[1])).value())
print("mean of all:      ", jl.mean(losses))

# %% [markdown]
# ## Losses are updates
#
# Whatever reweights, schedules or balances losses is an optax transformation whose "updates" are a
# tree of losses. So `optax.chain` composes them, and `optax.inject_hyperparams` puts any of their
# numbers under a schedule. Here a threshold falls, the two large losses drop out one after the
# other, and the mean is taken over what the mask leaves.

# %%
objective = optax.chain(
    optax.inject_hyperparams(jl.curriculum.self_paced)(
        threshold=optax.linear_schedule(6.0, 1.0, 5)
    ),
    jl.reduce_mean(),
)
losses = {"digit": jnp.array([0.2, 0.4, 2.5, 5.5, 9.9])}
valid = jnp.array([True, True, True, True, False])
state = objective.init(losses)
for step in range(6):
    means, state = objective.update(losses, state, where=valid)
    threshold = float(state[0].hyperparams["threshold"])
    admitted = float(state[0].inner_state.admitted["digit"])
    mean = float(means["digit"])
    print(f"step {step}: threshold {threshold:.0f}, admitted {admitted:.0%}, mean {mean:.3f}")

# %% [markdown]
# ## Weights that are learned
#
# `jl.weighting.uncertainty` learns one number `s` for each task and weighs its loss by
# `exp(-s) / 2`. It settles where the weight is half the inverse of the loss, so that tasks in
# different units come to the same size.

# %%
weighting = jl.weighting.uncertainty(optax.adam(5e-2))
losses = {"digit": jnp.array(2.0), "odd": jnp.array(0.5), "ink": jnp.array(0.05)}


def learn(state, _):
    _, state = weighting.update(losses, state)
    return state, state.weights


_, weights = jax.lax.scan(learn, weighting.init(losses), length=200)
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for (task, loss), colour in zip(losses.items(), ("#0072B2", "#D55E00", "#009E73"), strict=True):
    axis.plot(weights[task], color=colour, linewidth=2, label=f"{task}, loss {float(loss):g}")
    axis.axhline(1 / (2 * float(loss)), color=colour, linestyle=":", linewidth=1)
axis.set(title="learned weights (dotted: half the inverse of the loss)", yscale="log")
axis.set(xlabel="step", ylabel="weight, exp(-s) / 2")
axis.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.72))
plt.show()

# %% [markdown]
# ## All together: three tasks on handwritten digits
#
# This is what `python -m jaxloss demo` does. A network with one trunk and three heads reads the
# digit, whether it is odd, and how much ink it took. The training set is long-tailed, a fifth of
# its digits is labelled wrongly, a tenth of its ink values has lost the decimal point.

# %%
dataset = data.load(seed=0)
print(experiment.describe(dataset))

figure, axes = plt.subplots(2, 8, figsize=(10, 2.9), layout="constrained")
wrong = np.flatnonzero(dataset.train.spoiled["digit"])[::13][:8]
right = np.flatnonzero(~dataset.train.spoiled["digit"])[::60][:8]
for axis, row in zip(axes.flat, (*right, *wrong), strict=True):
    axis.imshow(dataset.train.images[row].reshape(8, 8), cmap="gray_r")
    axis.set(xticks=[], yticks=[], title=f"label {dataset.train.targets['digit'][row]}")
axes[0, 0].set_ylabel("right")
axes[1, 0].set_ylabel("wrong")
plt.show()

# %% [markdown]
# The losses, and one step of the objective on the first batch. The batch is padded to a multiple of
# the number of devices; `where=` keeps the padding out.

# %%
structure, params = model.create(seed=0)
batch = data.batches(dataset.train, range(1), seed=0, batch_size=50, multiple=64)
batch = jax.tree.map(lambda stacked: stacked[0], batch)
print("losses:", {task: loss.__name__ for task, loss in tasks.LOSSES.items()})
print("padded:", batch["valid"].sum(), "of", batch["valid"].size, "count")

objective = tasks.composed()
losses = tasks.losses(model.apply(structure, params, batch["images"]), batch["targets"])
combined, state = objective.update(losses, objective.init(losses), where=batch["valid"])
print("to be minimised:", {task: round(float(loss), 3) for task, loss in combined.items()})
print("admitted:", {task: round(float(x), 3) for task, x in tasks.admitted(state).items()})

# %% [markdown]
# Training: the composed objective, and beside it the plain sum of the same losses, from the same
# parameters on the same batches. Flax's early stopping watches the validation set.

# %%
options = Options(steps=600)
tracks = experiment.train(options, dataset)
for name, track in tracks.items():
    print(f"{name}: best validation loss {track.stopping.best_metric:.3f}, step {track.best_step}")

# %%
picture.draw(tracks, options.steps)

# %% [markdown]
# The curriculum saw no list of wrong labels: it keeps out what the network, having learned the
# rest, finds implausible. The test set is clean, and looked at only here.

# %%
metrics = {
    name: training.evaluate(track.best, dataset.test, dataset) for name, track in tracks.items()
}
rows = [[key, *(f"{metrics[name][key]:.2f}" for name in metrics)] for key in metrics["jaxloss"]]
console.table(["clean test set", *metrics], rows)

# %% [markdown]
# ## Claims are checks
#
# What the catalogue says of a loss is checked by autodiff on the device at hand. The same tool
# takes a loss of your own: this one claims to be convex, and is not.

# %%
report = verify.entry("huber_loss")
print(report.counts)


def welsch(predictions, targets):
    return 1 - jnp.exp(-0.5 * (predictions - targets) ** 2)


claims = [verify.nonnegative(), verify.convex("predictions")]
report = verify.check(welsch, verify.reals(), verify.reals(), claims=claims)
for finding in report.findings:
    if finding.check.startswith("P"):
        print(finding.check, finding.verdict, finding.title)
        print(*finding.messages, sep="\n")
