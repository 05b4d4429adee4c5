from fastai.vision.all import *

data = ImageDataLoaders.from_folder(
    "data", valid="val", item_tfms=Resize(128), bs=32, num_workers=0
)
weights = {"file": "lite0.safetensors"}
learn = vision_learner(
    data, "tf_efficientnet_lite0", metrics=accuracy, pretrained_cfg_overlay=weights
)
learn.fine_tune(2)
test = data.test_dl(get_image_files("data/test"), with_labels=True)
print("accuracy", float(learn.validate(dl=test)[1]))
