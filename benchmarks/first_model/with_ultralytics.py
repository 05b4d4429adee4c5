from ultralytics import YOLO

model = YOLO("yolo11n-cls.yaml")
model.train(data="data", epochs=10, imgsz=128, batch=32, workers=0)
print("accuracy", model.val(split="test", workers=0).top1)
