"""TF-slim's graphs beside timm's modules: the same weights in both, layer by layer in the order of construction, in float64.

scripts/libraries/tf_slim_graphs.py puts two of TF-slim's networks together, so these need a witness of their own: timm has both networks, and
its published weights are TF-slim's.
"""

import numpy as np
import timm
import torch
from torch import nn

from libraries import Network


def difference(network: Network, filled: dict[str, np.ndarray], logits: np.ndarray, image: np.ndarray) -> float:
    """The largest difference between a graph's logits and those of timm's module with the same weights, as a share of their range."""
    module = timm.create_model(network.network, pretrained=False, num_classes=network.classes).double().eval()
    graph = {name: torch.from_numpy(value).double() for name, value in filled.items() if "AuxLogits" not in name and value.ndim}
    kernels = [(name, value) for name, value in graph.items() if name.endswith("/weights")]
    betas = [(name, value) for name, value in graph.items() if name.endswith("/beta")]
    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(kernels) == len(layers) and len(betas) == len(norms), f"{len(kernels)}, {len(layers)}, {len(betas)}, {len(norms)}"
    with torch.no_grad():
        for layer, (name, kernel) in zip(layers, kernels):
            turned = kernel.permute(3, 2, 0, 1) if kernel.dim() == 4 else kernel.T
            assert layer.weight.shape == turned.shape, f"{name}: {list(turned.shape)} beside {list(layer.weight.shape)}"
            layer.weight.copy_(turned)
            if layer.bias is not None:
                layer.bias.copy_(graph[name.replace("/weights", "/biases")])
        for norm, (name, beta) in zip(norms, betas):
            norm.weight.fill_(1.0)
            norm.bias.copy_(beta)
            norm.running_mean.copy_(graph[name.replace("/beta", "/moving_mean")])
            norm.running_var.copy_(graph[name.replace("/beta", "/moving_variance")])
        theirs = module(torch.from_numpy(image).double()).numpy()
    return float(np.abs(theirs - logits).max() / (theirs.max() - theirs.min()))
