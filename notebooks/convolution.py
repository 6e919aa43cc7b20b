# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Convolution by hand
#
# What a kernel does to a picture: first nine products and a sum, then a digit's strokes, then the kernels that a
# network found by itself. It needs what `make sample` leaves behind, and no network. The arrays and kernels are the
# documents' own (`convolution.yaml`), the library is `replica/convolution`; `docs/convolution.md` has the formulas.

# %%
import replica  # before NumPy: it chooses which machine code computes

cnn = replica.load("mnist_5k_cnn")

import matplotlib.pyplot as plt
import numpy as np
from scipy import signal

from replica.common import parameters
from replica.convolution.arithmetic import (
    convolve,
    lines,
    max_pool,
    output_size,
    receptive_field,
    relu,
)

declared = parameters.read("../convolution.yaml")


# %%
def draw(axis, image, title, numbers=False):
    """A map around 0: blue above, red below."""
    reach = abs(image).max() or 1
    reach *= 2.5 if numbers else 1  # pale cells, so that the numbers can be read
    axis.imshow(image, cmap="RdBu", vmin=-reach, vmax=reach)
    axis.set_title(title, fontsize=9)
    axis.set(xticks=[], yticks=[])
    for (row, column), value in np.ndenumerate(image if numbers else np.empty(0)[:, None]):
        axis.text(column, row, f"{value:g}", ha="center", va="center", fontsize=8)


# %% [markdown]
# ## One place, by hand
#
# Document B's array and its kernel. The kernel is laid on the array's upper left corner: nine products, one sum.

# %%
array, kernel = (np.array(declared["B"][name]) for name in ("array", "kernel"))
products = array[:3, :3] * kernel
print(" + ".join(f"({value})" for value in products.flat), "=", products.sum())

# %% [markdown]
# Then it moves one step to the right, and so on. Of 5 × 5 places, 3 × 3 have room for all of the kernel.

# %%
by_hand = np.array(
    [[(array[y : y + 3, x : x + 3] * kernel).sum() for x in range(3)] for y in range(3)]
)

figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.7))
for axis, image, title in zip(
    axes, (array, kernel, by_hand), ("array", "kernel", "convolved"), strict=True
):
    draw(axis, image, title, numbers=True)
print("the library's is the same:", np.array_equal(by_hand, convolve(array, kernel)))

# %% [markdown]
# **To think about:** the kernel's cells sum to 0. What does it make of an area where all numbers are equal?
# Where in the array is its answer furthest from 0, and what is there to see?
#
# ## A digit's strokes
#
# Document A's kernel has a row of 1 between two rows of −½; its transpose has a column. The first answers to
# horizontal strokes, the second to vertical ones. Blue is above 0, red below. The network's next step, ReLU, sets to 0
# what is below.

# %%
x, y = cnn.data["test"]
digit = x[(y == 4).nonzero()[0][0], ..., 0]
horizontal = np.array(declared["A"]["kernel"])
kernels = {"horizontal": horizontal, "vertical": horizontal.T}

figure, axes = plt.subplots(2, 4, figsize=(8.5, 4.4))
for row, (name, cells) in zip(axes, kernels.items(), strict=True):
    strokes = convolve(digit, cells)
    row[0].imshow(digit, cmap="gray_r")
    row[0].set_title("a 4", fontsize=9)
    row[0].set(xticks=[], yticks=[])
    draw(row[1], cells, f"kernel: {name}", numbers=True)
    draw(row[2], strokes, "convolved")
    draw(row[3], relu(strokes), "then ReLU")
    print(f"{name} kernel: what is left runs mostly {lines(relu(strokes))}")

# %% [markdown]
# **To think about:** which kernel would find a stroke that runs from the lower left to the upper right?
# Write it, and `draw` what it makes of the digit.
#
# ## Stride and padding
#
# With a stride of 2, every other place is left out, and the map has half the side. With a padding of 1, a frame of
# zeros is put around the image, and a kernel of 3 × 3 gives a map of the image's own size:
# floor((n + 2p − k) / s) + 1 places a side.

# %%
settings = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
figure, axes = plt.subplots(1, len(settings), figsize=(9.5, 2.4))
for axis, (stride, padding) in zip(axes, settings, strict=True):
    strokes = convolve(digit, horizontal, stride=stride, padding=padding)
    side = output_size(28, 3, stride, padding)
    assert strokes.shape == (side, side)
    draw(axis, strokes, f"stride {stride}, padding {padding}\n{side} × {side}")

# %% [markdown]
# Max pooling makes a map smaller, too, but keeps the largest of each 2 × 2 pixels instead of one of them.

# %%
every_other = relu(convolve(digit, horizontal, stride=2))
pooled = max_pool(relu(convolve(digit, horizontal)))
figure, axes = plt.subplots(1, 2, figsize=(4.8, 2.6))
draw(axes[0], every_other, f"stride 2: sum {every_other.sum():,.0f}")
draw(axes[1], pooled, f"max pooling: sum {pooled.sum():,.0f}")

# %% [markdown]
# **To think about:** document B found pooling no better than strides, from one run of each. What would the strided
# network have to learn to do as well? (`replica.claims().loc["B13"]` says how it came out here.)
#
# ## Against SciPy
#
# What networks call a convolution mathematicians call a cross-correlation: theirs turns the kernel by 180° first.
# SciPy has both.

# %%
random = np.random.default_rng(0)
image, cells = random.integers(0, 256, (40, 30)), random.integers(-9, 10, (5, 3))
ours = convolve(image, cells)
print(
    "correlate2d:                   ",
    np.array_equal(ours, signal.correlate2d(image, cells, "valid")),
)
print(
    "convolve2d:                    ",
    np.array_equal(ours, signal.convolve2d(image, cells, "valid")),
)
print(
    "convolve2d, the kernel turned: ",
    np.array_equal(ours, signal.convolve2d(image, cells[::-1, ::-1], "valid")),
)

# %% [markdown]
# **To think about:** does it matter to a network which of the two it computes, if it learns the kernel itself?
#
# ## What one number sees
#
# One number of a second layer's map depends on 3 × 3 numbers of the first, and each of those on 3 × 3 pixels. Which
# pixels, together? Change each pixel by 1, and look whether that one number moves.

# %%
ones = np.ones((3, 3))


def number(image, stride):
    """Row 5, column 5 of the second of two maps, the first made with a stride."""
    return convolve(convolve(image, ones, stride=stride), ones)[5, 5]


figure, axes = plt.subplots(1, 2, figsize=(5.4, 3))
for axis, stride in zip(axes, (1, 2), strict=True):
    seen = np.zeros(digit.shape, bool)
    for place in np.ndindex(*digit.shape):
        changed = digit.astype(float)
        changed[place] += 1
        seen[place] = number(changed, stride) != number(digit, stride)
    side = seen.any(axis=0).sum()
    assert side == receptive_field([(3, stride, 1), (3, 1, 1)])
    axis.imshow(digit, cmap="gray_r")
    axis.imshow(np.where(seen, 1.0, np.nan), cmap="autumn", alpha=0.6)
    axis.set_title(
        f"two 3 × 3 convolutions, the first of stride {stride}:\n{side} × {side} pixels", fontsize=8
    )
    axis.set(xticks=[], yticks=[])
figure.tight_layout()

# %% [markdown]
# The field grows by a kernel's side less one, times the strides before it. So the trained network's numbers see, layer
# after layer (pooling of 2 × 2 is a kernel of 2 with a stride of 2):

# %%
stack = []
for layer in cnn.model.layers:
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if window:
        stack.append((window[0], layer.strides[0], 1))
        size, stride, _ = stack[-1]
        print(
            f"{layer.name:14} {size} × {size}, stride {stride}: sees {receptive_field(stack)} pixels"
        )

# %% [markdown]
# **To think about:** how many convolutions of 3 × 3 with a stride of 1 would it take to see all 28 pixels of a side?
# How many with a stride of 2?
#
# ## The kernels that a network found
#
# Nobody wrote these: they began as random numbers, and training on 3,200 digits made them what they are.

# %%
first = next(layer for layer in cnn.model.layers if getattr(layer, "kernel_size", None))
weights, biases = (np.array(each) for each in first.get_weights())
reach = abs(weights).max()

figure, axes = plt.subplots(4, 8, figsize=(8, 4.2))
for place, axis in enumerate(axes.flat):
    shown = axis.imshow(weights[..., 0, place], cmap="RdBu", vmin=-reach, vmax=reach)
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(place, fontsize=7, labelpad=1)
figure.suptitle(f"The {weights.shape[-1]} kernels of the first convolution", y=0.97, fontsize=10)
bar = figure.colorbar(shown, ax=axes, label="weight", shrink=0.8)

# %% [markdown]
# By hand, once more: the same digit under the same kernels, by the library and by Keras's own layer. The network's
# first step divides the pixels by 255. Which of its kernels are most like document A's two, and its maps?

# %%
pixels = digit[..., None] / 255
ours = relu(convolve(pixels, weights, bias=biases))
theirs = np.array(first(pixels[None].astype("float32")))[0]
print(
    f"largest difference to Keras: {abs(ours - theirs).max():.1e}, of numbers up to {ours.max():.2f}"
)

figure, axes = plt.subplots(2, 3, figsize=(6.5, 4.4))
for row, (name, cells) in zip(axes, kernels.items(), strict=True):
    alike = [
        np.corrcoef(cells.ravel(), weights[..., 0, place].ravel())[0, 1]
        for place in range(weights.shape[-1])
    ]
    best = int(np.argmax(alike))
    draw(row[0], cells, f"document A: {name}", numbers=True)
    draw(row[1], weights[..., 0, best], f"kernel {best} (correlation {alike[best]:.2f})")
    draw(row[2], ours[..., best], "its map, after ReLU")

# %% [markdown]
# **To think about:** is that likeness more than chance? Of 32 kernels of nine random numbers, how much would the
# likeliest be like document A's? (`np.random.default_rng(1).normal(size=(3, 3, 32))` makes some.)
#
# ## Next
#
# Does a network that begins with other random numbers find the same kernels? In a terminal,
# `dvc exp run -S variants.mnist_5k_cnn.seeds=2 evaluate@mnist_5k_cnn` trains a second run;
# `replica.load("mnist_5k_cnn", seed=1)` has it.
