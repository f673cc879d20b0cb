"""Inception-v3 and Inception-ResNet-v2 of Keras 3, and of Keras 2 (tf_keras), whose HDF5 files differ."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from libraries import Network

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Which layer ends which stage of incept's description. Layers without a name of their own are counted by Keras, and the last ones before
# the first stage's end are found by that count.
STAGES = {
    "inception_v3": {
        "stem": "max_pooling2d_1",
        "inception_a": "mixed2",
        "reduction_a": "mixed3",
        "inception_b": "mixed7",
        "reduction_b": "mixed8",
        "inception_c": "mixed10",
    },
    "inception_resnet_v2": {
        "stem": "max_pooling2d_1",
        "mixed_5b": "mixed_5b",
        "inception_resnet_a": "block35_10_ac",
        "reduction_a": "mixed_6a",
        "inception_resnet_b": "block17_20_ac",
        "reduction_b": "mixed_7a",
        "inception_resnet_c": "block8_9_ac",
        "conv_7b": "conv_7b_ac",
    },
}


def build(network: Network, size: tuple[int, int], double: bool, auxiliary: bool) -> "KerasModel":
    del auxiliary  # Keras leaves the head out.
    if network.library == "keras":
        import keras
    else:
        import tf_keras as keras
    # Layers are numbered from the first one again.
    keras.backend.clear_session()
    keras.backend.set_floatx("float64" if double else "float32")
    make = {"inception_v3": keras.applications.InceptionV3, "inception_resnet_v2": keras.applications.InceptionResNetV2}
    model = make[network.network](weights=None, input_shape=(*size, 3), classes=network.classes, classifier_activation=None)
    return KerasModel(keras, model, STAGES[network.network], FORMS[network.library])


# Names of the files that each Keras saves.
FORMS = {
    "keras": {"h5": "model.h5", "weights_h5": "model.weights.h5"},
    "tf_keras": {"h5": "model.h5", "weights_only_h5": "weights.h5"},
}


class KerasModel:
    def __init__(self, keras, model, stages: dict[str, str], forms: dict[str, str]) -> None:
        self.keras, self.model, self.stages, self.files = keras, model, stages, forms
        self.forms = tuple(forms)

    def variables(self):
        """Every variable under its name in Keras 3's `.h5` files, which is also Keras 2's but for what that adds."""
        for layer in self.model.layers:
            for variable in layer.weights:
                part = variable.name.split(":")[0].split("/")[-1]
                yield f"model_weights/{layer.name}/{layer.name}/{part}", variable

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(variable.shape) for name, variable in self.variables()}

    def own_name(self, listed: str) -> str:
        return listed

    def fill(self, values: Mapping[str, np.ndarray]) -> None:
        for name, variable in self.variables():
            variable.assign(values[name])

    def run(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The outputs and the stages' values for an image batch [N, 3, height, width], by incept's names; the stages [N, C, height, width]."""
        layers = [self.model.get_layer(name).output for name in self.stages.values()]
        whole = self.keras.Model(self.model.input, [self.model.output, *layers])
        kind = self.model.input.dtype
        logits, *stages = whole(image.transpose(0, 2, 3, 1).astype(str(getattr(kind, "name", kind))), training=False)
        turned = {stage: np.asarray(value).transpose(0, 3, 1, 2) for stage, value in zip(self.stages, stages)}
        return {"logits": np.asarray(logits)}, turned

    def prepare(self, form: str) -> None:
        """Every form holds the weights as they are."""

    def save(self, form: str, folder: pathlib.Path) -> pathlib.Path:
        path = folder / self.files[form]
        if form == "h5":
            self.model.save(path)
        else:
            self.model.save_weights(path)
        return path
