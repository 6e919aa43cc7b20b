# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A first hour
#
# What a trained network knows, where it errs, and how far its score can be trusted: 5,000 digits of MNIST, and a
# network of two hidden layers. It needs what `make sample` leaves behind, and no network.

# %%
import replica  # before NumPy: it chooses which machine code computes

mlp = replica.load("mnist_5k_mlp")
mlp.model.summary()

# %% [markdown]
# ## The data
#
# As they are stored: bytes from 0 to 255. The network's own first layer scales them. Of the first 4,000 images the last
# 800 are held back for validation; the test images are others.

# %%
{part: (x.shape, str(x.dtype)) for part, (x, y) in mlp.data.items()}

# %%
import matplotlib.pyplot as plt

x, y = mlp.data["train"]
figure, axes = plt.subplots(2, 8, figsize=(8, 2.4))
for axis, image, label in zip(axes.flat, x, y, strict=False):
    axis.imshow(image[..., 0], cmap="gray_r")
    axis.set_title(mlp.classes[label], fontsize=9)
    axis.axis("off")

# %% [markdown]
# ## How it learned
#
# Where the curve of the training images goes on rising and that of the validation images does not, the network learns
# its training images by heart.

# %%
accuracy = mlp.history.query("metric == 'accuracy'").pivot_table(
    index="epoch", columns="data", values="value"
)
accuracy.plot(figsize=(6, 3), marker="o", markersize=3, ylabel="accuracy", xticks=range(0, 21, 4))
accuracy.tail(3)

# %% [markdown]
# ## How good is it?
#
# One number is not enough: of 1,000 test images, another thousand would have given another. The interval says how
# much another; the dummy always answers the most frequent class.

# %%
test = mlp.scores["test"]
print(
    f"test accuracy {test['accuracy']:.1%},",
    f"95% interval {test['accuracy_low']:.1%} to {test['accuracy_high']:.1%}",
)
print(f"dummy         {mlp.scores['dummy']['accuracy']:.1%}")

# %% [markdown]
# ## Where it errs
#
# The mistakes it is surest of. **To think about:** which of them would you have got right?

# %%
x, y = mlp.data["test"]
p = mlp.probabilities(x)
answers, sure = p.argmax(axis=1), p.max(axis=1)
wrong = (answers != y).nonzero()[0]
worst = wrong[(-sure[wrong]).argsort()][:8]
print(
    f"this run {(answers == y).mean():.1%}; the score above is the mean of {mlp.scores['seeds']} runs"
)

figure, axes = plt.subplots(1, 8, figsize=(9, 1.9))
for axis, place in zip(axes, worst, strict=False):
    axis.imshow(x[place, ..., 0], cmap="gray_r")
    axis.set_title(
        f"{mlp.classes[y[place]]} read as {mlp.classes[answers[place]]}\n{sure[place]:.0%}",
        fontsize=8,
    )
    axis.axis("off")

# %% [markdown]
# ## Among the others
#
# Every declared variant is a row. **To try:** is a network with more parameters a better one?

# %%
variants = replica.variants()
variants.query("dataset == 'mnist_5k'")[
    ["network", "optimizer", "epochs", "parameters", "accuracy"]
]

# %%
scored = variants[variants.dataset == "mnist"].dropna(subset="accuracy")
scored = scored.assign(mistaken=100 * (1 - scored.accuracy))
axes = scored.plot.scatter(
    "parameters", "mistaken", loglog=True, figsize=(6, 3), title="Variants on MNIST"
)
axes.set_ylabel("test images mistaken, per cent")

# %%
claims = replica.claims()
claims.groupby(["document", "verdict"]).size().unstack(fill_value=0)

# %%
claims.query("verdict == 'refuted'")[["claim", "theirs", "ours", "low", "high"]].head(8)

# %% [markdown]
# ## Next
#
# Change something and compare: `dvc exp run -S variants.mnist_5k_mlp.units=16 sample` in a terminal, then run this
# notebook again. `docs/tutorial.md` goes on from here.
