headtohead compare --data data --backbone timm:tf_efficientnet_lite0 --weights lite0.safetensors \
    --image-size 128 --epochs 30 --heads gap,avg_max,gem --out study
