headtohead compare --data data --backbone timm:tf_efficientnet_lite0 --weights lite0.safetensors \
    --image-size 224 --heads gap,avg_max,gem,fc --out study
