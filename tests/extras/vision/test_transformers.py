"""Vision networks of transformers as backbones, from checkpoints on disk."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from headtohead.backbones.base import Normalization, Normalize
from headtohead.backbones.check import check_backbone
from headtohead.backbones.external import LibraryBackbone
from headtohead.backbones.frozen import with_last_stages
from headtohead.backbones.table import build_backbone, resolve
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import UsageError

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
KINDS: dict[str, dict[str, Any]] = {
    "vit": SMALL,
    "dinov2_with_registers": {
        **{key: SMALL[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")},
        "image_size": 28,
        "patch_size": 14,
    },
    "dinov3_vit": SMALL,
    "siglip_vision_model": SMALL,
    "clip_vision_model": SMALL,
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "convnext": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "image_size": 64},
    "swin": {
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "image_size": 32,
        "window_size": 4,
    },
    "dinov3_convnext": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "image_size": 64},
    "hiera": {
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 2, 2, 2],
        "image_size": [64, 64],
    },
    "aimv2_vision_model": SMALL,
    "pixio": SMALL,
    "mobilenet_v2": {"depth_multiplier": 0.35, "image_size": 64},
    "vit_mae": SMALL,
    "rt_detr_resnet": {
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    },
    "sam2_hiera_det_model": {
        "hidden_size": 8,
        "image_size": [64, 64],
        "blocks_per_stage": [1] * 4,
        "embed_dim_per_stage": [8, 16, 24, 48],
        "num_attention_heads_per_stage": [1] * 4,
    },
}
"""Kinds of networks, and options that make them small."""

PREPROCESSOR = '{"do_normalize": true, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4]}'
BGR = '{"do_normalize": false, "do_flip_channel_order": true}'
TOLD = Normalization((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))


def checkpoint(folder: Path, kind: str, **options: Any) -> Path:
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(kind, **{**KINDS[kind], **options})
    auto = transformers.AutoBackbone if kind == "rt_detr_resnet" else transformers.AutoModel
    auto.from_config(config).save_pretrained(folder)
    return folder


def told(folder: Path) -> Path:
    """The folder, with what its checkpoint says of its images."""
    (folder / "preprocessor_config.json").write_text(PREPROCESSOR)
    return folder


def network(folder: Path) -> LibraryBackbone:
    found = build_backbone(f"transformers:{folder}")
    assert isinstance(found, LibraryBackbone)
    return found


@pytest.mark.parametrize(
    ("kind", "size", "maps", "stride", "first", "token"),
    [
        ("vit", 32, (32, 4, 4), 8, 3.5, True),
        ("dinov2_with_registers", 28, (32, 2, 2), 14, 6.5, True),
        ("dinov3_vit", 32, (32, 4, 4), 8, 3.5, True),
        ("siglip_vision_model", 32, (32, 4, 4), 8, 3.5, False),
        ("clip_vision_model", 32, (32, 4, 4), 8, 3.5, True),
        ("resnet", 64, (16, 8, 8), 8, 0, False),
        ("convnext", 64, (16, 2, 2), 32, 15.5, False),
        ("swin", 32, (32, 4, 4), 8, 3.5, False),
        ("dinov3_convnext", 64, (16, 2, 2), 32, 15.5, False),
        ("hiera", 64, (64, 2, 2), 32, 14, False),
        ("aimv2_vision_model", 32, (32, 4, 4), 8, 3.5, False),
        ("pixio", 32, (32, 4, 4), 8, 3.5, True),
        ("mobilenet_v2", 64, (1280, 2, 2), 32, 31, False),
        ("vit_mae", 32, (32, 4, 4), 8, 3.5, True),
        ("rt_detr_resnet", 64, (16, 8, 8), 8, 0, False),
        ("sam2_hiera_det_model", 64, (48, 2, 2), 32, 14, False),
    ],
)
def test_maps_and_their_cells(
    tmp_path: Path,
    kind: str,
    size: int,
    maps: tuple[int, int, int],
    stride: float,
    first: float,
    token: bool,
) -> None:
    """Else heads get other maps than promised; registers pass for a part of the image."""
    backbone = network(checkpoint(tmp_path, kind))
    assert (backbone.channels, *backbone.map_size(size)) == maps
    assert (backbone.stride, backbone.first) == (stride, first)
    images = torch.rand(2, 3, size, size)
    found, aside = backbone.eval().with_class_token(images)
    assert (aside is not None) == token
    state = backbone.output(images)
    if state.ndim == 3:
        cells = found.flatten(2).transpose(1, 2)
        torch.testing.assert_close(cells, state[:, -cells.shape[1] :])
    check_backbone(backbone, size)


def test_weights_of_a_checkpoint_on_disk_are_its_own(tmp_path: Path) -> None:
    """Else random weights pass for pretrained ones."""
    folder = told(checkpoint(tmp_path, "vit"))
    spec = BackboneSpec(name=f"transformers:{folder}", weights="pretrained")
    found, backbone, _ = resolve(spec)
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    images = torch.rand(2, 3, 32, 32)
    assert backbone.normalization == TOLD
    mean, std = (torch.tensor(values)[:, None, None] for values in (TOLD.mean, TOLD.std))
    expected = theirs(pixel_values=(images - mean) / std).last_hidden_state[:, 1:]
    torch.testing.assert_close(backbone.eval()(images).flatten(2).transpose(1, 2), expected)
    assert found.weights_sha256 is not None
    assert str(folder) not in str(found.identity())


@pytest.mark.parametrize("kept", [torch.float16, torch.bfloat16])
def test_a_checkpoint_in_half_precision_is_computed_in_float32(
    tmp_path: Path, kept: torch.dtype
) -> None:
    """Else features have three digits, and weights that are trained further do not move."""
    folder = told(checkpoint(tmp_path / "whole", "vit"))
    half = transformers.AutoModel.from_pretrained(folder).to(kept)
    half.save_pretrained(told(checkpoint(tmp_path / "half", "vit")))
    spec = BackboneSpec(name=f"transformers:{tmp_path / 'half'}", weights="pretrained")
    found, backbone, _ = resolve(spec)
    assert {value.dtype for value in backbone.parameters()} == {torch.float32}
    mine, theirs = backbone.state_dict(), half.state_dict()
    assert all(torch.equal(mine[f"network.{name}"], theirs[name].float()) for name in theirs
               if not name.startswith("pooler."))  # fmt: skip
    check_backbone(backbone, 32)
    assert found.architecture_sha256 != network(folder).architecture_sha256


def test_a_folders_place_is_no_part_of_the_study_and_its_content_is(tmp_path: Path) -> None:
    """Else a moved checkpoint is another study, or two checkpoints of one name are one."""

    def identity(name: str, **options: Any) -> dict[str, Any]:
        folder = told(checkpoint(tmp_path / name / "model", "vit", **options))
        spec = BackboneSpec(name=f"transformers:{folder}", weights="pretrained")
        return resolve(spec)[0].identity()

    assert identity("a") == identity("b")
    assert identity("a") != identity("c", layer_norm_eps=1e-3)


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("preprocessor_config.json", PREPROCESSOR, TOLD),
        ("processor_config.json", f'{{"image_processor": {PREPROCESSOR}}}', TOLD),
        ("preprocessor_config.json", '{"do_normalize": false}', Normalization()),
        ("preprocessor_config.json", '{"do_normalize": true, "size": 32}', None),
        ("preprocessor_config.json", BGR, None),
        ("processor_config.json", '{"tokenizer": {}}', None),
        ("other.json", "{}", None),
    ],
)
def test_weights_whose_images_nobody_knows_how_to_make_are_refused(
    tmp_path: Path, file: str, content: str, found: Normalization | None
) -> None:
    """Else pretrained weights see images that are not normalised, and no head looks good."""
    folder = checkpoint(tmp_path, "vit")
    (folder / file).write_text(content)
    torch.save(network(folder).network.state_dict(), folder / "w.pth")
    for weights in ("pretrained", str(folder / "w.pth")):
        spec = BackboneSpec(name=f"transformers:{folder}", weights=weights)
        if found is not None:
            assert resolve(spec)[1].normalization == found
            continue
        words = r"blue, green, red" if content == BGR else r"put .*preprocessor_config\.json"
        with pytest.raises(UsageError, match=rf"normalised: .*{words}"):
            resolve(spec)
        begun = spec.model_copy(update={"weights_sha256": "a" * 64})
        with pytest.raises(UsageError, match=r"weights .* have changed"):
            resolve(begun)  # a study that was begun before is not refused for this
    resolve(BackboneSpec(name=f"transformers:{folder}"))


@pytest.mark.parametrize("offset", [False, True])
def test_efficientnets_images_are_made_as_its_own_processor_makes_them(
    tmp_path: Path, offset: bool
) -> None:
    """Else its weights see images of half the contrast that they were trained on."""
    factor = 1 / 127.5 if offset else 1 / 255
    processor = transformers.EfficientNetImageProcessor(
        rescale_offset=offset, rescale_factor=factor, do_resize=False, do_center_crop=False
    )
    folder = checkpoint(tmp_path, "vit")
    processor.save_pretrained(folder)
    backbone = network(folder)
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    theirs = processor(pixels, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(Normalize(backbone.normalization)(pixels / 255), theirs)
    plain = network(told(checkpoint(tmp_path / "plain", "vit")))
    assert plain.architecture_sha256 != backbone.architecture_sha256


@pytest.mark.parametrize("content", ["{", "[1]", '{"image_mean": 0.5, "image_std": 1}'])
def test_a_damaged_preprocessing_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    """Else it ends in a traceback."""
    folder = checkpoint(tmp_path, "vit")
    (folder / "preprocessor_config.json").write_text(content)
    with pytest.raises(UsageError, match=r"preprocessor_config\.json .*image_mean") as refused:
        network(folder)
    assert "\n" not in str(refused.value)


def test_other_preprocessing_is_another_backbone(tmp_path: Path) -> None:
    """Else features of images that were normalised otherwise are used in silence."""
    folder = told(checkpoint(tmp_path, "vit"))
    spec = resolve(BackboneSpec(name=f"transformers:{folder}", weights="pretrained"))[0]
    (folder / "preprocessor_config.json").write_text(PREPROCESSOR.replace("0.1", "0.5"))
    assert resolve(spec.unresolved())[0].trunk() != spec.trunk()
    with pytest.raises(UsageError, match=r"configuration or preprocessing .* changed"):
        resolve(spec)


HUB = """
import sys
from headtohead.backbones.table import resolve
from headtohead.config.study import BackboneSpec
print(resolve(BackboneSpec(name="transformers:me/small", weights="pretrained"))[0].trunk())
"""


def test_preprocessing_on_the_hub_is_part_of_a_backbone(tmp_path: Path) -> None:
    """Else a checkpoint of the hub that is mended there, or half downloaded, is the same one."""
    home = tmp_path / "hub" / "models--me--small"
    snapshot = home / "snapshots" / ("a" * 40)
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("a" * 40)
    told(checkpoint(snapshot, "vit"))
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", HUB]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    (snapshot / "preprocessor_config.json").write_text(PREPROCESSOR.replace("0.1", "0.5"))
    second = run()
    assert second.returncode == 0, second.stderr
    assert first.stdout != second.stdout
    (snapshot / "preprocessor_config.json").unlink()
    assert "nothing says how their images are normalised" in run().stderr


def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """Else a part of the network stays random, and transformers only warns."""
    folder = told(checkpoint(tmp_path, "vit"))
    checkpoint(tmp_path / "deeper", "vit", num_hidden_layers=3)
    (tmp_path / "deeper" / "config.json").replace(folder / "config.json")
    spec = BackboneSpec(name=f"transformers:{folder}", weights="pretrained")
    with pytest.raises(UsageError, match="missing") as refused:
        resolve(spec)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_without_a_pooler_is_whole(tmp_path: Path) -> None:
    """Else each worker draws a pooler of its own, and all runs end with "weights have changed"."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model("vit", **SMALL)
    classifier = transformers.AutoModelForImageClassification.from_config(config)
    classifier.save_pretrained(tmp_path)
    told(tmp_path)
    spec, backbone, notes = resolve(
        BackboneSpec(name=f"transformers:{tmp_path}", weights="pretrained")
    )
    torch.manual_seed(4)
    again = resolve(spec)[1]
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again.eval()(images), backbone.eval()(images))
    assert not any("pooler" in name for name in backbone.state_dict())
    assert any("2 tensors" in note and "classifier" in note for note in notes)


def test_a_state_with_the_pooler_of_an_earlier_version_is_loaded(tmp_path: Path) -> None:
    """Else finished runs of before cannot predict."""
    folder = checkpoint(tmp_path, "vit")
    backbone = network(folder)
    pooler = {"network.pooler.dense.weight": torch.zeros(32, 32)}
    backbone.load_state_dict({**backbone.state_dict(), **pooler})
    with pytest.raises(RuntimeError, match="other"):
        backbone.load_state_dict({**backbone.state_dict(), "network.other": torch.zeros(1)})


@pytest.mark.parametrize("whole", [False, True])
def test_a_checkpoint_of_more_layers_is_refused(tmp_path: Path, whole: bool) -> None:
    """Else half a network passes for the whole."""
    config = transformers.AutoConfig.for_model("vit", **{**SMALL, "num_hidden_layers": 3})
    kind = transformers.AutoModelForImageClassification if whole else transformers.AutoModel
    kind.from_config(config).save_pretrained(tmp_path)
    told(tmp_path)
    asked = BackboneSpec(
        name=f"transformers:{tmp_path}", weights="pretrained", options={"num_hidden_layers": 2}
    )
    assert any("layers.2." in note for note in resolve(asked)[2]), "a part that is asked for"
    checkpoint(tmp_path / "smaller", "vit")
    (tmp_path / "smaller" / "config.json").replace(tmp_path / "config.json")
    with pytest.raises(UsageError, match=r"larger network: 16 .*layers\.2\.") as refused:
        resolve(BackboneSpec(name=f"transformers:{tmp_path}", weights="pretrained"))
    assert "\n" not in str(refused.value)


def test_the_half_that_sees_is_taken_of_a_model_of_images_and_text(tmp_path: Path) -> None:
    """Else CLIP's own checkpoints are refused for their text."""
    text = {key: SMALL[key] for key in SMALL if key not in ("image_size", "patch_size")}
    config = transformers.CLIPConfig(
        text_config={**text, "vocab_size": 99}, vision_config=SMALL, projection_dim=16
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    told(tmp_path)
    spec = BackboneSpec(name=f"transformers:{tmp_path}", weights="pretrained")
    _, backbone, notes = resolve(spec)
    theirs = transformers.CLIPModel.from_pretrained(tmp_path).vision_model.state_dict()
    mine = backbone.get_submodule("network").state_dict()
    assert mine
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert len(notes) == 1


def test_the_last_stage_is_a_layer_and_no_pooler(tmp_path: Path) -> None:
    """Else `last:1` of a ViT trains a pooler that maps never see."""
    backbone = network(checkpoint(tmp_path, "vit"))
    held = with_last_stages(backbone, 1, 32)
    trained = {n for n, p in held.named_parameters() if p.requires_grad}
    assert any(n.startswith("trunk.network.layers.1.") for n in trained)
    held.train()(torch.rand(2, 3, 32, 32)).sum().backward()
    assert {n for n, p in held.named_parameters() if p.grad is not None} == trained


def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    """Else a user without a connection, or with a text model, sees a traceback."""
    config = transformers.AutoConfig.for_model("bert", hidden_size=32, num_attention_heads=2)
    config.save_pretrained(tmp_path)
    for name, words in (
        (str(tmp_path), "not images"),
        ("facebook/dinov2-small", "transformers:PATH"),
        (str(tmp_path / "absent"), "could not be loaded"),
    ):
        with pytest.raises(UsageError, match=words) as refused:
            build_backbone(f"transformers:{name}")
        assert "\n" not in str(refused.value)
