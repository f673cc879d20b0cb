"""TF-slim's networks, run in a session of TensorFlow 1 and saved by its Saver in both formats."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402

from libraries import Network, tf_slim_graphs  # noqa: E402

v1 = tf.compat.v1


def build(network: Network, size: tuple[int, int], double: bool, auxiliary: bool) -> "SlimModel":
    return SlimModel(network, size, double, auxiliary)


class SlimModel:
    def __init__(self, network: Network, size: tuple[int, int], double: bool, auxiliary: bool) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            kind = tf.float64 if double else tf.float32
            self.images, self.outputs = tf_slim_graphs.build(network.network, (None, *size, 3), auxiliary, kind)
            # Checkpoints carry how long was trained.
            v1.train.get_or_create_global_step()
            self.variables = {variable.op.name: variable for variable in v1.global_variables()}
            self.session = v1.Session(graph=self.graph)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(variable.shape.as_list()) for name, variable in self.variables.items()}

    def own_name(self, listed: str) -> str:
        return listed

    def in_order(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The values of this graph's variables in the order in which it was built."""
        return {name: values[name] for name in self.variables}

    def fill(self, values: Mapping[str, np.ndarray]) -> None:
        # In one run, in place of the initial values: an assignment of its own for each would grow the graph each time.
        initial = {variable.initializer.inputs[1]: values[name] for name, variable in self.variables.items()}
        self.session.run([variable.initializer for variable in self.variables.values()], initial)

    def run(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The outputs and the stages' values for an image batch [N, 3, height, width], by incept's names; the stages [N, C, height, width]."""
        found = self.session.run(self.outputs, {self.images: image.transpose(0, 2, 3, 1)})
        outputs = {name: value for name, value in found.items() if name in ("logits", "auxiliary_logits")}
        stages = {name: value.transpose(0, 3, 1, 2) for name, value in found.items() if value.ndim == 4}
        return outputs, stages

    forms = ("v2", "v1")

    def prepare(self, form: str) -> None:
        """Every form holds the weights as they are."""

    def save(self, form: str, folder: pathlib.Path) -> pathlib.Path:
        """Version 2 is an index and a data file: the index's path is returned."""
        with self.graph.as_default():
            saver = v1.train.Saver(write_version={"v1": v1.train.SaverDef.V1, "v2": v1.train.SaverDef.V2}[form])
            path = saver.save(self.session, str(folder / f"model_{form}.ckpt"), write_meta_graph=False, write_state=False)
        return pathlib.Path(path if form == "v1" else f"{path}.index")
