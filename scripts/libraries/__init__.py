"""The networks as other people's libraries have them: built, filled with reproducible weights, run, and saved each in its library's own way.

A network is asked for by `library.network`, for instance `timm.inception_v4`; `NETWORKS` lists all. No code of incept takes part, besides the
portable generator of golden/generator.py.
"""

import importlib
import pathlib
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Network:
    """One network of one library."""

    library: str
    """Whose model it is, and the first part of its name here."""
    network: str
    """What incept calls the network."""
    variant: str
    """What incept calls this form of it."""
    module: str
    """The module of this package that builds it."""
    packages: tuple[str, ...]
    """The Python packages that compute it."""
    list: str
    """The list of golden/names whose tensors it has, and the name of its golden vectors."""
    classes: int = 1000

    @property
    def name(self) -> str:
        return f"{self.library}.{self.network}"

    def build(self, size: tuple[int, int], double: bool = False, auxiliary: bool = False):
        """The library's own model, for images of this height and width (Keras and TF-slim fix it), in float64 if `double`, with the
        auxiliary head if the library has it and `auxiliary` is given."""
        module = importlib.import_module(f"libraries.{self.module}")
        return module.build(self, size, double, auxiliary)


TIMM = ("timm", "torch")
CADENE = ("pretrainedmodels", "torch")
TF_SLIM = ("tf-slim", "tensorflow-cpu")

KERAS, TF_KERAS = ("keras", "tensorflow-cpu"), ("tf-keras", "tensorflow-cpu")

NETWORKS = {
    network.name: network
    for network in (
        Network("timm", "inception_v4", "published", "pytorch", TIMM, "timm.inception_v4"),
        Network("timm", "inception_resnet_v2", "published", "pytorch", TIMM, "timm.inception_resnet_v2"),
        Network("timm", "inception_v3", "torchvision", "pytorch", TIMM, "torchvision.inception_v3"),
        Network("torchvision", "inception_v3", "torchvision", "pytorch", ("torchvision", "torch"), "torchvision.inception_v3"),
        Network(
            "facenet_pytorch",
            "inception_resnet_v1",
            "facenet",
            "pytorch",
            ("facenet-pytorch", "torch"),
            "facenet_pytorch.inception_resnet_v1",
            8631,
        ),
        Network("pretrainedmodels", "inception_v4", "published", "pytorch", CADENE, "timm.inception_v4"),
        Network("pretrainedmodels", "inception_resnet_v2", "published", "pytorch", CADENE, "timm.inception_resnet_v2"),
        Network("keras", "inception_v3", "tensorflow", "keras_applications", KERAS, "keras.inception_v3.h5"),
        Network("keras", "inception_resnet_v2", "published", "keras_applications", KERAS, "keras.inception_resnet_v2.h5"),
        Network("tf_keras", "inception_v3", "tensorflow", "keras_applications", TF_KERAS, "keras.inception_v3.h5"),
        Network("tf_keras", "inception_resnet_v2", "published", "keras_applications", TF_KERAS, "keras.inception_resnet_v2.h5"),
        Network("tf_slim", "inception_v3", "tensorflow", "tf_slim_session", TF_SLIM, "tf_slim.inception_v3", 1001),
        Network("tf_slim", "inception_v4", "published", "tf_slim_session", TF_SLIM, "tf_slim.inception_v4", 1001),
        Network("tf_slim", "inception_resnet_v2", "published", "tf_slim_session", TF_SLIM, "tf_slim.inception_resnet_v2", 1001),
    )
}
