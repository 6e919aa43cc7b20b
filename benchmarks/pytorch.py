"""A variant's network in PyTorch, for the comparison alone: see benchmarks.throughput."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn


def network(variant: dict[str, Any], shape: tuple[int, ...]) -> nn.Sequential:
    """The same layers; sizes are found by passing a zero image through."""
    layers: list[nn.Module] = []
    x = torch.zeros(1, shape[2], shape[0], shape[1])
    for value in variant["layers"]:
        name, arguments = (value, {}) if isinstance(value, str) else next(iter(value.items()))
        added: list[nn.Module] = []
        if name == "Conv2D":
            size, strides = arguments["kernel_size"], arguments.get("strides", 1)
            if arguments.get("padding") == "same":
                extra = max((-(-x.shape[2] // strides) - 1) * strides + size - x.shape[2], 0)
                added.append(nn.ZeroPad2d((extra // 2, extra - extra // 2) * 2))
            added.append(nn.Conv2d(x.shape[1], arguments["filters"], size, strides))
        elif name == "MaxPooling2D":
            added.append(nn.MaxPool2d(arguments["pool_size"]))
        elif name == "Dropout":
            added.append(nn.Dropout(arguments["rate"]))
        elif name == "Flatten":
            added.append(nn.Flatten())
        elif name == "Dense":
            added.append(nn.Linear(x.shape[1], arguments["units"]))
        if arguments.get("activation") == "relu":
            added.append(nn.ReLU())
        for module in added:
            x = module(x)
        layers += added
    return nn.Sequential(*layers)


def optimizer(variant: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    name, arguments = next(iter(variant["optimizer"].items()))
    rate = {"SGD": 0.01, "Adam": 0.001, "RMSprop": 0.001, "Adadelta": 1.0}[name]
    return getattr(torch.optim, name)(model.parameters(), lr=(arguments or {}).get("learning_rate", rate))


def train(variant: dict[str, Any], x: np.ndarray, y: np.ndarray, how: str) -> float:
    """Images a second of the second epoch; `how` is eager, channels_last, compile or bf16 (autocast, channels last)."""
    torch.manual_seed(0)
    model = network(variant, x.shape[1:])
    images, labels = torch.from_numpy(x).permute(0, 3, 1, 2).float().div(255).contiguous(), torch.from_numpy(y).long()
    if how in ("channels_last", "bf16"):
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    steps = optimizer(variant, model)
    run = torch.compile(model) if how == "compile" else model
    loss = nn.CrossEntropyLoss()
    size = variant["batch_size"]
    for _ in range(2):
        order = torch.randperm(len(images))
        began = time.perf_counter()
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            with torch.autocast("cpu", torch.bfloat16, enabled=how == "bf16"):
                value = loss(run(images[rows]), labels[rows])
            steps.zero_grad()
            value.backward()
            steps.step()
    return len(images) / (time.perf_counter() - began)
