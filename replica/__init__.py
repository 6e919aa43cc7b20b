"""Replica: every experiment of five course reports on MNIST and CIFAR-10, run again."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is first imported, wherever that is
