"""timm's, torchvision's, facenet-pytorch's and pretrainedmodels' (Cadene's) networks."""

import pathlib
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from libraries import Network

# Which of the library's modules ends which stage of incept's description.
INCEPTION_V4 = {
    "stem": "features.5",
    "inception_a": "features.9",
    "reduction_a": "features.10",
    "inception_b": "features.17",
    "reduction_b": "features.18",
    "inception_c": "features.21",
}
INCEPTION_RESNET_V2 = {
    "stem": "maxpool_5a",
    "mixed_5b": "mixed_5b",
    "inception_resnet_a": "repeat",
    "reduction_a": "mixed_6a",
    "inception_resnet_b": "repeat_1",
    "reduction_b": "mixed_7a",
    "inception_resnet_c": "repeat_2",
    "last_inception_resnet_c": "block8",
    "conv_7b": "conv2d_7b",
}
INCEPTION_RESNET_V1 = {
    "stem": "conv2d_4b",
    "inception_resnet_a": "repeat_1",
    "reduction_a": "mixed_6a",
    "inception_resnet_b": "repeat_2",
    "reduction_b": "mixed_7a",
    "inception_resnet_c": "repeat_3",
    "last_inception_resnet_c": "block8",
}
INCEPTION_V3 = {
    "inception_a": "Mixed_5d",
    "reduction_a": "Mixed_6a",
    "inception_b": "Mixed_6e",
    "reduction_b": "Mixed_7a",
    "inception_c": "Mixed_7c",
}
# Names of the files that the libraries save, and what they are saved as.
FORMS = {
    "safetensors": "model.safetensors",
    "zip": "model.pth",
    "legacy": "model_legacy.pth",
    "training": "checkpoint.pth.tar",
    "half": "model_half.pth",
    "bfloat16": "model_bfloat16.pth",
    "channels_last": "model_channels_last.pt",
}


def build(network: Network, size: tuple[int, int], double: bool, auxiliary: bool) -> "PyTorchModel":
    del size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module, stages = make(network, auxiliary)
    return PyTorchModel(module.double() if double else module, stages)


def make(network: Network, auxiliary: bool) -> tuple[nn.Module, dict[str, str]]:
    match network.name:
        case "timm.inception_v4" | "timm.inception_resnet_v2":
            import timm

            stages = INCEPTION_V4 if network.network == "inception_v4" else INCEPTION_RESNET_V2
            return timm.create_model(network.network, pretrained=False), stages
        case "timm.inception_v3":
            import timm

            return timm.create_model("inception_v3", pretrained=False, aux_logits=auxiliary), {"stem": "Pool2", **INCEPTION_V3}
        case "torchvision.inception_v3":
            import torchvision

            module = torchvision.models.inception_v3(weights=None, init_weights=False, aux_logits=auxiliary, transform_input=False)
            return module, {"stem": "maxpool2", **INCEPTION_V3}
        case "facenet_pytorch.inception_resnet_v1":
            from facenet_pytorch import InceptionResnetV1

            return InceptionResnetV1(classify=True, num_classes=network.classes, device="cpu"), INCEPTION_RESNET_V1
        case "pretrainedmodels.inception_v4":
            from pretrainedmodels.models import inceptionv4

            return inceptionv4(num_classes=network.classes, pretrained=None), INCEPTION_V4
        case "pretrainedmodels.inception_resnet_v2":
            from pretrainedmodels.models import inceptionresnetv2

            return inceptionresnetv2(num_classes=network.classes, pretrained=None), INCEPTION_RESNET_V2
    raise KeyError(network.name)


class PyTorchModel:
    """A library's module in evaluation mode."""

    def __init__(self, module: nn.Module, stages: dict[str, str]) -> None:
        self.module = module.eval()
        self.is_pretrainedmodels = type(module).__module__.startswith("pretrainedmodels")
        self.stages = stages

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of its state dictionary."""
        return {name: tuple(value.shape) for name, value in self.module.state_dict().items()}

    def own_name(self, listed: str) -> str:
        """pretrainedmodels has timm's names but for the classifier of Inception-ResNet-v2."""
        return listed.replace("classif.", "last_linear.") if self.is_pretrainedmodels else listed

    def fill(self, values: Mapping[str, np.ndarray]) -> None:
        self.module.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()}, strict=True)

    def run(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The outputs and the stages' values for an image batch [N, 3, height, width], by incept's names."""
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            self.module.get_submodule(path).register_forward_hook(lambda _, __, value, stage=stage: seen.update({stage: value}))
            for stage, path in self.stages.items()
        ]
        images = torch.from_numpy(image).to(next(self.module.parameters()).dtype)
        with torch.no_grad():
            result = self.pooled_over_the_grid(images) if self.is_pretrainedmodels else self.module(images)
            # timm gives both; torchvision leaves the head out in evaluation mode, so it is run by itself.
            outputs = dict(zip(("logits", "auxiliary_logits"), result if isinstance(result, tuple) else (result,)))
            if getattr(self.module, "AuxLogits", None) is not None:
                outputs.setdefault("auxiliary_logits", self.module.AuxLogits(seen["inception_b"]))
            if hasattr(self.module, "classify"):
                self.module.classify = False
                outputs["embedding"] = self.module(images)
                self.module.classify = True
        for hook in hooks:
            hook.remove()
        return tuple({name: value.numpy() for name, value in found.items()} for found in (outputs, seen))

    def pooled_over_the_grid(self, images: torch.Tensor) -> torch.Tensor:
        """pretrainedmodels pools eight by eight cells, or a square, which is the whole grid at 299 alone. At other sizes its own features are
        averaged over the grid, and its own classifier follows."""
        if images.shape[2:] == (299, 299):
            return self.module(images)
        return self.module.last_linear(self.module.features(images).mean((2, 3)))

    forms = tuple(FORMS)

    def prepare(self, form: str) -> None:
        """Rounds the weights to what the form can hold, so that the model computes with what it saves."""
        if form in ("half", "bfloat16"):
            self.module.to(getattr(torch, form)).float()

    def save(self, form: str, folder: pathlib.Path) -> pathlib.Path:
        path = folder / FORMS[form]
        state = self.module.state_dict()
        match form:
            case "safetensors":
                from safetensors.torch import save_model

                save_model(self.module, str(path), metadata={"format": "pt"})
            case "zip":
                torch.save(state, path)
            case "legacy":
                torch.save(state, path, _use_new_zipfile_serialization=False)
            case "training":
                # As training scripts write it: the model inside nn.DataParallel, the optimizer, and where training stands.
                optimizer = torch.optim.SGD(self.module.parameters(), lr=0.1)
                parallel = nn.DataParallel(self.module).state_dict()
                torch.save({"epoch": 3, "arch": "net", "best_acc1": 0.5, "optimizer": optimizer.state_dict(), "state_dict": parallel}, path)
            case "half" | "bfloat16":
                kind = getattr(torch, form)
                torch.save({name: value.to(kind) if value.is_floating_point() else value for name, value in state.items()}, path)
            case "channels_last":
                turn = {True: torch.channels_last, False: torch.contiguous_format}
                torch.save({name: value.to(memory_format=turn[value.dim() == 4]) for name, value in state.items()}, path)
        return path
