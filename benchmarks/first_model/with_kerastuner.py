from pathlib import Path

import keras
import keras_tuner
import numpy as np
from keras import layers
from keras.utils import img_to_array, load_img

CLASSES = sorted(path.name for path in Path("data/train").iterdir())


def load(name):
    files = sorted(Path("data", name).glob("*/*"))
    images = [img_to_array(load_img(file, target_size=(128, 128))) for file in files]
    return np.stack(images), np.array([CLASSES.index(file.parent.name) for file in files])


def build(hp):
    pool = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    model = keras.Sequential([layers.Rescaling(1 / 255)])
    for width in (32, 64, 128):
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(pool.get(hp.Choice("pooling", ["avg", "max", "flatten"]), layers.Flatten)())
    model.add(layers.Dense(len(CLASSES), activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


tuner = keras_tuner.GridSearch(build, objective="val_accuracy", executions_per_trial=1)
tuner.search(*load("train"), epochs=5, validation_data=load("val"))
tuner.results_summary()
print("accuracy", tuner.get_best_models()[0].evaluate(*load("test"))[1])
