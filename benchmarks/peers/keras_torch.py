"""The article's comparison with Keras on its PyTorch backend, fed by a DataLoader."""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
from keras import layers
from torch_loop import IMAGE_SIZE, arguments, loader


def build(head: str) -> keras.Sequential:
    keras.config.set_image_data_format("channels_first")  # as the DataLoader gives them
    model = keras.Sequential([keras.Input((3, IMAGE_SIZE, IMAGE_SIZE))])
    for width in (32, 32, 64):
        model.add(layers.Conv2D(width, 3))
        model.add(layers.BatchNormalization(axis=1))
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(2))
    if head == "avgpool2x2":
        model.add(layers.AveragePooling2D(2))
        model.add(layers.Flatten())
    else:
        model.add(layers.Flatten())
        model.add(layers.BatchNormalization())
        model.add(layers.Dense(100, activation="relu"))
        if head == "fc_dropout":
            model.add(layers.Dropout(0.5))
        model.add(layers.BatchNormalization())
        model.add(layers.Dense(100, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def fit(head: str, data: Path, epochs: int, seed: int) -> float:
    keras.utils.set_random_seed(seed)
    model = build(head)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        loader(data / "train", shuffle=True),
        validation_data=loader(data / "validation", shuffle=False),
        epochs=epochs,
        verbose=2,
    )
    return float(history.history["val_accuracy"][-1])


if __name__ == "__main__":
    options = arguments()
    results = {
        f"validation_accuracy_{head}": fit(head, options.data, options.epochs, options.seed)
        for head in options.heads.split(",")
    }
    print(json.dumps(results))
