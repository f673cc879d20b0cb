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
    classes: int = 1000

    @property
    def name(self) -> str:
        return f"{self.library}.{self.network}"

    def build(self, size: tuple[int, int], double: bool = False, auxiliary: bool = False):
        """The library's own model, for images of this height and width (Keras and TF-slim fix it), in float64 if `double`."""
        module = importlib.import_module(f"libraries.{self.module}")
        return module.build(self, size, double, auxiliary)


TIMM = ("timm", "torch")
CADENE = ("pretrainedmodels", "torch")
TF_SLIM = ("tf-slim", "tensorflow-cpu")

NETWORKS = {
    network.name: network
    for network in (
        Network("timm", "inception_v4", "published", "pytorch", TIMM),
        Network("timm", "inception_resnet_v2", "published", "pytorch", TIMM),
        Network("timm", "inception_v3", "torchvision", "pytorch", TIMM),
        Network("torchvision", "inception_v3", "torchvision", "pytorch", ("torchvision", "torch")),
        Network("facenet_pytorch", "inception_resnet_v1", "facenet", "pytorch", ("facenet-pytorch", "torch")),
        Network("pretrainedmodels", "inception_v4", "published", "pytorch", CADENE),
        Network("pretrainedmodels", "inception_resnet_v2", "published", "pytorch", CADENE),
        Network("keras", "inception_v3", "tensorflow", "keras_applications", ("keras", "tensorflow-cpu")),
        Network("keras", "inception_resnet_v2", "published", "keras_applications", ("keras", "tensorflow-cpu")),
        Network("tf_keras", "inception_v3", "tensorflow", "keras_applications", ("tf-keras", "tensorflow-cpu")),
        Network("tf_keras", "inception_resnet_v2", "published", "keras_applications", ("tf-keras", "tensorflow-cpu")),
        Network("tf_slim", "inception_v3", "tensorflow", "tf_slim_session", TF_SLIM, 1001),
        Network("tf_slim", "inception_v4", "published", "tf_slim_session", TF_SLIM, 1001),
        Network("tf_slim", "inception_resnet_v2", "published", "tf_slim_session", TF_SLIM, 1001),
    )
}
