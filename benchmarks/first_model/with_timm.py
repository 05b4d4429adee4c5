import timm
import timm.optim
import torch
from timm.data import ImageDataset, create_transform, resolve_model_data_config

weights = {"file": "lite0.safetensors"}
model = timm.create_model(
    "tf_efficientnet_lite0", pretrained=True, pretrained_cfg_overlay=weights, num_classes=5
)
config = resolve_model_data_config(model)


def batches(name, training):
    transform = create_transform(**config | {"input_size": (3, 128, 128)}, is_training=training)
    data = ImageDataset(f"data/{name}", transform=transform)
    return torch.utils.data.DataLoader(data, batch_size=32, shuffle=training)


optimizer = timm.optim.create_optimizer_v2(model, opt="adamw", lr=5e-4, weight_decay=0.05)
train = batches("train", training=True)
for _ in range(3):
    model.train()
    for images, labels in train:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
model.eval()
right = total = 0
with torch.no_grad():
    for images, labels in batches("test", training=False):
        right += int((model(images).argmax(1) == labels).sum())
        total += len(labels)
print("accuracy", right / total)
