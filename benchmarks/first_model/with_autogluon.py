from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def table(name):
    files = sorted(Path("data", name).glob("*/*"))
    return pd.DataFrame({"image": map(str, files), "label": [file.parent.name for file in files]})


predictor = MultiModalPredictor(label="label", path="predictor")
predictor.fit(
    table("train"),
    tuning_data=table("val"),
    hyperparameters={
        "model.names": ["timm_image"],
        "model.timm_image.checkpoint_name": "lite0",
        "model.timm_image.image_size": 128,
        "env.batch_size": 32,
        "optim.lr": 1e-3,
        "optim.max_epochs": 3,
        "env.num_workers": 0,
        "env.num_gpus": 0,
    },
)
print("accuracy", predictor.evaluate(table("test"), metrics=["accuracy"])["accuracy"])
